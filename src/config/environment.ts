/**
 * `${NAME}` and `${NAME:-default}` inside one text. As in a shell, the default also stands in for an empty variable.
 * `$${` writes a plain `${`. Faults name variables and never show a value.
 */
export type Environment = Readonly<Record<string, string | undefined>>

export interface Substituted {
  text: string
  /** Something was put in: the text may not be shown in a fault. */
  changed: boolean
  /** The text was one reference and nothing else, so that it may stand for a number or a boolean. */
  whole: boolean
  faults: string[]
}

const REFERENCE = /\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\})?/g

export function substitute(text: string, env: Environment): Substituted {
  const faults: string[] = []
  let references = 0
  let whole = false
  const replaced = text.replace(REFERENCE, (found: string, name: string | undefined, fallback: string | undefined) => {
    if (found === '$${') return '${'
    if (name === undefined) {
      faults.push('holds a ${ that starts no reference')
      return ''
    }
    references++
    whole = found === text
    return resolve(name, fallback, env, faults)
  })
  return { text: replaced, changed: references > 0, whole, faults }
}

function resolve(name: string, fallback: string | undefined, env: Environment, faults: string[]): string {
  const value = Object.hasOwn(env, name) ? env[name] : undefined
  if (fallback !== undefined) return value || fallback
  if (value === undefined) faults.push(`needs the environment variable ${name}, which is not set`)
  return value ?? ''
}

/** 'true' → true, '8080' → 8080; undefined for what stays a text. */
export function scalarFrom(text: string): boolean | number | undefined {
  if (text === 'true' || text === 'false') return text === 'true'
  return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : undefined
}
