/** The JSON Schema (draft 2020-12) that lets an editor complete and check a config file as it is written. */
import { configShape, type Shape } from './shape.ts'

type Json = Record<string, unknown>

/** A text that holds a reference to the environment may stand for any scalar. */
const REFERENCE: Json = {
  type: 'string',
  pattern: '\\$\\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\\}',
  description: 'Taken from the environment.',
}

export function jsonSchema(): Json {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Sluice configuration',
    ...forEditors(configShape()),
    $defs: { reference: REFERENCE },
  }
}

function forEditors(shape: Shape): Json {
  const { description, default: preset, ...rest } = withoutOwnWords(shape)
  const said = { ...(description !== undefined && { description }), ...(isTelling(preset) && { default: preset }) }
  if (isNarrowScalar(shape)) return { ...said, anyOf: [rest, { $ref: '#/$defs/reference' }] }
  return { ...said, ...mapped(rest) }
}

/** What this project says beside the standard's words is for its own pages. */
const withoutOwnWords = (shape: Shape): Json =>
  Object.fromEntries(Object.entries(shape).filter(([word]) => !word.startsWith('x-') && word !== '$schema'))

/** A section that is left out gets its inner defaults; `{}` would tell an editor nothing. */
const isTelling = (preset: unknown): boolean => preset !== undefined && JSON.stringify(preset) !== '{}'

/** A scalar that a reference would not match. Constants stay bare: they are how editors tell variants apart. */
function isNarrowScalar({ type, pattern, enum: values, minLength = 0 }: Shape): boolean {
  if (type === 'string') return pattern !== undefined || values !== undefined || minLength > 1
  return type === 'number' || type === 'integer' || type === 'boolean'
}

function mapped(shape: Json): Json {
  const { properties, additionalProperties, items, anyOf, oneOf } = shape as Shape
  return {
    ...shape,
    ...(properties && { properties: eachOf(properties) }),
    ...(typeof additionalProperties === 'object' && { additionalProperties: forEditors(additionalProperties) }),
    ...(items && { items: forEditors(items) }),
    ...(anyOf && { anyOf: anyOf.map(forEditors) }),
    ...(oneOf && { oneOf: oneOf.map(forEditors) }),
    ...((shape as Shape).propertyNames && { propertyNames: withoutOwnWords((shape as Shape).propertyNames!) }),
  }
}

const eachOf = (shapes: Record<string, Shape>): Json =>
  Object.fromEntries(Object.entries(shapes).map(([key, shape]) => [key, forEditors(shape)]))
