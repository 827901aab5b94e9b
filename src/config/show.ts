/** The effective config as YAML: every default filled in, units put back, and nothing secret. */
import { stringify } from 'yaml'
import { formatDuration, formatSize } from '../kernel/units.ts'
import type { Path } from './faults.ts'
import type { Config } from './schema.ts'
import { type Shape, shapeAt, variants } from './shape.ts'

const MASK = '***'

export const showConfig = (config: Config): string => stringify(shown(config, [], config), { lineWidth: 120 })

/** A part of the config, as it would stand at this path of a file. */
export const shownAt = (path: Path, value: unknown, config: Config): unknown => shown(value, path, config)

function shown(value: unknown, path: Path, config: Config): unknown {
  if (Array.isArray(value)) return value.map((item, at) => shown(item, [...path, at], config))
  if (typeof value !== 'object' || value === null) return leaf(value, shapeAt(path, config))
  const settings = Object.entries(value).filter(([key, inner]) => isSet(inner, shapeAt([...path, key], config)))
  return Object.fromEntries(settings.map(([key, inner]) => [key, shown(inner, [...path, key], config)]))
}

/** A list that a file cannot have empty was left out of it. */
function isSet(value: unknown, shape: Shape | undefined): boolean {
  if (value === undefined || shape === undefined) return false
  const isEmptyList = Array.isArray(value) && value.length === 0
  return !isEmptyList || variants(shape, undefined).some(({ items, minItems }) => items && !minItems)
}

function leaf(value: unknown, shape: Shape | undefined): unknown {
  if (typeof value === 'number') return withUnit(value, shape ?? {})
  if (typeof value !== 'string' || value === '') return value
  if (shape?.['x-secret'] === 'whole') return MASK
  return shape?.['x-secret'] === 'password' ? withoutPassword(value) : value
}

function withUnit(value: number, shape: Shape): number | string {
  const options = variants(shape, undefined)
  if (options.some(({ const: constant }) => constant === value)) return value
  const unit = options.map((option) => option['x-unit']).find((found) => found !== undefined)
  return unit === 'duration' ? formatDuration(value) : unit === 'size' ? formatSize(value) : value
}

function withoutPassword(text: string): string {
  const url = new URL(text)
  if (url.password) url.password = MASK
  return url.href
}
