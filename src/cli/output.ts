/** What a verb says to people: the answer on stdout, everything else on stderr. */
export const say = (text: string): void => void process.stdout.write(`${text}\n`)
export const complain = (text: string): void => void process.stderr.write(`${text}\n`)

/** A verb that was used wrongly: exit code 2, and what is right. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** A verb whose answer is no: exit code 1, the message is all that is shown. */
export class Refused extends Error {
  override readonly name = 'Refused'
}
