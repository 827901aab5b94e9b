import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { type Goal, isMet, type Measure, type Row } from './row.ts'
import { median, spread } from './stats.ts'

const JSON_FILE = join(import.meta.dirname, 'results.json')
const MARKDOWN_FILE = join(import.meta.dirname, 'results.md')

/** A row as it is kept: both sides of it are from one run on one machine, named with it. */
export interface Kept extends Row {
  measuredAt: string
  machine: string
  rounds: number
  seconds: number
}

export function keep(row: Row, { rounds, seconds }: { rounds: number; seconds: number }): Kept {
  const model = cpus()[0]?.model.trim() || process.arch
  const gib = Math.round(totalmem() / 1024 ** 3)
  const machine = `${availableParallelism()} cores (${model}), ${gib} GiB, Node ${process.versions.node}`
  return { ...row, measuredAt: new Date().toISOString(), machine, rounds, seconds }
}

/** Rows measured now replace their older selves; the others stay as they were. */
export function write(rows: Kept[]): void {
  const older = existsSync(JSON_FILE) ? (JSON.parse(readFileSync(JSON_FILE, 'utf8')) as Kept[]) : []
  const byName = new Map([...older, ...rows].map((row) => [row.name, row]))
  const all = [...byName.values()]
  writeFileSync(JSON_FILE, `${JSON.stringify(all, null, 2)}\n`)
  writeFileSync(MARKDOWN_FILE, `# Measured by \`npm run bench\`\n\n${all.map(markdown).join('\n')}`)
}

export function markdown(row: Kept): string {
  const goals = row.goals.map(
    (goal) => `| ${goal.what} | ${figure(goal.value)} ${goal.unit} | ${bound(goal)} | ${verdict(goal)} |`,
  )
  const measures = row.measures.map(
    (m) => `| ${m.side} | ${m.what} | ${amount(m)} | ${percent(m)} | ${m.values.length} |`,
  )
  return [
    `## ${row.name}: ${row.title}`,
    '',
    `${row.measuredAt.slice(0, 16).replace('T', ' ')} UTC, ${row.machine}, ${row.rounds} alternating rounds of ${row.seconds} s`,
    '',
    ...['| goal | reached | wanted | |', '|---|---|---|---|', ...goals, ''],
    ...['| side | what | median | spread | rounds |', '|---|---|---|---|---|', ...measures, ''],
    ...row.remarks.map((remark) => `- ${remark}`),
    '',
  ].join('\n')
}

/** The goals that were not reached, a line each. */
export function missed(rows: Row[]): string[] {
  return rows.flatMap((row) =>
    row.goals
      .filter((goal) => !isMet(goal))
      .map((goal) => `${row.name}: ${goal.what}: ${figure(goal.value)} ${goal.unit}, wanted ${bound(goal)}`),
  )
}

const bound = ({ sense, bound, unit }: Goal) => `${sense === '>=' ? '≥' : '≤'} ${bound} ${unit}`
const verdict = (goal: Goal) => (isMet(goal) ? 'reached' : '**missed**')
const amount = ({ values, unit }: Measure) => `${figure(median(values))} ${unit}`
const percent = ({ values }: Measure) =>
  values.length > 1 && median(values) > 0 ? `${Math.round(spread(values) * 100)} %` : '-'

/** Three digits that matter, and no more than the measurement can tell. */
function figure(value: number): string {
  if (!Number.isFinite(value)) return 'none'
  if (Math.abs(value) >= 1_000) return Math.round(value).toLocaleString('en-US')
  return `${Number(value.toPrecision(3))}`
}
