const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const TIME_LENGTH = 10
const RANDOM_LENGTH = 16

let lastAt = 0
let lastDraw: number[] = []

/**
 * A ULID (github.com/ulid/spec): 48 bits of time and 80 random ones as 26 characters that sort by time. Ids of one
 * process made in the same millisecond count up, so that they sort in the order they were made.
 * @param nowAt ms since the epoch
 * @param random draws from [0, 1)
 */
export function ulid(nowAt: number, random: () => number): string {
  const isSame = nowAt <= lastAt && lastDraw.length > 0
  lastAt = Math.max(nowAt, lastAt)
  lastDraw = isSame ? next(lastDraw) : Array.from({ length: RANDOM_LENGTH }, () => Math.floor(random() * 32))
  return timeText(lastAt) + lastDraw.map((digit) => CROCKFORD[digit]).join('')
}

function timeText(at: number): string {
  let left = at
  let text = ''
  for (let i = 0; i < TIME_LENGTH; i++) {
    text = CROCKFORD[left % 32] + text
    left = Math.floor(left / 32)
  }
  return text
}

/** One more; after the last it begins again at 0, which takes 2^80 ids in one millisecond. */
function next(digits: readonly number[]): number[] {
  const more = [...digits]
  for (let at = more.length - 1; at >= 0; at--) {
    more[at] = (more[at]! + 1) % 32
    if (more[at] !== 0) break
  }
  return more
}
