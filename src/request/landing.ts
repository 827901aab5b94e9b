import type { Entry } from '../cache/entry.ts'
import { Refusal, type RefusalCode } from '../kernel/errors.ts'
import type { Answer, FlatHeaders } from '../kernel/exchange.ts'
import type { RateNotice } from './delivery.ts'
import type { Fetched } from './fetched.ts'

/** What a flight brings home for everyone who waits for it. A refusal is not a landing: the flight rejects with it. */
export type Landing =
  | {
      kind: 'entry'
      entry: Entry
      /** This process asked the upstream, or another one of the fleet did. */
      by: 'us' | 'fleet'
      stored: boolean
      /** Why it was not stored. */
      detail?: string | undefined
      /** For the leader's own client. */
      cookies: FlatHeaders
      rate: RateNotice | undefined
    }
  /** An answer that is nothing to keep (an error, mostly): shared with those who wait now. */
  | { kind: 'answer'; answer: Answer; by: 'us' | 'fleet'; cookies: FlatHeaders; rate: RateNotice | undefined }
  /** Not to be shared: it belongs to whoever started the flight, the others ask for themselves. */
  | { kind: 'own'; fetched: Fetched | null; detail: string; rate: RateNotice | undefined }

/** Answers here cannot be shared: whoever waits asks for himself. */
export const unshared = (): Landing => ({ kind: 'own', fetched: null, detail: 'uncacheable', rate: undefined })

/** The largest answer that is left for the followers of a failed flight in other processes. */
const MAX_NOTE_BYTES = 48 * 1024

interface Note {
  answer?: { status: number; headers: FlatHeaders; body: string }
  refusal?: { code: RefusalCode; detail: string | undefined; retryAfterMs: number | undefined }
}

/** A failed flight as bytes for the followers in other processes; undefined if they had better ask for themselves. */
export function noteOf(failure: Answer | Refusal): Buffer | undefined {
  const note: Note =
    failure instanceof Refusal
      ? { refusal: { code: failure.code, detail: failure.detail, retryAfterMs: failure.retryAfterMs } }
      : { answer: { status: failure.status, headers: failure.headers, body: failure.body.toString('base64') } }
  const bytes = Buffer.from(JSON.stringify(note))
  return bytes.length <= MAX_NOTE_BYTES ? bytes : undefined
}

/** Throws the refusal that the note holds. */
export function readNote(bytes: Buffer): Landing {
  const note = JSON.parse(bytes.toString()) as Note
  if (note.refusal) {
    const { code, detail, retryAfterMs } = note.refusal
    throw new Refusal(code, { detail, retryAfterMs })
  }
  const { status, headers, body } = note.answer!
  const answer: Answer = { status, headers, coding: 'identity', body: Buffer.from(body, 'base64') }
  return { kind: 'answer', answer, by: 'fleet', cookies: [], rate: undefined }
}
