import cluster from 'node:cluster'
import { ConfigInvalid } from '../config/faults.ts'
import { readConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { watchConfig } from '../config/watch.ts'
import { type Gateway, openGateway, type Role } from '../gateway.ts'
import { DatabaseUnusable } from '../queue/database.sqlite.ts'
import { routeFaults } from '../request/policy.ts'
import { createLog, type LogParts } from '../telemetry/log.ts'
import { Refused } from './output.ts'
import { needsCrew, openProcesses, recyclings, runMember } from './processes.ts'
import { reloadFrom } from './reload.ts'

export const ROLES = ['all', 'gateway', 'worker'] as const satisfies Role[]

export interface Serving {
  /** Null for a worker, which has no data port. */
  url: string | null
  adminUrl: string
  reload(): Promise<void>
  close(): Promise<void>
}

export interface ServeWish {
  configFile: string
  role?: Role
}

/** Starts a gateway from a config file and keeps to the file as it changes. Throws Refused when the file has faults. */
export async function serve({ configFile, role = 'all' }: ServeWish): Promise<Serving> {
  const { config, warnings } = readOrRefuse(configFile)
  const faults = routeFaults(config)
  if (faults.length > 0) throw new Refused(`the config is not valid\n${faults.join('\n')}`)
  if (role !== 'all') refuseUnshared(config, role)
  const parts = createLog({ level: config.telemetry.logLevel })
  const { log } = parts
  for (const warning of warnings) log.warn({ place: `${warning.file}:${warning.line}:${warning.col}` }, warning.message)
  const gateway = needsCrew(config, role)
    ? await openProcesses(config, role, parts)
    : await openAlone(config, role, parts)
  const reload = () => reloadFrom(configFile, gateway, log)
  const watcher = watchConfig(configFile, () => void reload())
  log.info({ url: gateway.url, adminUrl: gateway.adminUrl, role }, 'listening')
  log.flush()
  return {
    url: gateway.url,
    adminUrl: gateway.adminUrl!,
    reload,
    async close() {
      watcher[Symbol.dispose]()
      await gateway[Symbol.asyncDispose]()
      log.info('closed')
      log.flush()
    },
  }
}

/** What one process takes in another one must find. */
function refuseUnshared({ store }: Config, role: Role): void {
  if (store.kind === 'redis') return
  throw new Refused(
    `--role ${role} needs store.kind: redis, for jobs are handed from one process to another; ` +
      'with the embedded store they live in one, which is --role all',
  )
}

/** A file of jobs that cannot be used is the operator's to mend, and no fault of ours. */
function orRefused(error: unknown): never {
  if (error instanceof DatabaseUnusable) throw new Refused(error.message, { cause: error })
  throw error
}

async function openAlone(config: Config, role: Role, parts: LogParts): Promise<Gateway> {
  const doors = { data: role !== 'worker', admin: true }
  const gateway = await openGateway(config, { ...parts, role, doors }).catch(orRefused)
  return {
    ...gateway,
    async reload(next) {
      const needRestart = await gateway.reload(next)
      // There is nobody to take its place.
      return role === 'gateway' ? needRestart : [...needRestart, ...recyclings(next)]
    },
  }
}

function readOrRefuse(file: string) {
  try {
    return readConfig(file, process.env)
  } catch (error) {
    if (error instanceof ConfigInvalid) throw new Refused(`the config is not valid\n${error.message}`)
    throw error
  }
}

/** The verb: serves until SIGTERM or SIGINT, drains, and ends with exit code 0. */
export async function runServe(wish: ServeWish): Promise<number> {
  if (cluster.isWorker) return runMember()
  // Heard from the start on: whoever reads "listening" may end us before the next line has run.
  const asked = new Promise<void>((resolve) => {
    process.once('SIGTERM', resolve)
    process.once('SIGINT', resolve)
  })
  const serving = await serve(wish)
  process.on('SIGHUP', () => void serving.reload())
  await asked
  process.once('SIGINT', () => process.exit(130)) // a second Ctrl-C does not wait
  await serving.close()
  return 0
}
