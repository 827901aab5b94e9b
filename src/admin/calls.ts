import { z } from 'zod'
import { Refusal, type RefusalCode } from '../kernel/errors.ts'

/** One call of the API, as its operation finds it. */
export interface AdminCall {
  /** What stands in the path where its pattern has `:name`. */
  params: Readonly<Record<string, string>>
  query: URLSearchParams
  /** Parsed JSON; undefined when there is none. */
  body: unknown
}

/** Answers one call: the document, or a Refusal thrown. */
export type Operation = (call: AdminCall) => Promise<unknown>

interface Pattern {
  method: string
  segments: readonly string[]
  operation: Operation
}

/** The operations by method and path, such as `GET /admin/v1/jobs/:id`; a `:name` stands for one segment. */
export class Operations {
  readonly #patterns: readonly Pattern[]
  /** What there is, to be told. */
  readonly names: readonly string[]

  constructor(operations: Readonly<Record<string, Operation>>) {
    this.names = Object.keys(operations)
    this.#patterns = Object.entries(operations).map(([name, operation]) => {
      const [method, path] = name.split(' ') as [string, string]
      return { method, segments: path.split('/'), operation }
    })
  }

  find(method: string, path: string): { operation: Operation; params: Record<string, string> } | null {
    const segments = path.split('/')
    for (const pattern of this.#patterns) {
      const params = pattern.method === method ? paramsOf(pattern.segments, segments) : null
      if (params) return { operation: pattern.operation, params }
    }
    return null
  }
}

function paramsOf(pattern: readonly string[], segments: readonly string[]): Record<string, string> | null {
  if (pattern.length !== segments.length) return null
  const params: Record<string, string> = {}
  for (const [at, name] of pattern.entries()) {
    const segment = segments[at]!
    if (name.startsWith(':') && segment !== '') params[name.slice(1)] = decoded(segment)
    else if (name !== segment) return null
  }
  return params
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    throw new Refusal('REQUEST_INVALID', { detail: `the path has a broken escape: ${segment}` })
  }
}

/** The body, checked. Throws BODY_INVALID with what is allowed. */
export const bodyOf = <T>({ body }: AdminCall, schema: z.ZodType<T>, allowed: string): T =>
  checked(schema, body, 'BODY_INVALID', 'the body', allowed)

/** The query's parameters, checked; an empty one is as if it were not there. Throws REQUEST_INVALID with what is allowed. */
export function queryOf<T>({ query }: AdminCall, schema: z.ZodType<T>, allowed: string): T {
  const given = Object.fromEntries([...query].filter(([, value]) => value !== ''))
  return checked(schema, given, 'REQUEST_INVALID', 'the query', allowed)
}

function checked<T>(schema: z.ZodType<T>, input: unknown, code: RefusalCode, whole: string, allowed: string): T {
  const result = schema.safeParse(input)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  throw new Refusal(code, { detail: `${issue?.path.join('.') || whole}: ${issue?.message} (${allowed})` })
}

export const TenantName = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'is no possible name of a tenant')

/** A whole number in a query. */
export const limitUpTo = (most: number, byDefault: number) =>
  z
    .string()
    .regex(/^\d{1,9}$/, 'is no whole number')
    .transform(Number)
    .pipe(z.int().min(1).max(most))
    .default(byDefault)
