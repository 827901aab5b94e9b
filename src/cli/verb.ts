export interface Verb {
  /** One line for the list. */
  about: string
  usage: string
  /** A command that can be pasted, and what it is for. */
  example: string
  /** What the example prints. */
  shows?: string
  /** What the flags mean, one a line. */
  flags?: string
  /** Resolves with the exit code. */
  run(args: string[]): Promise<number>
}
