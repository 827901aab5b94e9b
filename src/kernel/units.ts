/** Durations and sizes as people write them in the config: a number and a unit, never a bare number. */

const MS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const BYTES: Record<string, number> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }

export const DURATION_UNITS = Object.keys(MS)

/** '250ms' → 250; undefined when it is not a duration. */
export const parseDurationMs = (text: string): number | undefined => parse(text, MS)

/** '64KiB' → 65536; undefined when it is not a size. */
export const parseSizeBytes = (text: string): number | undefined => parse(text, BYTES)

function parse(text: string, units: Record<string, number>): number | undefined {
  const found = /^(\d+(?:\.\d+)?)\s*([A-Za-z]+)$/.exec(text.trim())
  const factor = found ? units[found[2]!] : undefined
  return found && factor ? Math.round(Number(found[1]) * factor) : undefined
}

/** The largest unit that divides evenly: 90000 → '90s', 60000 → '1m'. */
export const formatDuration = (ms: number): string => format(ms, MS, 'ms')
export const formatSize = (bytes: number): string => format(bytes, BYTES, 'B')

function format(value: number, units: Record<string, number>, smallest: string): string {
  if (value === 0) return `0${smallest}`
  const [unit, factor] = Object.entries(units)
    .reverse()
    .find(([, factor]) => value % factor === 0)!
  return `${value / factor}${unit}`
}
