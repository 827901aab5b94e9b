/** A config file, read whole: either a frozen config, or every fault it has. */
import { readFileSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { keyFindings } from './auth.rules.ts'
import { type ConfigDocument, type Place, readDocument } from './document.ts'
import type { Environment } from './environment.ts'
import { ConfigInvalid, type Fault, type Issue, pathText } from './faults.ts'
import { judge } from './judge.ts'
import { warnings } from './rules.ts'
import type { Config } from './schema.ts'

/** A config is written by people; a larger file is a mistake. */
const MAX_FILE_BYTES = 4 * 1024 ** 2

export interface Loaded {
  config: Config
  /** What is doubtful but does not keep the gateway from starting. */
  warnings: Fault[]
}

/** @throws ConfigInvalid with every fault of the file */
export const loadConfig = (file: string, env: Environment): Config => readConfig(file, env).config

/** @throws ConfigInvalid with every fault of the file */
export const readConfig = (file: string, env: Environment): Loaded => parseConfig(readText(file), { file, env })

/**
 * The text of a config file. `file` names it in faults, and relative paths inside start where it stands.
 * @throws ConfigInvalid with every fault of the text
 */
export function parseConfig(text: string, { file, env }: { file: string; env: Environment }): Loaded {
  const document = readDocument(text, env)
  const { issues, config } = document.readable
    ? judge(
        document.data,
        document.substituted,
        document.faults.map(({ path }) => path).filter((path) => path.length > 0),
      )
    : { issues: [], config: undefined }
  const keyIssues = config ? readKeyFiles(config, dirname(resolve(file))) : []
  const placed = [...issues, ...keyIssues].map((issue) => fault(file, issue, place(document, issue)))
  const faults = [...document.faults.map((issue) => fault(file, issue, issue.place)), ...placed]
  if (faults.length > 0 || !config) throw new ConfigInvalid(faults.toSorted(inFileOrder))
  const doubts = warnings(config).map((issue) => fault(file, issue, place(document, issue)))
  return { config: deepFreeze(config), warnings: doubts.toSorted(inFileOrder) }
}

const place = ({ placeOf }: ConfigDocument, { path, atKey }: Issue): Place => placeOf(path, atKey ? 'key' : 'value')

const fault = (file: string, { path, message, allowed = '' }: Issue, { line, col }: Place): Fault => ({
  file,
  line,
  col,
  path: pathText(path),
  message,
  allowed,
})

const inFileOrder = (a: Fault, b: Fault) => a.line - b.line || a.col - b.col

function readText(file: string): string {
  const refuse = (message: string) => new ConfigInvalid([{ file, line: 1, col: 1, path: '', message, allowed: '' }])
  try {
    if (statSync(file).size > MAX_FILE_BYTES) throw refuse(`is larger than ${MAX_FILE_BYTES} bytes`)
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof ConfigInvalid) throw error
    throw refuse(`cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown reason'}`)
  }
}

/** Makes key files absolute, and looks at their keys now rather than at the first request. */
function readKeyFiles(config: Config, directory: string): Issue[] {
  return config.auth.issuers.flatMap((issuer, at) => {
    if (issuer.publicKeyFile === undefined) return []
    const path = ['auth', 'issuers', at, 'publicKeyFile']
    issuer.publicKeyFile = resolve(directory, issuer.publicKeyFile)
    try {
      return keyFindings(readFileSync(issuer.publicKeyFile, 'utf8'), issuer.algorithms, path)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      return [{ path, message: `cannot be read: ${code}`, allowed: 'a PEM file; relative to this config file' }]
    }
  })
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const inner of Object.values(value)) deepFreeze(inner)
  }
  return value
}
