/** So long a process is not judged by its memory, ms: a bound below what a fresh one takes would do nothing but fork. */
const SETTLED_AFTER_MS = 60_000

export interface Spent {
  /** Jobs that have ended in this process. */
  ended: number
  ageMs: number
  /** Resident; asked for only where it matters. */
  rssBytes: () => number
}

/** A process has done its share, and a fresh one should take its place. 0 = no bound. */
export function isSpent(
  { ended, ageMs, rssBytes }: Spent,
  { maxJobsPerProcess, maxMemory }: { maxJobsPerProcess: number; maxMemory: number },
): boolean {
  if (maxJobsPerProcess > 0 && ended >= maxJobsPerProcess) return true
  return maxMemory > 0 && ageMs >= SETTLED_AFTER_MS && rssBytes() > maxMemory
}
