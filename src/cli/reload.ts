import { ConfigInvalid } from '../config/faults.ts'
import { loadConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import type { Gateway } from '../gateway.ts'
import type { Log } from '../telemetry/log.ts'

export const reloadFrom = (file: string, gateway: Pick<Gateway, 'reload'>, log: Log): Promise<void> =>
  takeOver(() => loadConfig(file, process.env), gateway, log)

/** All or nothing: an invalid file keeps the running config and says why. */
export async function takeOver(load: () => Config, gateway: Pick<Gateway, 'reload'>, log: Log): Promise<void> {
  try {
    const needRestart = await gateway.reload(load())
    if (needRestart.length > 0) log.warn({ needRestart }, 'config reloaded; these settings change only with a restart')
    else log.info('config reloaded')
  } catch (error) {
    if (error instanceof ConfigInvalid)
      log.error({ faults: error.message.split('\n') }, 'the changed config is not valid; the running one stays')
    else log.error({ err: error }, 'the changed config could not be taken over; the running one stays')
  }
  log.flush()
}
