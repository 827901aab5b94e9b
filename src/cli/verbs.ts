import { parseArgs } from 'node:util'
import { ConfigInvalid, formatFault } from '../config/faults.ts'
import { jsonSchema } from '../config/jsonschema.ts'
import { readConfig } from '../config/load.ts'
import { showConfig } from '../config/show.ts'
import { DURATION_UNITS, parseDurationMs } from '../kernel/units.ts'
import { routeFaults } from '../request/policy.ts'
import { ADMIN, ADMIN_FLAGS, adminPlace, callAdmin } from './admin-client.ts'
import { jobsVerb } from './jobs.ts'
import { Refused, say, UsageError } from './output.ts'
import { queuesVerb } from './queues.ts'
import { ROLES, runServe } from './serve.ts'
import { outline } from './table.ts'
import { tenantsVerb } from './tenants.ts'
import { mintFor } from './token.ts'
import type { Verb } from './verb.ts'

export type { Verb } from './verb.ts'

const CONFIG = { config: { type: 'string', short: 'c' } } as const
const CONFIG_FLAG = '  --config FILE   the config (default: SLUICE_CONFIG, else config/sluice.yaml)'

export const configFile = (given: string | undefined): string =>
  given ?? process.env.SLUICE_CONFIG ?? 'config/sluice.yaml'

const load = (file: string) => readConfig(file, process.env)

export const VERBS: Record<string, Verb> = {
  serve: {
    about: 'runs the gateway',
    usage: `sluice serve [--config FILE] [--role ${ROLES.join('|')}]`,
    flags: `${CONFIG_FLAG}
  --role ROLE     all: answers requests and runs jobs (default); gateway: runs no jobs; worker: has no data port and
                  only runs jobs. Other roles than all need store.kind: redis`,
    example: 'sluice serve --config config/sluice.yaml      # SIGTERM drains, SIGHUP reloads the config',
    async run(args) {
      const { values } = parseArgs({ args, options: { ...CONFIG, role: { type: 'string', default: 'all' } } })
      const role = ROLES.find((name) => name === values.role)
      if (!role) throw new UsageError(`--role ${values.role} is none (it is one of ${ROLES.join(', ')})`)
      return runServe({ configFile: configFile(values.config), role })
    },
  },
  check: {
    about: 'validates a config and prints every fault with its place',
    usage: 'sluice check [--config FILE]',
    flags: CONFIG_FLAG,
    example: 'sluice check --config config/sluice.yaml      # exit code 0: fine, 1: faults',
    async run(args) {
      const { values } = parseArgs({ args, options: CONFIG })
      const file = configFile(values.config)
      const { config, warnings } = orFaults(() => load(file))
      const faults = routeFaults(config)
      if (faults.length > 0)
        throw new Refused(`the config is not valid\n${faults.map((fault) => `${file} ${fault}`).join('\n')}`)
      for (const warning of warnings) say(`warning: ${formatFault(warning)}`)
      say(`${file} is valid`)
      return 0
    },
  },
  config: {
    about: 'prints the JSON Schema of the config, or the effective config with secrets masked',
    usage: 'sluice config schema | show [--config FILE]',
    flags: CONFIG_FLAG,
    example: 'sluice config show                            # every default filled in',
    async run(args) {
      const { values, positionals } = parseArgs({ args, options: CONFIG, allowPositionals: true })
      if (positionals[0] === 'schema') say(JSON.stringify(jsonSchema(), null, 2))
      else if (positionals[0] === 'show') say(showConfig(orFaults(() => load(configFile(values.config))).config))
      else throw new UsageError('config wants to know what: sluice config schema, or sluice config show')
      return 0
    },
  },
  token: {
    about: "mints a development token with the config's HMAC secret",
    usage: 'sluice token --tenant T [--sub S] [--claim NAME=VALUE]... [--ttl 1h] [--config FILE]',
    flags: `  --tenant T      the tenant, as tenants.list names it
  --sub S         the principal (default: dev)
  --claim N=V     a further claim; V is JSON where it parses, else text; repeatable
  --ttl D         how long it lives (default: 1h)
${CONFIG_FLAG}`,
    example: 'curl -H "Authorization: Bearer $(sluice token --tenant acme)" http://127.0.0.1:8080/',
    run: runToken,
  },
  explain: {
    about: 'shows what the gateway would do with a request: route, identity, key, what the cache holds',
    usage: "sluice explain METHOD PATH [-H 'Name: value']... [-d BODY] [--admin URL] [--json]",
    flags: `  -H, --header    a header of the request; repeatable
  -d, --data      its body
${ADMIN_FLAGS}`,
    example: `sluice explain POST /api/query -H "Authorization: Bearer $TOKEN" -d '{"dataset":"sales"}'`,
    run: runExplain,
  },
  purge: {
    about: 'makes cached answers invalid at once, in every process',
    usage: 'sluice purge --all | [--tenant T] [--tag TAG]... [--key KEY] [--admin URL] [--json]',
    flags: `  --all           everything
  --tenant T      all of a tenant, or with --tag or --key that part of it
  --tag TAG       answers that bear the tag, of every tenant or of --tenant; repeatable
  --key KEY       one answer, by the key that \`sluice explain\` shows
${ADMIN_FLAGS}`,
    example: 'sluice purge --tag dataset:sales                   # after an ETL run',
    run: runPurge,
  },
  jobs: jobsVerb,
  queues: queuesVerb,
  tenants: tenantsVerb,
  help: {
    about: 'this, or more about one verb',
    usage: 'sluice help [VERB]',
    example: 'sluice help purge',
    async run([name]) {
      const verb = name === undefined ? undefined : VERBS[name]
      if (name !== undefined && !verb) throw new UsageError(`there is no verb "${name}"\n\n${help()}`)
      say(verb ? verbHelp(name!, verb) : help())
      return 0
    },
  },
}

