import { median } from './stats.ts'

/** One side of a comparison, measured once per round. */
export interface Measure {
  side: string
  unit: 'req/s' | 'ms' | 'requests' | 'MB'
  /** What exactly, where a row has several: 'p99 at 9000 req/s'. */
  what: string
  values: number[]
}

/** A figure of CONTRACT section 9. */
export interface Goal {
  what: string
  /** NaN: what was measured was not what the figure is about, so the goal counts as missed. */
  value: number
  sense: '>=' | '<='
  bound: number
  unit: '×' | 'ms' | 'requests' | 'GB' | '%' | 'errors'
}

export interface Row {
  name: string
  title: string
  measures: Measure[]
  goals: Goal[]
  /** What a reader must know to judge the figures, and what went wrong. */
  remarks: string[]
}

export interface RunOptions {
  rounds: number
  seconds: number
  /** apt-get may fetch peers that are missing. */
  install: boolean
  /** Cached results of the memory row. */
  entries: number
}

export const isMet = ({ value, sense, bound }: Goal) => (sense === '>=' ? value >= bound : value <= bound)

/** Measures every side once per round; odd rounds run backwards, so that no side is always the first on a warm machine. */
export async function alternate<Side>(
  sides: readonly Side[],
  rounds: number,
  measure: (side: Side) => Promise<number>,
): Promise<Map<Side, number[]>> {
  const values = new Map<Side, number[]>(sides.map((side) => [side, []]))
  for (let round = 0; round < rounds; round++)
    for (const side of round % 2 ? sides.toReversed() : sides) values.get(side)!.push(await measure(side))
  return values
}

/** How two measured sides compare, by their medians. */
export function ratio(ours: readonly number[], theirs: readonly number[]): number {
  return median(ours) / median(theirs)
}
