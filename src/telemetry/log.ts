import { pino } from 'pino'
import { Lines } from './lines.ts'

export type Log = pino.Logger

/** The log, and the way to write ready lines beside it, for the access log. */
export interface LogParts {
  log: Log
  writeLine: (line: string) => void
}

/** Names under which a secret could slip into a log object. None is ever passed on purpose; this is the second lock. */
const SECRETS = ['authorization', 'cookie', 'token', 'secret', 'password', 'set-cookie', 'x-guesttoken']

/** No line is later than this, ms. */
const FLUSH_MS = 250

/** A reader of our stdout that has stopped reading costs this much memory; lines past it are lost. */
const MAX_BACKLOG_BYTES = 16 * 1024 * 1024

/**
 * Lines of JSON on stdout. They are written in large pieces, so that a hit does not pay for a system call;
 * a line may be up to FLUSH_MS late, and `log.flush()` writes all.
 */
export function createLog({ level }: { level: string }): LogParts {
  const paths = SECRETS.flatMap((name) => [`["${name}"]`, `headers["${name}"]`])
  const out = pino.destination({ dest: 1, sync: false, contentMode: 'buffer', maxLength: MAX_BACKLOG_BYTES })
  const lines = new Lines((bytes) => void out.write(bytes as unknown as string)) // typed for strings, which it then refuses
  setInterval(() => {
    lines.flush()
    out.flush()
  }, FLUSH_MS).unref()
  const options = { level, base: { pid: process.pid }, redact: { paths, censor: '(removed)' } }
  const log = pino(options, { write: (line) => lines.write(line) })
  log.flush = (done) => {
    lines.flush()
    out.flush(done)
  }
  return { log, writeLine: (line) => void (log.isLevelEnabled('info') && lines.write(line)) }
}
