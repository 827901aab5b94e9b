/** What a running gateway cannot take over from a changed config. */
import { isDeepStrictEqual } from 'node:util'
import { type Path, pathText, valueAt } from './faults.ts'
import type { Config } from './schema.ts'

/**
 * What gateway.ts hands to sockets, stores and labels once, when it opens them. A section stands for everything in it;
 * all else may change live.
 */
const FIXED: readonly Path[] = [
  ['server', 'host'],
  ['server', 'port'],
  ['server', 'processes'],
  ['server', 'headersTimeout'],
  ['server', 'maxConnections'],
  ['server', 'drainTimeout'],
  ['admin'],
  ['store'],
  ['telemetry', 'tenantLabels'],
]

/** The settings that differ but hold only after a restart, such as ['server.port', 'store.near.maxBytes']. */
export const fixedChanges = (before: Config, after: Config): string[] =>
  FIXED.flatMap((path) => differences(valueAt(before, path), valueAt(after, path), path)).map(pathText)

function differences(before: unknown, after: unknown, path: Path): Path[] {
  if (isDeepStrictEqual(before, after)) return []
  if (!isSection(before) || !isSection(after)) return [path]
  const keys = new Set([...Object.keys(before), ...Object.keys(after)])
  return [...keys].flatMap((key) => differences(before[key], after[key], [...path, key]))
}

const isSection = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