/** The list of verbs, with an example each. */
export function help(): string {
  const lines = Object.entries(VERBS).map(
    ([name, { about, example }]) => `  ${name.padEnd(8)} ${about}\n           e.g. ${example}`,
  )
  return `sluice: a multi-tenant query gateway\n\n${lines.join('\n')}\n\nMore about a verb: sluice help VERB. In a checkout: npx sluice, or node src/main.ts.`
}

const verbHelp = (name: string, { about, usage, flags, example, shows }: Verb): string =>
  `sluice ${name}: ${about}\n\nusage: ${usage}\n${flags ? `\n${flags}\n` : ''}\nexample: ${example}${shows ? `\n\n${shows}` : ''}`

function orFaults<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof ConfigInvalid) throw new Refused(`the config is not valid\n${error.message}`)
    throw error
  }
}

async function runToken(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      ...CONFIG,
      tenant: { type: 'string' },
      sub: { type: 'string', default: 'dev' },
      claim: { type: 'string', multiple: true, default: [] },
      ttl: { type: 'string', default: '1h' },
    },
  })
  if (values.tenant === undefined) throw new UsageError('token wants --tenant T')
  const ttlMs = parseDurationMs(values.ttl)
  if (!ttlMs)
    throw new UsageError(`--ttl ${values.ttl} is no duration (a number and one of ${DURATION_UNITS.join(', ')})`)
  const claims = Object.fromEntries(values.claim.map(claimOf))
  const { config } = orFaults(() => load(configFile(values.config)))
  say(await mintFor(config, { tenant: values.tenant, sub: values.sub, claims, ttlMs }))
  return 0
}

function claimOf(text: string): [string, unknown] {
  const at = text.indexOf('=')
  if (at < 1) throw new UsageError(`--claim ${text} wants NAME=VALUE`)
  return [text.slice(0, at), jsonOrText(text.slice(at + 1))]
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

async function runPurge(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      ...ADMIN,
      all: { type: 'boolean' },
      tenant: { type: 'string' },
      tag: { type: 'string', multiple: true },
      key: { type: 'string' },
    },
  })
  const { all, tenant, tag, key } = values
  if (!all && (tenant ?? tag ?? key) === undefined)
    throw new UsageError('purge wants --all, --tenant T, --tag TAG or --key KEY')
  if (all && (tenant ?? tag ?? key) !== undefined) throw new UsageError('--all stands alone')
  if (tag && key !== undefined) throw new UsageError('--tag and --key exclude each other')
  const what = all
    ? { all }
    : { ...(tenant !== undefined && { tenant }), ...(tag && { tags: tag }), ...(key !== undefined && { key }) }
  const done = (await callAdmin(adminPlace(values), 'POST', '/admin/v1/purge', what)) as { tookMs: number }
  say(values.json ? JSON.stringify(done) : `purged ${JSON.stringify(what)} in ${done.tookMs} ms`)
  return 0
}

async function runExplain(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    options: {
      ...ADMIN,
      header: { type: 'string', short: 'H', multiple: true, default: [] },
      data: { type: 'string', short: 'd' },
    },
    allowPositionals: true,
  })
  const [method, path] = positionals
  if (!method || !path) throw new UsageError(`explain wants METHOD and PATH\n${VERBS.explain!.usage}`)
  const headers = Object.fromEntries(values.header.map(headerOf))
  const input = { method, path, headers, ...(values.data !== undefined && { body: values.data }) }
  const told = await callAdmin(adminPlace(values), 'POST', '/admin/v1/explain', input)
  say(values.json ? JSON.stringify(told) : outline(told))
  return 0
}

function headerOf(text: string): [string, string] {
  const at = text.indexOf(':')
  if (at < 1) throw new UsageError(`-H ${text} wants 'Name: value'`)
  return [text.slice(0, at).trim(), text.slice(at + 1).trim()]
}
