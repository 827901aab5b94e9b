import { Refusal } from '../kernel/errors.ts'
import { looseReading } from './path.ts'
import { compilePattern } from './pattern.ts'

/** What a route matches on. No method: any method. */
export interface Match {
  method?: string | readonly string[] | undefined
  path: string
}

interface Compiled<R> {
  readonly route: R
  /** null = any. */
  readonly methods: ReadonlySet<string> | null
}

interface Open<R> extends Compiled<R> {
  readonly index: number
  readonly prefix: string
  readonly whole: RegExp | null
}

interface Exact<R> extends Compiled<R> {
  readonly index: number
}

/**
 * Finds the first route, in the order of the config, that matches. That order is the operator's only tool ("this one is
 * denied, the rest below it is proxied"), and find-my-way cannot keep it: a radix tree ranks by how specific a path is.
 * Exact paths stand in a map; the others are tried in order, and only those that come before the exact match.
 */
export class Router<R extends { readonly match: Match }> {
  readonly #exact = new Map<string, Exact<R>[]>()
  readonly #open: Open<R>[] = []

  /** Throws an Error for a pattern that cannot be compiled. */
  constructor(routes: readonly R[]) {
    routes.forEach((route, index) => {
      this.#add(route, index)
    })
  }

  #add(route: R, index: number): void {
    const methods = compileMethods(route.match.method)
    const pattern = compilePattern(route.match.path)
    if (pattern.kind === 'open') {
      this.#open.push({ route, methods, index, prefix: pattern.prefix, whole: pattern.whole })
      return
    }
    const same = this.#exact.get(pattern.path)
    if (same) same.push({ route, methods, index })
    else this.#exact.set(pattern.path, [{ route, methods, index }])
  }

  /**
   * @param normalPath what `normalPath` made of the request's path
   * Throws REQUEST_INVALID where a lenient upstream could read the path so that another route should have decided:
   * `/admin%2Fusers` must not walk past `deny /admin/*` to a WSGI server that decodes before it routes.
   */
  find(method: string, normalPath: string): R | undefined {
    const route = this.#first(method, normalPath)
    const loose = looseReading(normalPath)
    if (loose !== normalPath && this.#first(method, loose) !== route) {
      throw new Refusal('REQUEST_INVALID', {
        detail: 'the encoded characters or parameters in this path let it be read as two different routes',
      })
    }
    return route
  }

  #first(method: string, path: string): R | undefined {
    const exact = this.#exact.get(path)?.find((candidate) => takes(candidate, method))
    const before = exact?.index ?? Number.POSITIVE_INFINITY
    for (const candidate of this.#open) {
      if (candidate.index > before) break
      if (!path.startsWith(candidate.prefix) || !takes(candidate, method)) continue
      if (candidate.whole === null || candidate.whole.test(path)) return candidate.route
    }
    return exact?.route
  }
}

/** HEAD is asked of whatever answers GET (RFC 9110 section 9.3.2). */
function compileMethods(method: Match['method']): ReadonlySet<string> | null {
  if (method === undefined) return null
  const methods = new Set((typeof method === 'string' ? [method] : method).map((name) => name.toUpperCase()))
  if (methods.has('GET')) methods.add('HEAD')
  return methods
}

const takes = (candidate: Compiled<unknown>, method: string): boolean =>
  candidate.methods === null || candidate.methods.has(method)
