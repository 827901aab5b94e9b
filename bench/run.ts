/**
 * `npm run bench`: the figures of CONTRACT section 9, both sides of each in one run, as ratios.
 *
 *   node bench/run.ts [near] [far] [proxy] [storm] [killed] [dashboard] [memory] [queue] [queue-memory]
 *     --rounds 3  --seconds 5  --entries 100000  --no-install  --no-write
 *
 * Without names, all rows. Results go to bench/results.json and bench/results.md, and the missed goals are named last.
 */
import { parseArgs } from 'node:util'
import { installPeers } from './peers/install.ts'
import { type Kept, keep, markdown, missed, write } from './report.ts'
import type { Row, RunOptions } from './row.ts'
import { dashboard } from './rows/dashboard.ts'
import { far } from './rows/far.ts'
import { killed } from './rows/killed.ts'
import { memory } from './rows/memory.ts'
import { near } from './rows/near.ts'
import { proxy } from './rows/proxy.ts'
import { queue } from './rows/queue.ts'
import { queueMemory } from './rows/queue-memory.ts'
import { storm } from './rows/storm.ts'

const ROWS: Record<string, (options: RunOptions) => Promise<Row>> = {
  near,
  far,
  proxy,
  storm,
  killed,
  dashboard,
  memory,
  queue,
  'queue-memory': queueMemory,
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '5' },
    entries: { type: 'string', default: '100000' },
    'no-install': { type: 'boolean', default: false },
    'no-write': { type: 'boolean', default: false },
  },
})
const options: RunOptions = {
  rounds: Number(values.rounds),
  seconds: Number(values.seconds),
  entries: Number(values.entries),
  install: !values['no-install'],
}
const names = positionals.length > 0 ? positionals : Object.keys(ROWS)
const unknown = names.filter((name) => !(name in ROWS))
if (unknown.length > 0) {
  console.error(`no such row: ${unknown.join(', ')}. There are: ${Object.keys(ROWS).join(', ')}`)
  process.exit(2)
}

installPeers(options.install)
const rows: Kept[] = []
for (const name of names) {
  console.error(`measuring ${name} ...`)
  const row = keep(await ROWS[name]!(options), options)
  process.stdout.write(`\n${markdown(row)}`)
  rows.push(row)
  if (!values['no-write']) write(rows)
}
const misses = missed(rows)
process.stdout.write(misses.length > 0 ? `\nGoals missed:\n  ${misses.join('\n  ')}\n` : '\nAll goals reached.\n')
process.exit(0)
