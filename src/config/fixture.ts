/** For the tests of this room: configs that differ from a valid one in one place. */
import type { Environment } from './environment.ts'
import { ConfigInvalid, type Fault } from './faults.ts'
import { type Loaded, parseConfig } from './load.ts'
import type { Config } from './schema.ts'

export const SECRET = 'a-secret-of-more-than-sixty-four-bytes-for-every-hs-algorithm-there-is'

/** The sections every config needs; what a test gives replaces a section of the same name. */
const BASE: Record<string, string> = {
  server: 'server: { host: 127.0.0.1 }',
  auth: `auth: { issuers: [{ name: main, algorithms: [HS256], secret: ${SECRET}, tenant: { claim: tenant } }] }`,
  upstreams: 'upstreams: { main: { urls: ["http://127.0.0.1:8088"] } }',
}

/** Given sections come first, so that a test knows their lines. */
export function configText(sections: string): string {
  const rest = Object.entries(BASE).filter(([name]) => !new RegExp(`^${name}:`, 'm').test(sections))
  return [sections, ...rest.map(([, text]) => text)].join('\n')
}

export const load = (sections = '', env: Environment = {}): Loaded =>
  parseConfig(configText(sections), { file: 'test.yaml', env })

export const configOf = (sections = '', env: Environment = {}): Config => load(sections, env).config

export function faultsOf(sections: string, env: Environment = {}): readonly Fault[] {
  try {
    load(sections, env)
    return []
  } catch (error) {
    if (error instanceof ConfigInvalid) return error.faults
    throw error
  }
}

/** 'LINE:COL path: message' of each fault, without what is allowed. */
export const told = (sections: string, env: Environment = {}): string[] =>
  faultsOf(sections, env).map(({ line, col, path, message }) => `${line}:${col} ${path}: ${message}`)
