/** The value below which `share` of an ascending list lies (nearest rank). */
export function percentile(ascending: ArrayLike<number>, share: number): number {
  const rank = Math.ceil(share * ascending.length)
  return ascending[Math.max(0, rank - 1)] ?? Number.NaN
}

export function median(values: readonly number[]): number {
  const ascending = values.toSorted((a, b) => a - b)
  const half = ascending.length >> 1
  return ascending.length % 2 ? ascending[half]! : (ascending[half - 1]! + ascending[half]!) / 2
}

/** How far apart the rounds were: (largest - smallest) / median. */
export function spread(values: readonly number[]): number {
  return (Math.max(...values) - Math.min(...values)) / median(values)
}
