/** The schema as plain JSON Schema, to walk along: what may stand at a path, and how that is said to people. */
import { z } from 'zod'
import { type Path, valueAt } from './faults.ts'
import { Config } from './schema.ts'

export interface Shape {
  type?: string
  description?: string
  default?: unknown
  const?: unknown
  enum?: unknown[]
  pattern?: string
  minimum?: number
  maximum?: number
  minItems?: number
  minLength?: number
  properties?: Record<string, Shape>
  required?: string[]
  additionalProperties?: boolean | Shape
  propertyNames?: Shape
  items?: Shape
  anyOf?: Shape[]
  oneOf?: Shape[]
  'x-unit'?: 'duration' | 'size'
  'x-range'?: string
  'x-form'?: string
  'x-secret'?: 'whole' | 'password'
  'x-as'?: string
}

let whole: Shape | undefined

/** The config as it is written in a file (durations are texts). */
export function configShape(): Shape {
  whole ??= z.toJSONSchema(Config, { io: 'input' }) as Shape
  return whole
}

/** What may stand at a path, given the data around it; undefined where nothing may. */
export function shapeAt(path: Path, data: unknown): Shape | undefined {
  let shape: Shape | undefined = configShape()
  for (const [depth, step] of path.entries()) {
    if (!shape) return undefined
    shape = inside(shape, step, valueAt(data, path.slice(0, depth)))
  }
  return shape
}

function inside(shape: Shape, step: string | number, data: unknown): Shape | undefined {
  const children = variants(shape, data)
    .map((variant) => child(variant, step))
    .filter((found) => found !== undefined)
  return children.length > 1 && children.every(({ const: value }) => value !== undefined)
    ? { enum: children.map(({ const: value }) => value), description: children[0]!.description ?? '' }
    : children[0]
}

function child(shape: Shape, step: string | number): Shape | undefined {
  if (typeof step === 'number') return shape.items
  if (shape.properties && Object.hasOwn(shape.properties, step)) return shape.properties[step]
  return typeof shape.additionalProperties === 'object' ? shape.additionalProperties : undefined
}

/** The alternatives of a shape that the data may be: those whose constants it has, or all of them. */
export function variants(shape: Shape, data: unknown): Shape[] {
  const all = shape.anyOf ?? shape.oneOf
  if (!all) return [shape]
  const fitting = all.filter((variant) => hasConstants(variant, data))
  return (fitting.length > 0 ? fitting : all).flatMap((variant) => variants(variant, data))
}

function hasConstants(shape: Shape, data: unknown): boolean {
  return Object.entries(shape.properties ?? {}).every(
    ([key, { const: value }]) => value === undefined || valueAt(data, [key]) === value,
  )
}

/** The keys that a section may have. */
export const keysOf = (shape: Shape, data: unknown): string[] => [
  ...new Set(variants(shape, data).flatMap((variant) => Object.keys(variant.properties ?? {}))),
]

/** 'a duration such as 250ms or 5m, 0s to 7d': for faults and for docs/config.md. */
export function shapeText(shape: Shape): string {
  const options = shape.anyOf ?? shape.oneOf
  if (options) return optionsText(options)
  if (shape['x-unit'] === 'duration') return `a duration such as 250ms, 30s, 5m, 1h or 1d; ${shape['x-range']}`
  if (shape['x-unit'] === 'size') return `a size such as 64KiB, 10MiB or 1GiB; ${shape['x-range']}`
  if (shape['x-form']) return shape['x-form']
  if (shape.enum) return `one of ${shape.enum.join(', ')}`
  if (shape.const !== undefined) return String(shape.const)
  return plainText(shape)
}

function optionsText(options: readonly Shape[]): string {
  const [one, several] = options
  const same = several?.items && shapeText(several.items) === shapeText(one!)
  return same ? `${shapeText(one!)}; or a list of such` : options.map(shapeText).join(', or ')
}

function plainText(shape: Shape): string {
  if (shape.type === 'integer' || shape.type === 'number') {
    return `${shape.type === 'integer' ? 'a whole number' : 'a number'}, ${shape.minimum} to ${shape.maximum}`
  }
  if (shape.type === 'array') {
    return `a list${shape.minItems ? ` of at least ${shape.minItems}` : ''}: ${shapeText(shape.items ?? {})}`
  }
  if (shape.type === 'boolean') return 'true or false'
  if (shape.type === 'object') {
    const keys = Object.keys(shape.properties ?? {})
    return keys.length > 0 ? `a section of ${keys.join(', ')}` : 'a section of names'
  }
  return shape.type === 'null' ? 'null' : 'text'
}
