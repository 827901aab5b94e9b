/** Query results as a BI tool gets them: rows of dates, names and measures, the keys repeated in every row. */
const COUNTRIES = ['Norway', 'Portugal', 'Germany', 'Japan', 'Brazil', 'Canada', 'Kenya', 'Vietnam', 'Chile', 'Poland']
const CHANNELS = ['web', 'store', 'partner', 'phone']

/** JSON of exactly `bytes` bytes (all ASCII), different for every seed. */
export function table(bytes: number, seed: number): Buffer {
  const random = mulberry32(seed)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!
  const rows: string[] = []
  let length = 120
  while (length < bytes - 130) {
    const ds = 1_700_000_000_000 + Math.floor(random() * 1_000) * 86_400_000
    const sales = (random() * 100_000).toFixed(2)
    const row = `{"ds":${ds},"country":"${pick(COUNTRIES)}","channel":"${pick(CHANNELS)}","sum__sales":${sales},"count":${Math.floor(random() * 5_000)}}`
    rows.push(row)
    length += row.length + 1
  }
  const text = `{"result":[{"cache_key":"${seed}","rowcount":${rows.length},"data":[${rows.join(',')}]}]}`
  return Buffer.from(text.padEnd(bytes, ' ').slice(0, bytes))
}

/** A small seeded generator (Tommy Ettinger's mulberry32): the same seed gives the same table in every process. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
