/** The effective config as YAML: every default filled in, units put back, and nothing secret. */
import { stringify } from 'yaml'
import { formatDuration, formatSize } from '../kernel/units.ts'
import type { Path } from './faults.ts'
import type { Config } from './schema.ts'
import { type Shape, shapeAt } from './shape.ts'

const MASK = '***'

export const showConfig = (config: Config): string => stringify(shown(config, [], config), { lineWidth: 120 })

function shown(value: unknown, path: Path, config: Config): unknown {
  if (Array.isArray(value)) return value.map((item, at) => shown(item, [...path, at], config))
  if (typeof value !== 'object' || value === null) return leaf(value, shapeAt(path, config))
  const settings = Object.entries(value).filter(
    ([key, inner]) => inner !== undefined && shapeAt([...path, key], config) !== undefined,
  )
  return Object.fromEntries(settings.map(([key, inner]) => [key, shown(inner, [...path, key], config)]))
}

function leaf(value: unknown, shape: Shape | undefined): unknown {
  if (typeof value === 'number' && shape?.['x-unit'] === 'duration') return formatDuration(value)
  if (typeof value === 'number' && shape?.['x-unit'] === 'size') return formatSize(value)
  if (typeof value !== 'string' || value === '') return value
  if (shape?.['x-secret'] === 'whole') return MASK
  return shape?.['x-secret'] === 'password' ? withoutPassword(value) : value
}

function withoutPassword(text: string): string {
  const url = new URL(text)
  if (url.password) url.password = MASK
  return url.href
}
