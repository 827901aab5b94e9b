import { Refusal } from '../kernel/errors.ts'

/**
 * Single flight inside one process: whoever asks the same at the same time shares one answer.
 *
 * A flight belongs to nobody. Its pilot runs detached from the caller that caused it, and it has as many seats as were
 * boarded and not yet left. It ends in one of two ways: it lands (everyone aboard gets the outcome), or its last seat
 * is left (it is abandoned: the pilot's signal aborts, and what it still brings home is nobody's).
 * In both cases its key is free at once, so a newcomer starts a new flight and never joins a dead one.
 */
export class Flights<T> {
  readonly #flights = new Map<string, Flight<T>>()
  readonly #maxFlights: number
  #overflows = 0

  /** @param options.maxFlights keys that can be shared at the same time; past it a newcomer flies alone, unjoined */
  constructor({ maxFlights = 10_000 }: { maxFlights?: number } = {}) {
    this.#maxFlights = maxFlights
  }

  /** Joins the flight of `key` or starts it: `pilot` runs detached from whoever caused it. */
  board(key: string, pilot: Pilot<T>): Seat<T> {
    const flying = this.#flights.get(key)
    if (flying) return new FlightSeat(flying, false)
    const flight = new Flight<T>(() => this.#forget(key, flight))
    if (this.#flights.size < this.#maxFlights) this.#flights.set(key, flight)
    else this.#overflows++
    const seat = new FlightSeat(flight, true)
    void flight.fly(pilot)
    return seat
  }

  /** A flight that nobody can join: the same ends, for one. */
  alone(pilot: Pilot<T>): Seat<T> {
    const flight = new Flight<T>(() => {})
    const seat = new FlightSeat(flight, true)
    void flight.fly(pilot)
    return seat
  }

  has(key: string): boolean {
    return this.#flights.has(key)
  }

  /** Seats taken on the flight of `key`, its leader's included; 0 when there is none. */
  waiting(key: string): number {
    return this.#flights.get(key)?.aboard ?? 0
  }

  get size(): number {
    return this.#flights.size
  }

  /** Flights that could not be shared because `maxFlights` were in the air. */
  get overflows(): number {
    return this.#overflows
  }

  #forget(key: string, flight: Flight<T>): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key)
  }
}

export interface Cockpit {
  /** Aborts when everyone aboard has left. */
  signal: AbortSignal
  /** To be called when the upstream is asked: from now on everyone's own deadline counts, and no longer the wait for a turn. */
  started: () => void
}

export type Pilot<T> = (flight: Cockpit) => Promise<T>

export interface Seat<T> {
  /** True for the one who started the flight. */
  readonly leads: boolean
  /**
   * The landing, or the caller's own end: rejects with `signal.reason` when it leaves, with Refusal DEADLINE_EXCEEDED
   * `deadlineMs` after the flight started, or after `queueMs` more if it does not start. Both give the seat back. To be
   * called once.
   */
  wait(options: SeatOptions): Promise<T>
  /** Gives the seat back without waiting. A wait that is under way rejects. */
  leave(): void
}

export interface SeatOptions {
  signal: AbortSignal
  deadlineMs: number
  /** How long the flight may wait for its turn, ms. */
  queueMs?: number
}

type Outcome<T> = { landed: true; value: T } | { landed: false; error: unknown }
type Waiter<T> = (outcome: Outcome<T>) => void

/** The longest a Node timer can wait; past it, it would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1

class Flight<T> {
  readonly #controller = new AbortController()
  // Waiters are kept here, not as reactions on one shared promise: a promise keeps the reactions of those who left.
  readonly #waiters = new Set<Waiter<T>>()
  readonly #beginners = new Set<() => void>()
  readonly #onEnd: () => void
  #outcome: Outcome<T> | undefined
  #started = false
  #aboard = 0

  constructor(onEnd: () => void) {
    this.#onEnd = onEnd
  }

  get aboard(): number {
    return this.#aboard
  }

  /** Never rejects: an error goes to those who wait, and to nobody when nobody does. */
  async fly(pilot: Pilot<T>): Promise<void> {
    try {
      const { signal } = this.#controller
      this.#end({ landed: true, value: await pilot({ signal, started: () => this.#start() }) })
    } catch (error) {
      this.#end({ landed: false, error })
    }
  }

  #start(): void {
    this.#started = true
    for (const begin of this.#beginners) begin()
    this.#beginners.clear()
  }

  #end(outcome: Outcome<T>): void {
    this.#outcome = outcome
    this.#onEnd()
    for (const waiter of this.#waiters) waiter(outcome)
    this.#waiters.clear()
    this.#beginners.clear()
  }

  /** Calls back when the flight starts; at once when it has. */
  onStart(begin: () => void): void {
    if (this.#started) begin()
    else this.#beginners.add(begin)
  }

  forgetStart(begin: () => void): void {
    this.#beginners.delete(begin)
  }

  board(): void {
    this.#aboard++
  }

  leave(): void {
    this.#aboard--
    if (this.#aboard > 0 || this.#outcome) return
    this.#onEnd()
    this.#controller.abort(new DOMException('everyone who waited for this flight has left', 'AbortError'))
  }

  await(waiter: Waiter<T>): void {
    if (this.#outcome) waiter(this.#outcome)
    else this.#waiters.add(waiter)
  }

  forget(waiter: Waiter<T>): void {
    this.#waiters.delete(waiter)
  }
}

class FlightSeat<T> implements Seat<T> {
  readonly leads: boolean
  readonly #flight: Flight<T>
  #taken = true
  #waiter: Waiter<T> | undefined

  constructor(flight: Flight<T>, leads: boolean) {
    this.#flight = flight
    this.leads = leads
    flight.board()
  }

  wait({ signal, deadlineMs, queueMs = 0 }: SeatOptions): Promise<T> {
    return new Promise((resolve, reject) => {
      if (!this.#taken) return reject(new Error('this seat was given back'))
      const left = () => this.#end(signal.reason)
      const late = () => this.#end(new Refusal('DEADLINE_EXCEEDED'))
      let timer = setTimeout(late, Math.min(deadlineMs + queueMs, MAX_TIMER_MS))
      const begin = () => {
        clearTimeout(timer)
        timer = setTimeout(late, Math.min(deadlineMs, MAX_TIMER_MS))
      }
      if (queueMs > 0) this.#flight.onStart(begin)
      this.#waiter = (outcome) => {
        clearTimeout(timer)
        this.#flight.forgetStart(begin)
        signal.removeEventListener('abort', left)
        this.#giveBack()
        if (outcome.landed) resolve(outcome.value)
        else reject(outcome.error)
      }
      if (signal.aborted) return left()
      signal.addEventListener('abort', left, { once: true })
      this.#flight.await(this.#waiter)
    })
  }

  leave(): void {
    if (this.#waiter) this.#end(new Error('this seat was given back'))
    else this.#giveBack()
  }

  #end(error: unknown): void {
    if (this.#taken) this.#waiter?.({ landed: false, error })
  }

  #giveBack(): void {
    if (!this.#taken) return
    this.#taken = false
    if (this.#waiter) this.#flight.forget(this.#waiter)
    this.#flight.leave()
  }
}
