/** What stands in a cell; null: nothing, shown as `-`. */
export type Value = string | number | null

/** Rows under their headings, in aligned columns; a column of numbers is aligned to the right. */
export function table(headings: readonly string[], rows: readonly (readonly Value[])[]): string {
  const texts = [headings, ...rows.map((row) => row.map((value) => (value === null ? '-' : `${value}`)))]
  const columns = headings.map((_, at) => ({
    width: Math.max(...texts.map((row) => row[at]!.length)),
    isNumeric: rows.length > 0 && rows.every((row) => typeof row[at] !== 'string'),
  }))
  const line = (row: readonly string[]) =>
    columns.map(({ width, isNumeric }, at) => (isNumeric ? row[at]!.padStart(width) : row[at]!.padEnd(width)))
  return texts.map((row) => line(row).join('  ').trimEnd()).join('\n')
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
] as const

/** A time in its two largest units: 3m12s, 2h, 45s, 0s. */
export function age(ms: number): string {
  const from = UNITS.findIndex(([, unitMs]) => ms >= unitMs)
  if (from < 0) return '0s'
  const [[large, largeMs], small] = [UNITS[from]!, UNITS[from + 1]]
  const rest = small ? Math.floor((ms % largeMs) / small[1]) : 0
  return `${Math.floor(ms / largeMs)}${large}${rest > 0 ? `${rest}${small![0]}` : ''}`
}

/** An object as indented lines, for reading. */
export function outline(value: unknown, indent = ''): string {
  if (typeof value !== 'object' || value === null) return String(value)
  return Object.entries(value)
    .map(([name, inner]) => {
      const isNested = typeof inner === 'object' && inner !== null && Object.keys(inner).length > 0
      return isNested
        ? `${indent}${name}\n${outline(inner, `${indent}  `)}`
        : `${indent}${name.padEnd(16)} ${Array.isArray(inner) ? '[]' : String(inner)}`
    })
    .join('\n')
}
