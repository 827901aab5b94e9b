import cluster from 'node:cluster'
import { ConfigInvalid } from '../config/faults.ts'
import { readConfig } from '../config/load.ts'
import { watchConfig } from '../config/watch.ts'
import { type Gateway, openGateway } from '../gateway.ts'
import { routeFaults } from '../request/policy.ts'
import { createLog } from '../telemetry/log.ts'
import { Refused } from './output.ts'
import { openProcesses, runWorker } from './processes.ts'
import { reloadFrom } from './reload.ts'

export interface Serving {
  url: string
  adminUrl: string
  close(): Promise<void>
}

/** Starts a gateway from a config file and keeps to the file as it changes. Throws Refused when the file has faults. */
export async function serve({ configFile }: { configFile: string }): Promise<Serving & { reload(): Promise<void> }> {
  const { config, warnings } = readOrRefuse(configFile)
  const faults = routeFaults(config)
  if (faults.length > 0) throw new Refused(`the config is not valid\n${faults.join('\n')}`)
  const { log, writeLine } = createLog({ level: config.telemetry.logLevel })
  for (const warning of warnings) log.warn({ place: `${warning.file}:${warning.line}:${warning.col}` }, warning.message)
  const gateway: Gateway =
    config.server.processes === 1
      ? await openGateway(config, { log, writeLine })
      : await openProcesses(config, { log, writeLine })
  const reload = () => reloadFrom(configFile, gateway, log)
  const watcher = watchConfig(configFile, () => void reload())
  log.info({ url: gateway.url, adminUrl: gateway.adminUrl }, 'listening')
  log.flush()
  return {
    url: gateway.url!,
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

function readOrRefuse(file: string) {
  try {
    return readConfig(file, process.env)
  } catch (error) {
    if (error instanceof ConfigInvalid) throw new Refused(`the config is not valid\n${error.message}`)
    throw error
  }
}

/** The verb: serves until SIGTERM or SIGINT, drains, and ends with exit code 0. */
export async function runServe(configFile: string): Promise<number> {
  if (cluster.isWorker) return runWorker()
  // Heard from the start on: whoever reads "listening" may end us before the next line has run.
  const asked = new Promise<void>((resolve) => {
    process.once('SIGTERM', resolve)
    process.once('SIGINT', resolve)
  })
  const serving = await serve({ configFile })
  process.on('SIGHUP', () => void serving.reload())
  await asked
  process.once('SIGINT', () => process.exit(130)) // a second Ctrl-C does not wait
  await serving.close()
  return 0
}
