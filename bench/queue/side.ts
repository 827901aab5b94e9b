/** A queue as the bench drives it: the work itself is nothing, so that only the queue is measured. */
export interface QueueSide {
  readonly name: string
  /** Resolves when the queue has it. */
  add(payload: Buffer): Promise<void>
  /** From now on jobs are worked off; `done` is called with each payload once its end is stored. */
  work(done: (payload: Buffer) => void): Promise<void>
  close(): Promise<void>
}
