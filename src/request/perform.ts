import { freshness } from '../cache/freshness.ts'
import { storedHeaders } from '../cache/storable.ts'
import { decodeBody } from '../kernel/coding.ts'
import { Refusal } from '../kernel/errors.ts'
import type { FlatHeaders } from '../kernel/exchange.ts'
import type { Ending } from '../queue/scheduler.ts'
import { type Done, Stop, type Work } from '../queue/work.ts'
import { encodeStored, type Stored } from '../results/stored.ts'
import { ResultTooLarge, type ResultWriter } from '../results/writer.ts'
import { backoffMs } from '../upstream/retry.ts'
import { decodedUpstream } from './decoded.ts'
import type { Fetched } from './fetched.ts'
import { flightName } from './fly.ts'
import type { House } from './house.ts'
import { dropResult, keepWithin } from './keep.ts'
import type { Landing } from './landing.ts'
import { isOwnLimit, lead } from './lead.ts'
import { decodeOrder } from './order.ts'
import { pilot } from './pilot.ts'
import type { Route, TenantPolicy } from './policy.ts'
import type { Query } from './query.ts'
import { readFar } from './recall.ts'
import { requery } from './requery.ts'
import { MustQueue, noteBegun, noteShadow, type Right } from './right.ts'

/** What was brought home, on its way into the results. */
interface Answer {
  status: number
  headers: FlatHeaders
  retryAfterMs: number | null
  /** In no coding. */
  body: AsyncIterable<Buffer>
  /** Lets go of a body that nobody will read, where the upstream still sends it. */
  drop?: () => void
}

/** Where it cannot be known whose fault it is: the upstream was given up, and says nothing any more. */
const GRACE_MS = 2_000

/** Runs one attempt of a job; what goes wrong is its ending, never a rejection. */
export async function perform(work: Work, house: House): Promise<Done> {
  const { claimed } = work
  const policy = house.policy
  const route = policy.route(claimed.route)
  const tenant = policy.tenant(claimed.tenant)
  const order = decodeOrder(claimed.payload)
  if (!route?.submit) return failed('ROUTE_DENIED', 'the route of this job is no longer in the config')
  if (!tenant) return failed('TENANT_UNKNOWN', 'its tenant is no longer in the config')
  if (!order) return failed('INTERNAL', 'the job was written by another version')
  const query = requery(order, claimed, route, tenant, house.clock.now())
  if ('error' in query) return failed(query.error, query.detail)
  const attempt = new Attempt(work, query, route, tenant, house)
  try {
    return await attempt.run()
  } catch (error) {
    return attempt.ended(error)
  }
}

const errorText = (code: string, detail?: string, status?: number): string =>
  JSON.stringify({ code, ...(detail !== undefined && { detail }), ...(status !== undefined && { status }) })

const done = (ending: Ending, servedMs: number | null = null): Done => ({ ending, servedMs, settled: () => {} })
const failed = (code: string, detail?: string, servedMs: number | null = null): Done =>
  done({ how: 'failed', error: errorText(code, detail), result: null }, servedMs)

class Attempt {
  readonly #work: Work
  readonly #query: Query
  readonly #route: Route
  readonly #tenant: TenantPolicy
  readonly #house: House
  readonly #limit = new AbortController()
  /** Set once the upstream was asked under this job's slot. */
  #asked: { left: PromiseWithResolvers<void>; servedMs: number | null } | null = null
  #rides = false

  constructor(work: Work, query: Query, route: Route, tenant: TenantPolicy, house: House) {
    this.#work = work
    this.#query = query
    this.#route = route
    this.#tenant = tenant
    this.#house = house
  }

