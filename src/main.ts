#!/usr/bin/env node
/** The command line: finds the verb, runs it, and turns what it throws into an exit code. Nothing else. */
import { complain, Refused, UsageError } from './cli/output.ts'
import { help, VERBS, type Verb } from './cli/verbs.ts'

const [name = 'help', ...rest] = process.argv.slice(2)

function find(name: string): Verb {
  const asked = name === '--help' || name === '-h' ? 'help' : name
  const verb = VERBS[asked]
  if (!verb) throw new UsageError(`there is no verb "${name}"\n\n${help()}`)
  return verb
}

try {
  const verb = find(name)
  process.exitCode = rest.includes('--help') ? await VERBS.help!.run([name]) : await verb.run(rest)
} catch (error) {
  if (error instanceof UsageError || isParseArgsError(error)) {
    complain(`sluice: ${(error as Error).message}`)
    process.exitCode = 2
  } else if (error instanceof Refused) {
    complain(`sluice: ${error.message}`)
    process.exitCode = 1
  } else {
    throw error
  }
}

function isParseArgsError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')
}
