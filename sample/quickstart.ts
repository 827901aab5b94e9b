import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { serve } from '../src/cli/serve.ts'
import { mintFor } from '../src/cli/token.ts'
import { loadConfig } from '../src/config/load.ts'
import { type DemoToken, type SampleApi, startSampleApi } from './api.ts'
import { PEOPLE } from './catalog.ts'

/** `npm start`: the sample API on a free port, the gateway in front of it, and what to type to see them work. */
const CONFIG_FILE = fileURLToPath(new URL('../config/quickstart.yaml', import.meta.url))
const TOKEN_TTL_MS = 24 * 3_600_000

/** Slow enough that a miss is felt and a hit is seen. */
const QUERY = JSON.stringify({
  dataset: 'sales',
  dimensions: ['region'],
  measures: [{ op: 'sum', field: 'amount' }],
  slowMs: 800,
})

/** A report that takes its time; the cache has no answer to it yet. */
const REPORT = JSON.stringify({
  dataset: 'sales',
  dimensions: ['region', 'product'],
  measures: [{ op: 'sum', field: 'amount' }],
  slowMs: 2_000,
})

async function main(): Promise<void> {
  const sample = await startSampleApi()
  process.env.SAMPLE_PORT = new URL(sample.url).port // the config's upstream
  const tokens = await mintTokens()
  sample.setTokens(tokens)
  const gateway = await serve({ configFile: CONFIG_FILE }).catch(async (error: unknown) => {
    await sample.close()
    throw error
  })
  const stopped = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
  process.stdout.write(greeting({ url: gateway.url!, adminUrl: gateway.adminUrl }, sample, tokens))
  await stopped
  process.once('SIGINT', () => process.exit(130)) // a second Ctrl-C does not wait
  process.stdout.write('\nDraining …\n')
  await gateway.close()
  await sample.close()
}

/** Signed as the config's own issuer would, so whatever secret stands there is the one that is used. */
function mintTokens(): Promise<DemoToken[]> {
  const config = loadConfig(CONFIG_FILE, process.env)
  return Promise.all(
    PEOPLE.map(async ({ tenant, principal, regions }) => ({
      label: `${tenant} / ${principal} (${regions.length > 0 ? `sees ${regions.join(', ')}` : 'sees all regions'})`,
      tenant,
      principal,
      token: await mintFor(config, { tenant, sub: principal, claims: {}, ttlMs: TOKEN_TTL_MS }),
    })),
  )
}

function greeting(gateway: { url: string; adminUrl: string }, sample: SampleApi, tokens: readonly DemoToken[]): string {
  const first = tokens[0]!
  const other = tokens.find(({ tenant }) => tenant !== first.tenant)!
  const perTenant = tokens.filter(({ tenant }, at) => tokens.findIndex((token) => token.tenant === tenant) === at)
  return `
Sluice is running. Ctrl-C stops it.

  Dashboard    ${gateway.url}/
  Gateway      ${gateway.url}
  Admin        ${gateway.adminUrl}
  Sample API   ${sample.url}   (behind the gateway; it trusts X-Tenant-Id)

Tokens, good for a day:

${perTenant.map(({ label, token }) => `  ${label}\n  ${token}\n`).join('\n')}
1. A miss, 0.8 s:

${curl(gateway.url, first.token)}

2. The same again, a hit:

${curl(gateway.url, first.token)}

3. A submission: a slow query becomes a job (202), is waited for, and its result fetched:

${submission(gateway.url, first.token)}

4. The question of 1 as ${other.tenant}: a miss of its own, and other rows:

${curl(gateway.url, other.token)}

`
}

const curl = (url: string, token: string): string =>
  `curl -si ${url}/api/query -H 'Authorization: Bearer ${token}' -H 'Content-Type: application/json' -d '${QUERY}' -w 'took %{time_total} s\\n' | grep -iE '^(HTTP|cache-status|[{]|took)'`

/** One line that submits a job, follows it and shows what it brought. */
const submission = (url: string, token: string): string =>
  `A='Authorization: Bearer ${token}'; JOB=$(curl -s ${url}/api/query -H "$A" -H 'Content-Type: application/json' -H 'Prefer: respond-async' -d '${REPORT}' | tee /dev/stderr | sed -E 's/.*"self":"([^"]+)".*/\\1/'); echo; curl -s "${url}$JOB" -H "$A" -H 'Prefer: wait=20'; curl -si "${url}$JOB/result" -H "$A"; echo`

/** What went wrong, in words that say what to do. */
function explained(error: unknown): string {
  const { code, port, message } = error as NodeJS.ErrnoException & { port?: number }
  if (code !== 'EADDRINUSE') return message
  return `port ${port} is taken: stop what listens there, or change server.port or admin.port in ${CONFIG_FILE}`
}

try {
  await main()
  process.exit(0)
} catch (error) {
  console.error(`Sluice could not start: ${explained(error)}`)
  process.exit(1)
}