  /** Soft limit: the upstream is asked to stop. Hard limit, a little later: the job ends whatever becomes of it. */
  async run(): Promise<Done> {
    const signal = AbortSignal.any([this.#work.signal, this.#limit.signal])
    const { deadlineMs } = this.#query
    const late = new Refusal('DEADLINE_EXCEEDED', { detail: `it ran longer than ${deadlineMs} ms` })
    const soft = setTimeout(() => this.#limit.abort(late), deadlineMs)
    const hard = Promise.withResolvers<never>()
    const giveUp = setTimeout(() => hard.reject(late), deadlineMs + GRACE_MS)
    try {
      this.#query.upstream.checkTurn(this.#tenant.name)
      noteBegun(this.#tenant, this.#work.claimed.queuedMs, this.#house)
      return await Promise.race([this.#answer(signal), hard.promise])
    } finally {
      clearTimeout(soft)
      clearTimeout(giveUp)
    }
  }

  async #answer(signal: AbortSignal): Promise<Done> {
    const answer = this.#route.cached ? await this.#shared(signal) : await this.#own(signal)
    const retry = answer.status >= 500 ? this.#retry(answer) : null
    if (retry) {
      answer.drop?.()
      return this.#with(retry)
    }
    const stored = await this.#store(answer)
    const result = encodeStored(stored)
    const { status } = answer
    const ending: Ending =
      status < 400
        ? { how: 'succeeded', result }
        : { how: 'failed', error: errorText('UPSTREAM_STATUS', `the upstream answered ${status}`, status), result }
    return { ...this.#with(ending), settled: (kept) => void this.#settled(stored, kept) }
  }

  #with(ending: Ending): Done {
    return done(ending, this.#asked?.servedMs ?? null)
  }

  async #settled(stored: Stored, kept: boolean): Promise<void> {
    const { tenant, id } = this.#work.claimed
    if (!kept) return dropResult(tenant, id, encodeStored(stored), this.#house)
    this.#house.metrics.resultBytes.inc({ tier: stored.tier }, stored.bytes)
    return keepWithin(tenant, id, stored, this.#tenant.maxResultsBytes, this.#house)
  }

  /** By the cache, or by a flight that it shares with whoever asks the same. */
  async #shared(signal: AbortSignal): Promise<Answer> {
    const { question } = this.#query
    const found = question.bypass === null ? await readFar(this.#query, this.#house) : null
    if (found?.kind === 'entry' && freshness(found.entry, this.#house.clock.now()) === 'fresh')
      return ofLanding({ kind: 'entry', entry: found.entry, by: 'fleet', stored: false, cookies: [], rate: undefined })!
    const isAlone = found?.kind === 'pass'
    const { landing, leads } = await this.#fly(signal, isAlone)
    const answer = landing.kind !== 'own' || leads ? ofLanding(landing) : null
    if (!answer) throw new MustQueue()
    return answer
  }

  async #fly(signal: AbortSignal, isAlone: boolean): Promise<{ landing: Landing; leads: boolean }> {
    const { flights } = this.#house
    const query = this.#query
    const isBypass = query.question.bypass !== null
    const name = flightName(query, this.#house)
    // Whoever leads it may be waiting for the very slot that this job holds.
    if (!isAlone && flights.has(name)) await this.#right.ride()
    const seat = isAlone
      ? flights.alone((cockpit) => lead(query, this.#right, null, cockpit, this.#house))
      : flights.board(name, (cockpit) =>
          isBypass
            ? lead(query, this.#right, null, cockpit, this.#house)
            : pilot(query, this.#right, cockpit, this.#house),
        )
    const { deadlineMs, queueMs } = query
    return { landing: await seat.wait({ signal, deadlineMs: deadlineMs + GRACE_MS, queueMs }), leads: seat.leads }
  }

  /** The job's own slot is its right. */
  readonly #right: Right = {
    enter: async () => {
      if (this.#rides) throw new MustQueue()
      const asked = { left: Promise.withResolvers<void>(), servedMs: null as number | null }
      this.#asked = asked
      const leave = (servedMs: number | null) => {
        asked.servedMs = servedMs
        asked.left.resolve()
      }
      return { rate: undefined, leave }
    },
    ride: async () => {
      if (this.#rides) return
      this.#rides = true
      await this.#work.lend()
    },
  }

  /** An answer that nobody shares, as it streams. */
  async #own(signal: AbortSignal): Promise<Answer> {
    const { ask, upstream, idempotent } = this.#query
    const startedAt = this.#house.clock.now()
    const asked = { left: Promise.withResolvers<void>(), servedMs: null as number | null }
    this.#asked = asked
    const served = () => {
      asked.servedMs = this.#house.clock.now() - startedAt
      asked.left.resolve()
    }
    try {
      const timeoutMs = Number.POSITIVE_INFINITY // the limits of this attempt end it
      const reply = await upstream.ask({ ...ask, signal, timeoutMs, tenant: this.#tenant.name, idempotent })
      const { status, headers, retryAfterMs } = reply
      const drop = () => {
        reply.body.destroy()
        served()
      }
      const body = ending(decodedUpstream(reply), served)
      return { status, headers: storedHeaders(headers), retryAfterMs, body, drop }
    } catch (error) {
      served()
      throw error
    }
  }

  async #store({ status, headers, body }: Answer): Promise<Stored> {
    const { tenant, id, fence } = this.#work.claimed
    const { maxResultBytes, shadow } = this.#tenant
    const ttlMs = this.#route.submit!.resultTtlMs
    const only = shadow.includes('maxResultSize')
    const maxBytes = only ? Number.MAX_SAFE_INTEGER : maxResultBytes
    const writer = this.#house.results.writer({ tenant, id, fence, status, headers, ttlMs, maxBytes })
    const stored = await pour(body, writer)
    if (only && stored.rawBytes > maxResultBytes) noteShadow(this.#tenant, 'maxResultSize', this.#house)
    return stored
  }

  /** Back into the line for another try, where that is allowed: nothing was sent, or it may be sent twice. */
  #retry({ retryAfterMs, sent = true }: { retryAfterMs: number | null; sent?: boolean }): Ending | null {
    const { attempts, baseDelayMs, maxDelayMs } = this.#route.submit!
    const { attempt } = this.#work.claimed
    if (attempt >= attempts || (sent && !this.#query.idempotent)) return null
    if ((retryAfterMs ?? 0) > maxDelayMs || !this.#query.upstream.takeRetry()) return null
    const waitMs = backoffMs({ baseDelayMs, maxDelayMs }, attempt, this.#house.random())
    this.#house.metrics.jobRetries.inc({ tenant: this.#house.tenantLabels.of(this.#tenant.name) })
    return { how: 'retry', delayMs: Math.ceil(Math.max(waitMs, retryAfterMs ?? 0)) }
  }

  /** What a failure makes of the job. */
  async ended(error: unknown): Promise<Done> {
    const { signal } = this.#work
    if (signal.aborted && signal.reason instanceof Stop) {
      // Others may ride on the query: the slot is theirs until the upstream has done.
      if (this.#asked) await Promise.race([this.#asked.left.promise, wait(GRACE_MS)])
      return this.#with({ how: 'back', renew: true })
    }
    if (error instanceof MustQueue || this.#isOfTheOther(error)) return this.#with({ how: 'back', renew: true })
    if (error instanceof ResultTooLarge)
      return this.#failed('RESULT_TOO_LARGE', `it is larger than ${error.maxBytes} bytes (maxResultSize)`)
    if (!(error instanceof Refusal)) {
      this.#house.log.error({ err: error, job: this.#work.claimed.id }, 'a job met a fault of ours')
      return this.#failed('INTERNAL')
    }
    // The upstream rests: it waits in its place for better times, or for its own deadline.
    if (error.code === 'BREAKER_OPEN') return this.#with({ how: 'back', renew: false })
    const sent = error.code !== 'UPSTREAM_UNREACHABLE'
    const mayRetry = error.code === 'UPSTREAM_UNREACHABLE' || error.code === 'UPSTREAM_INVALID'
    const retry = mayRetry ? this.#retry({ retryAfterMs: null, sent }) : null
    return retry ? this.#with(retry) : this.#failed(error.code, error.detail)
  }

  /** It rode on another's query, which waited longer for its slot than this job may run, or met a limit: it has not run. */
  #isOfTheOther(error: unknown): boolean {
    if (!this.#rides || !(error instanceof Refusal)) return false
    return error.code === 'DEADLINE_EXCEEDED' || isOwnLimit(error, this.#query)
  }

  #failed(code: string, detail?: string): Done {
    return this.#with({ how: 'failed', error: errorText(code, detail), result: null })
  }
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms).unref())

function ofLanding(landing: Landing): Answer | null {
  if (landing.kind === 'entry') {
    const { status, headers, coding, body, rawBytes } = landing.entry
    return { status, headers, retryAfterMs: null, body: later(() => decodeBody(coding, body, rawBytes)) }
  }
  if (landing.kind === 'answer') {
    const { status, headers, body } = landing.answer
    return { status, headers: storedHeaders(headers), retryAfterMs: null, body: later(() => body) }
  }
  const { fetched } = landing
  landing.fetched = null
  return fetched && ofFetched(fetched)
}

function ofFetched(fetched: Fetched): Answer {
  if (fetched.kind === 'whole') {
    const { status, received, body } = fetched
    return { status, headers: storedHeaders(received), retryAfterMs: null, body: later(() => body) }
  }
  const { reply, read } = fetched
  const { status, headers, retryAfterMs } = reply
  const drop = () => reply.body.destroy()
  const body = decodedUpstream({ headers, body: after(read, reply.body) })
  return { status, headers: storedHeaders(headers), retryAfterMs, body, drop }
}

async function* later(make: () => Buffer | Promise<Buffer>): AsyncGenerator<Buffer> {
  yield await make()
}

async function* after(read: Buffer[], rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  for (let chunk = read.shift(); chunk; chunk = read.shift()) yield chunk
  yield* rest
}

async function* ending(body: AsyncIterable<Buffer>, ended: () => void): AsyncGenerator<Buffer> {
  try {
    yield* body
  } finally {
    ended()
  }
}

async function pour(body: AsyncIterable<Buffer>, writer: ResultWriter): Promise<Stored> {
  try {
    for await (const chunk of body) await writer.write(chunk)
    return await writer.end()
  } catch (error) {
    await writer.abort()
    throw error
  }
}
