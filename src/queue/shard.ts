/**
 * The scheduler as a plain structure in memory: the embedded store's, every process's own while Redis is away, and the
 * model that the Redis scripts are held to. Synchronous; every operation takes the instant it happens at. What the
 * operations mean is said in scheduler.ts; scripts/*.lua are the same steps over Redis.
 *
 * It is longer than other files because its operations share one state, and splitting them would hide the order of steps.
 */
import { FULL, type Taking, take } from '../kernel/gcra.ts'
import { BLOB_KINDS, type Blobs, MemoryBlobs } from './blobs.ts'
import { type Entry, entryOf, type JobEntry, jobEntry, keptOf, recordOf, type SlotEntry } from './entry.ts'
import { OrderedSet } from './ordered.ts'
import { CLASS_ROOM, chargeUs, FIRST_ESTIMATE_MS, POISONED, settledUs, TIMED_OUT, TURNS } from './policy.ts'
import type * as port from './scheduler.ts'
import { DEAD_KEEP_MS, LEASE_MS, MAX_DEAD, MAX_LOST, MAX_STEPS } from './scheduler.ts'
import { KINDS, type Kind, type Lane, TenantState, tierOf } from './tenant.ts'

/** One upstream's order, and what of it runs. */
class UpstreamState {
  readonly order = {
    ready: { jobs: new OrderedSet(), slots: new OrderedSet() },
    over: { jobs: new OrderedSet(), slots: new OrderedSet() },
  }
  readonly busy = new Set<string>()
  /** Stands while jobs may be claimed and no worker has come for them. */
  marked = false

  hasJobs(): boolean {
    return this.order.ready.jobs.size + this.order.over.jobs.size > 0
  }
}

interface Candidate {
  upstream: string
  tenant: string
  vtUs: number
  kind: Kind
}

interface Wanted extends port.UpstreamWish {
  left: number
  served: number
  held: boolean
  mayCome: boolean
  avoiding: ReadonlySet<string>
}

export interface ShardHooks {
  push?: (process: string, push: port.Push) => void
  /** A mark was set for this upstream: a worker may be woken. */
  marked?: (upstream: string) => void
  /** A job was changed, or removed: whoever keeps jobs elsewhere too writes it. */
  dirty?: (id: string, job: JobEntry | null) => void
  takeRate?: (rate: NonNullable<port.Door['rate']>) => Taking
}

const TIERS = ['ready', 'over'] as const

export class Shard {
  readonly #hooks: ShardHooks
  readonly #blobs: Blobs
  readonly #tenants = new Map<string, TenantState>()
  readonly #upstreams = new Map<string, UpstreamState>()
  readonly #entries = new Map<string, Entry>()
  readonly #idempotent = new Map<string, { id: string; fingerprint: string }>()
  readonly #lists = new Map<string, Set<string>>()
  readonly #due = new OrderedSet()
  readonly #dead = new OrderedSet()
  readonly #buckets = new Map<string, number>()
  /** Virtual time: the largest start tag that was served. Never goes back. */
  clockUs = 0

  constructor(hooks: ShardHooks = {}, blobs: Blobs = new MemoryBlobs()) {
    this.#hooks = hooks
    this.#blobs = blobs
  }

  // -- the door -------------------------------------------------------------------------------------------------------

  submit(order: port.JobOrder, limits: port.TenantLimits, door: port.Door, nowAt: number): port.Submitted {
    const known = this.#known(order)
    if (known) return known
    const tenant = this.#tenant(order.tenant, limits, nowAt)
    const isFull = tenant.waiting.size >= limits.maxQueue
    if (isFull && !door.shadow.queue) return this.#full(tenant, order, limits)
    const rate = this.#takeRate(door)
    if (rate && !rate.allowed && !door.shadow.rate) return { kind: 'limited', rate }
    tenant.limits = limits
    const job = this.#enter(jobEntry(keptOf(order), ++tenant.number, nowAt))
    this.#blobs.put('payload', job.id, order.payload)
    this.#line(tenant, job, nowAt)
    this.#due.set(job.id, job.deadlineAt)
    this.#place(tenant)
    this.#mark(order.upstream, order.width)
    this.#changed(job)
    return { kind: 'queued', record: this.#record(job), rate, wouldRefuse: isFull }
  }

  record(order: port.JobOrder, result: Buffer, nowAt: number) {
    const known = this.#known(order)
    if (known) return known
    const job = this.#enter(jobEntry(keptOf(order), 0, nowAt))
    this.#blobs.put('result', job.id, result)
    job.startedAt = nowAt
    this.#end(job, 'succeeded', null, nowAt)
    return this.#record(job)
  }

  acquire(wish: port.SlotWish, limits: port.TenantLimits, door: port.Door, nowAt: number): port.Taken {
    const tenant = this.#tenant(wish.tenant, limits, nowAt)
    const goesNow = this.#goesNow(tenant, limits, wish)
    const isFull = !goesNow && tenant.waiting.size >= limits.maxQueue
    if (isFull && !door.shadow.queue) return this.#full(tenant, wish, limits)
    const rate = this.#takeRate(door)
    if (rate && !rate.allowed && !door.shadow.rate) return { kind: 'limited', rate }
    tenant.limits = limits
    const slot = entryOf(wish, ++tenant.number, nowAt)
    this.#entries.set(slot.id, slot)
    if (goesNow) {
      if (tenant.lanes.size === 0) tenant.vtUs = Math.max(tenant.vtUs, this.clockUs)
      this.clockUs = Math.max(this.clockUs, tenant.vtUs)
      this.#start(tenant, slot, nowAt)
      this.#place(tenant)
      this.#settleIdle(tenant, nowAt)
      return { kind: 'granted', rate }
    }
    this.#line(tenant, slot, nowAt)
    this.#due.set(slot.id, nowAt + LEASE_MS)
    this.#place(tenant)
    return this.#waits(tenant, slot, wish, { rate, wouldRefuse: isFull }, nowAt)
  }

  /** It stands in the line; what there is room for is granted now, and that may be itself. */
  #waits(
    tenant: TenantState,
    slot: SlotEntry,
    { upstream: name, width, process, route }: port.SlotWish,
    { rate, wouldRefuse }: { rate: Taking | null; wouldRefuse: boolean },
    nowAt: number,
  ): port.Taken {
    const { held } = this.#serve({ process, want: 0, upstreams: [{ name, width, allow: 0, avoid: [] }] }, nowAt)
    if (slot.isRunning) return { kind: 'granted', rate }
    const position = tenant.waiting.rank(slot.id)! + 1
    const waitMs = tenant.waitMs(position, this.#estimate(tenant, route))
    return { kind: 'waiting', position, waitMs, rate, wouldRefuse, held }
  }

  /** There is room, and nobody stands before it: not its own tenant's work, and no waiting request of another. */
  #goesNow(tenant: TenantState, limits: port.TenantLimits, { upstream: name, width }: port.SlotWish): boolean {
    const tier = tierOf(limits, tenant.running.size)
    const upstream = this.#upstream(name)
    if (tier === null || upstream.busy.size >= width || tenant.lanes.has(name)) return false
    const { ready, over } = upstream.order
    if (ready.slots.size > 0 || (ready.jobs.size > 0 && upstream.busy.size + 1 >= width)) return false
    return tier === 'ready' || over.slots.size + ready.jobs.size === 0
  }

  #known({ tenant, idempotency }: port.JobOrder): { kind: 'repeat' | 'mismatch'; id: string } | null {
    const known = idempotency && this.#idempotent.get(`${tenant} ${idempotency.key}`)
    if (!known) return null
    return { kind: known.fingerprint === idempotency.fingerprint ? 'repeat' : 'mismatch', id: known.id }
  }

  #full(tenant: TenantState, { route }: { route: string }, { hard }: port.TenantLimits): port.Refused {
    const depth = tenant.waiting.size
    return { kind: 'full', depth, waitMs: tenant.waitMs(depth + 1, this.#estimate(tenant, route), hard), rate: null }
  }

  #takeRate({ rate }: port.Door): Taking | null {
    if (!rate) return null
    if (this.#hooks.takeRate) return this.#hooks.takeRate(rate)
    const taking = take(this.#buckets.get(rate.bucket) ?? FULL, rate.nowAt, rate, 1)
    if (taking.allowed) this.#buckets.set(rate.bucket, taking.newTat)
    return taking
  }

  #enter(job: JobEntry): JobEntry {
    this.#entries.set(job.id, job)
    const { tenant, principal, idempotency } = job.order
    const list = `${tenant} ${principal}`
    this.#lists.set(list, (this.#lists.get(list) ?? new Set()).add(job.id))
    if (idempotency)
      this.#idempotent.set(`${tenant} ${idempotency.key}`, { id: job.id, fingerprint: idempotency.fingerprint })
    return job
  }

  // -- running --------------------------------------------------------------------------------------------------------

  claim(wish: port.ClaimWish, nowAt: number): port.Given {
    const wanted = this.#wanted(wish, true)
    const { claimed, held } = this.#dispatch(wish, wanted, nowAt)
    for (const upstream of wanted) {
      const servedNone = upstream.allow > 0 && upstream.served === 0 && claimed.length < wish.want
      if (!servedNone) this.#mark(upstream.name, upstream.width)
    }
    return { claimed, held, nextDueAt: this.#nextDueAt }
  }

  nudge(wish: port.ClaimWish, nowAt: number): port.Given {
    return this.#serve(wish, nowAt)
  }

  /** Grants and claims after something changed; marks what others may take. */
  #serve(wish: port.ClaimWish, nowAt: number): port.Given {
    const wanted = this.#wanted(wish, false)
    const { claimed, held } = this.#dispatch(wish, wanted, nowAt)
    for (const { name, width } of wanted) this.#mark(name, width)
    return { claimed, held, nextDueAt: this.#nextDueAt }
  }

  release(slot: { id: string; tenant: string; servedMs: number | null }, next: port.ClaimWish, nowAt: number) {
    const entry = this.#entries.get(slot.id)
    if (entry?.kind === 'slots') this.#removeSlot(entry, slot.servedMs, nowAt)
    return this.#serve(next, nowAt)
  }

  #removeSlot(slot: SlotEntry, servedMs: number | null, nowAt: number): void {
    const tenant = this.#tenants.get(slot.tenant)!
    if (slot.isRunning) this.#stop(tenant, slot, servedMs)
    else this.#unline(tenant, slot)
    this.#due.delete(slot.id)
    this.#entries.delete(slot.id)
    this.#place(tenant)
    this.#settleIdle(tenant, nowAt)
  }

  finish({ id, fence, ending, servedMs }: port.Finish, next: port.ClaimWish, nowAt: number): port.Finished {
    const job = this.#leased(id, fence)
    if (!job) return { ...this.#heardBefore(id, fence, ending), ...this.#serve(next, nowAt) }
    const tenant = this.#tenants.get(job.tenant)!
    this.#stop(tenant, job, servedMs)
    const kept = job.status === 'running'
    if (!kept) this.#rest(job)
    else if (ending.how === 'succeeded' || ending.how === 'failed') {
      if (ending.result) this.#blobs.put('result', id, ending.result)
      this.#end(job, ending.how, ending.how === 'failed' ? ending.error : null, nowAt)
    } else if (ending.how === 'retry') this.#delay(tenant, job, Math.ceil(ending.delayMs), nowAt)
    else {
      job.attempt--
      this.#back(tenant, job, ending.renew, nowAt)
    }
    this.#place(tenant)
    this.#settleIdle(tenant, nowAt)
    return { kept, status: job.status, ...this.#serve(next, nowAt) }
  }

  /** The same ending once more, because its answer was lost on the way, is kept as it was. */
  #heardBefore(id: string, fence: number, { how }: port.Ending): { kept: boolean; status: port.JobStatus | null } {
    const job = this.#entries.get(id)
    const isSame = job?.kind === 'jobs' && job.fence === fence && !job.isLeased
    const became = how === 'retry' || how === 'back' ? 'queued' : how
    return isSame && job.status === became ? { kept: true, status: became } : { kept: false, status: null }
  }

  lend({ id, fence }: port.LeaseRef, next: port.ClaimWish, nowAt: number): port.Given & { kept: boolean } {
    const job = this.#leased(id, fence)
    const kept = job?.status === 'running'
    if (job && kept) {
      const tenant = this.#tenants.get(job.tenant)!
      this.#stop(tenant, job, null)
      job.isLeased = true
      this.#due.set(id, nowAt + LEASE_MS)
      this.#place(tenant)
      this.#settleIdle(tenant, nowAt)
    }
    return { kept, ...this.#serve(next, nowAt) }
  }

  extend(refs: readonly port.LeaseRef[], nowAt: number): port.LeaseState[] {
    return refs.map(({ id, fence }) => {
      const entry = this.#entries.get(id)
      const isHeld = entry?.kind === 'slots' || this.#leased(id, fence)?.status === 'running'
      if (!entry || !isHeld) return 'lost'
      this.#due.set(id, nowAt + LEASE_MS)
      if (entry.kind === 'jobs') return 'held'
      return entry.isRunning ? 'granted' : 'waiting'
    })
  }

  #leased(id: string, fence: number): JobEntry | undefined {
    const job = this.#entries.get(id)
    return job?.kind === 'jobs' && job.fence === fence && job.isLeased ? job : undefined
  }

  /** Least virtual time first, of those that may run; requests that wait and jobs that are wanted. */
  #dispatch(wish: port.ClaimWish, wanted: Wanted[], nowAt: number): { claimed: port.Claimed[]; held: boolean } {
    const claimed: port.Claimed[] = []
    for (let step = 0; step < MAX_STEPS; step++) {
      const wantsJobs = claimed.length < wish.want
      const best = this.#best(wanted, wantsJobs)
      if (!best) break
      const tenant = this.#tenants.get(best.tenant)!
      const upstream = wanted.find(({ name }) => name === best.upstream)!
      const lane = tenant.lane(best.upstream)
      const takes = wantsJobs && upstream.left > 0 && !upstream.avoiding.has(best.tenant)
      if (!takes && upstream.mayCome && this.#standsBefore(best, tenant, lane, upstream)) {
        upstream.held = true
        continue
      }
      const next = lane.next(tenant.turn, takes ? KINDS : ['slots'])!
      const entry = this.#entries.get(next.id)!
      this.#unline(tenant, entry)
      this.clockUs = Math.max(this.clockUs, tenant.vtUs)
      this.#start(tenant, entry, nowAt)
      this.#place(tenant)
      if (entry.kind === 'jobs') {
        claimed.push(this.#claimed(entry, wish.process, nowAt))
        upstream.left--
        upstream.served++
      } else this.#hooks.push?.(entry.process, { kind: 'granted', slot: entry.id })
    }
    return { claimed, held: wanted.some(({ held }) => held) }
  }

  #best(wanted: readonly Wanted[], wantsJobs: boolean): Candidate | null {
    for (const tier of TIERS) {
      let best: Candidate | null = null
      for (const { name, width, left, held, avoiding } of wanted) {
        const upstream = this.#upstream(name)
        if (held || upstream.busy.size >= width) continue
        const order = upstream.order[tier]
        best = earlier(best, name, 'slots', order.slots.first)
        if (wantsJobs && left > 0) best = earlier(best, name, 'jobs', order.jobs.firstBut(avoiding))
      }
      if (best) return best
    }
    return null
  }

  /**
   * A worker is on its way (it took the mark), and a job stands before this waiting request: its room is left free where
   * it is the last of the upstream, or of the tenant.
   */
  #standsBefore(best: Candidate, tenant: TenantState, lane: Lane, { name, width }: Wanted): boolean {
    const { busy, order } = this.#upstream(name)
    const isOwnLast = tenant.limits.hard - tenant.running.size <= 1
    if (isOwnLast && lane.next(tenant.turn, KINDS)!.kind === 'jobs') return true
    const first = order.ready.jobs.first ?? order.over.jobs.first
    if (!first || width - busy.size > 1 || first.member === best.tenant) return false
    return first.score < best.vtUs || (first.score === best.vtUs && first.member < best.tenant)
  }

  #wanted({ upstreams }: port.ClaimWish, comesForJobs: boolean): Wanted[] {
    return upstreams.map((wish) => ({
      ...wish,
      left: wish.allow,
      served: 0,
      held: false,
      mayCome: !comesForJobs && !this.#upstream(wish.name).marked,
      avoiding: new Set(wish.avoid),
    }))
  }

  #start(tenant: TenantState, entry: Entry, nowAt: number): void {
    const estimateMs = this.#estimate(tenant, entry.route)
    entry.chargedUs = chargeUs(estimateMs, tenant.limits.weight)
    tenant.vtUs += entry.chargedUs
    tenant.turn = (tenant.turn + 1) % TURNS.length
    tenant.started(nowAt, estimateMs)
    tenant.running.add(entry.id)
    this.#upstream(entry.upstream).busy.add(entry.id)
    this.#due.set(entry.id, nowAt + LEASE_MS)
    entry.isRunning = true
  }

  #claimed(job: JobEntry, process: string, nowAt: number): port.Claimed {
    job.status = 'running'
    job.isLeased = true
    job.process = process
    job.fence++
    job.attempt++
    job.startedAt = nowAt
    this.#changed(job)
    const { id, tenant, upstream, route, fence, attempt, submittedAt } = job
    const { principal, class: cls } = job.order
    const payload = this.#blobs.get('payload', id) ?? EMPTY
    const queuedMs = nowAt - job.linedAt
    return { id, tenant, principal, upstream, route, class: cls, payload, fence, attempt, submittedAt, queuedMs }
  }

  #stop(tenant: TenantState, entry: Entry, servedMs: number | null): void {
    if (entry.kind === 'jobs') entry.isLeased = false
    this.#due.delete(entry.id)
    if (!entry.isRunning) return
    entry.isRunning = false
    tenant.running.delete(entry.id)
    this.#upstream(entry.upstream).busy.delete(entry.id)
    const actualUs = servedMs === null ? 0 : chargeUs(servedMs, tenant.limits.weight)
    tenant.vtUs = settledUs(tenant.vtUs, this.clockUs, entry.chargedUs, actualUs)
    if (servedMs !== null) tenant.observe(entry.route, servedMs)
  }

  // -- places ---------------------------------------------------------------------------------------------------------

  /** Into its lane. A tenant that had nothing there starts at the shard's clock: nobody saves up credit. */
  #line(tenant: TenantState, entry: Entry, nowAt: number): void {
    if (tenant.lanes.size === 0) tenant.vtUs = Math.max(tenant.vtUs, this.clockUs)
    tenant.lane(entry.upstream).line(entry.kind, entry.class).set(entry.id, entry.number)
    tenant.waiting.set(entry.id, entry.class * CLASS_ROOM + entry.number)
    entry.isLined = true
    entry.linedAt = nowAt
    tenant.idleAt = null
  }

  #unline(tenant: TenantState, entry: Entry): void {
    if (entry.isLined) tenant.lane(entry.upstream).line(entry.kind, entry.class).delete(entry.id)
    tenant.waiting.delete(entry.id)
    entry.isLined = false
  }

  /** Puts the tenant where it belongs in the order of every upstream that it has work for. */
  #place(tenant: TenantState): void {
    const { tier } = tenant
    for (const [name, lane] of tenant.lanes) {
      const { order } = this.#upstream(name)
      for (const kind of KINDS) {
        const before = lane.tiers[kind]
        const after = lane.has(kind) ? tier : null
        if (before && before !== after) order[before][kind].delete(tenant.name)
        if (after) order[after][kind].set(tenant.name, tenant.vtUs)
        lane.tiers[kind] = after
      }
      if (lane.empty) tenant.lanes.delete(name)
    }
  }

  #settleIdle(tenant: TenantState, nowAt: number): void {
    tenant.idleAt = tenant.waiting.size + tenant.running.size === 0 ? nowAt : null
  }

  #mark(name: string, width: number): void {
    const upstream = this.#upstream(name)
    if (upstream.marked || !upstream.hasJobs() || upstream.busy.size >= width) return
    upstream.marked = true
    this.#hooks.marked?.(name)
  }

  /** A worker comes for the jobs of one of these upstreams: takes the first mark there is. */
  takeMark(names: readonly string[]): string | null {
    const name = names.find((name) => this.#upstreams.get(name)?.marked) ?? null
    if (name !== null) this.#upstream(name).marked = false
    return name
  }

  // -- ends -----------------------------------------------------------------------------------------------------------

  tick(wish: port.ClaimWish, nowAt: number): port.Ticked {
    const ticked: port.Ticked = { ended: [], lost: 0, forgotten: [], held: false, nextDueAt: null }
    for (const id of this.#due.upTo(nowAt, MAX_STEPS)) this.#happen(this.#entries.get(id)!, ticked, nowAt)
    this.#prune(nowAt)
    const { held, nextDueAt } = this.#serve({ ...wish, want: 0 }, nowAt)
    return { ...ticked, held, nextDueAt }
  }

  /** Looks at some tenants, others each time, and lets those go that have had no work for long. */
  #prune(nowAt: number): void {
    let looks = Math.min(MAX_STEPS, this.#tenants.size)
    for (const [name, tenant] of this.#tenants) {
      if (looks-- === 0) return
      this.#tenants.delete(name)
      if (!tenant.isForgotten(nowAt)) this.#tenants.set(name, tenant) // behind the others
    }
  }

  #happen(entry: Entry, ticked: port.Ticked, nowAt: number): void {
    if (entry.kind === 'slots') this.#removeSlot(entry, null, nowAt)
    else if (entry.isLeased) this.#lose(entry, ticked, nowAt)
    else this.#endOrLine(entry, ticked, nowAt)
  }

  #endOrLine(entry: JobEntry, ticked: port.Ticked, nowAt: number): void {
    const { tenant: name, id } = entry
    if (entry.finishedAt !== null) {
      ticked.forgotten.push({ id, tenant: name, result: this.#forget(entry) })
      return
    }
    const tenant = this.#tenants.get(name)!
    if (!entry.isLined && nowAt < entry.deadlineAt) {
      this.#line(tenant, entry, nowAt)
      this.#due.set(id, entry.deadlineAt)
    } else {
      this.#unline(tenant, entry)
      this.#end(entry, 'expired', TIMED_OUT, nowAt)
      ticked.ended.push({ id, tenant: name, status: 'expired', class: entry.order.class })
    }
    this.#place(tenant)
    this.#settleIdle(tenant, nowAt)
  }

  #lose(job: JobEntry, ticked: port.Ticked, nowAt: number): void {
    const tenant = this.#tenants.get(job.tenant)!
    this.#stop(tenant, job, null)
    if (job.status !== 'running') this.#rest(job)
    else {
      ticked.lost++
      job.lost++
      if (job.lost < MAX_LOST) this.#back(tenant, job, true, nowAt)
      else {
        this.#end(job, 'failed', POISONED, nowAt)
        ticked.ended.push({ id: job.id, tenant: job.tenant, status: 'failed', class: job.order.class })
      }
    }
    this.#place(tenant)
    this.#settleIdle(tenant, nowAt)
  }

  #back(tenant: TenantState, job: JobEntry, renew: boolean, nowAt: number): void {
    job.status = 'queued'
    if (renew) job.deadlineAt = nowAt + job.order.queueMs
    this.#line(tenant, job, nowAt)
    this.#due.set(job.id, job.deadlineAt)
    this.#changed(job)
  }

  #delay(tenant: TenantState, job: JobEntry, delayMs: number, nowAt: number): void {
    job.status = 'queued'
    job.deadlineAt = nowAt + delayMs + job.order.queueMs
    tenant.waiting.set(job.id, job.class * CLASS_ROOM + job.number)
    this.#due.set(job.id, nowAt + delayMs)
    this.#changed(job)
  }

  #end(job: JobEntry, status: port.JobStatus, error: string | null, nowAt: number): void {
    job.status = status
    job.error = error
    job.finishedAt = nowAt
    job.keepMs = keepMsOf(job)
    if (error === POISONED) this.#bury(job)
    this.#changed(job)
    if (!job.isLeased) this.#rest(job)
  }

  /** Nothing holds it any more: what it needed to run goes, and its record stays for a while. */
  #rest(job: JobEntry): void {
    const isTried = job.status === 'failed' || job.status === 'expired'
    if (!(isTried && job.order.keepsPayload)) this.#blobs.delete('payload', job.id)
    this.#due.set(job.id, job.finishedAt! + job.keepMs)
    this.#hooks.dirty?.(job.id, job)
  }

  #bury(job: JobEntry): void {
    this.#dead.set(job.id, job.finishedAt!)
    if (this.#dead.size > MAX_DEAD) this.#dead.delete(this.#dead.first!.member)
  }

  #forget(job: JobEntry): Buffer | null {
    const { tenant, principal, idempotency } = job.order
    const list = this.#lists.get(`${tenant} ${principal}`)
    list?.delete(job.id)
    if (list?.size === 0) this.#lists.delete(`${tenant} ${principal}`)
    if (idempotency) this.#idempotent.delete(`${tenant} ${idempotency.key}`)
    this.#dead.delete(job.id)
    this.#due.delete(job.id)
    this.#entries.delete(job.id)
    const result = this.#blobs.get('result', job.id)
    for (const kind of BLOB_KINDS) this.#blobs.delete(kind, job.id)
    this.#hooks.dirty?.(job.id, null)
    return result
  }

  cancel(tenantName: string, id: string, wish: port.ClaimWish, nowAt: number) {
    const job = this.#job(tenantName, id)
    if (!job) return null
    const cancelled = job.finishedAt === null
    if (cancelled) this.#cancel(job, nowAt)
    this.#serve({ ...wish, want: 0 }, nowAt)
    return { record: this.#record(job), cancelled }
  }

  #cancel(job: JobEntry, nowAt: number): void {
    const tenant = this.#tenants.get(job.tenant)!
    if (job.isLeased) this.#hooks.push?.(job.process, { kind: 'stop', job: job.id })
    else this.#unline(tenant, job)
    this.#end(job, 'cancelled', null, nowAt)
    this.#place(tenant)
    this.#settleIdle(tenant, nowAt)
  }

  retry(tenantName: string, id: string, queueMs: number, width: number, nowAt: number) {
    const job = this.#job(tenantName, id)
    if (!job) return null
    const isTried = job.status === 'failed' || job.status === 'expired'
    const mayRun = isTried && !job.isLeased && this.#blobs.has('payload', id)
    if (!mayRun) return { record: this.#record(job), retried: false }
    this.#dead.delete(id)
    const tenant = this.#tenant(job.tenant, NO_LIMITS, nowAt)
    Object.assign(job, { error: null, finishedAt: null, startedAt: null, lost: 0, attempt: 0 })
    this.#blobs.delete('result', id)
    job.order.queueMs = queueMs
    this.#back(tenant, job, true, nowAt)
    this.#place(tenant)
    this.#mark(job.upstream, width)
    return { record: this.#record(job), retried: true }
  }

  drop(tenantName: string, id: string): { result: Buffer | null } | undefined {
    const job = this.#job(tenantName, id)
    if (!job || job.finishedAt === null || job.isLeased) return undefined
    return { result: this.#forget(job) }
  }

  // -- telling --------------------------------------------------------------------------------------------------------

  look(tenant: string, id: string): port.JobRecord | null {
    const job = this.#job(tenant, id)
    return job ? this.#record(job) : null
  }

  find(id: string): port.JobRecord | null {
    const entry = this.#entries.get(id)
    return entry?.kind === 'jobs' ? this.#record(entry) : null
  }

  result(tenant: string, id: string): Buffer | null {
    return this.#job(tenant, id) ? this.#blobs.get('result', id) : null
  }

  dropResult(tenant: string, id: string): Buffer | null {
    const result = this.result(tenant, id)
    if (result) this.#blobs.delete('result', id)
    return result
  }

  list({ tenant, principal, status, limit, after }: port.JobQuery): port.JobRecord[] {
    const ids = [...(this.#lists.get(`${tenant} ${principal}`) ?? [])].sort().reverse()
    const found: JobEntry[] = []
    for (const id of ids) {
      if (found.length === limit) break
      const job = this.#job(tenant, id)!
      if ((after === null || id < after) && (status === null || job.status === status)) found.push(job)
    }
    return found.map((job) => this.#record(job)) // of these alone, for a place in the line is counted out
  }

  watch(tenant: string, id: string, process: string): void {
    this.#job(tenant, id)?.watchers.add(process)
  }

  configure(name: string, limits: port.TenantLimits, wish: port.ClaimWish, nowAt: number): port.Given {
    const tenant = this.#tenants.get(name)
    if (tenant) {
      tenant.limits = limits
      this.#place(tenant)
      this.#settleIdle(tenant, nowAt)
    }
    return this.#serve({ ...wish, want: 0 }, nowAt)
  }

  /** Tenants with work. */
  tenants(): string[] {
    return [...this.#tenants.values()].filter(({ idleAt }) => idleAt === null).map(({ name }) => name)
  }

  load(name: string): port.TenantLoad {
    const tenant = this.#tenants.get(name)
    const depth: [number, number, number] = [0, 0, 0]
    let oldestAt: number | null = null
    for (const id of tenant?.waiting.members() ?? []) {
      const entry = this.#entries.get(id)!
      depth[entry.class]!++
      oldestAt = Math.min(oldestAt ?? entry.submittedAt, entry.submittedAt)
    }
    const running = tenant?.running.size ?? 0
    return { tenant: name, running, depth, oldestAt, paused: tenant?.limits.paused ?? false }
  }

  jobs(): port.JobRecord[] {
    return [...this.#entries.values()].flatMap((entry) => (entry.kind === 'jobs' ? [this.#record(entry)] : []))
  }

  dead(limit: number): port.JobRecord[] {
    const ids = [...this.#dead.members()]
    const records = ids.map((id) => this.#record(this.#entries.get(id) as JobEntry))
    return records.sort((a, b) => b.finishedAt! - a.finishedAt! || (a.id < b.id ? 1 : -1)).slice(0, limit)
  }

  /**
   * Takes in what another life of this store kept. Queued ones stand where they stood and retries keep their time;
   * running ones are lost leases, which the next tick deals with; ended ones stay as long as they still had.
   */
  restore(job: JobEntry, limits: port.TenantLimits, nowAt: number): void {
    this.#enter(job)
    if (job.finishedAt !== null) {
      this.#restoreEnded(job, job.finishedAt)
      return
    }
    const tenant = this.#tenant(job.tenant, limits, nowAt)
    tenant.number = Math.max(tenant.number, job.number)
    tenant.idleAt = null
    if (job.isLeased) this.#due.set(job.id, nowAt)
    else if (job.isLined) {
      this.#line(tenant, job, job.linedAt)
      this.#due.set(job.id, job.deadlineAt)
      this.#place(tenant)
      this.#mark(job.upstream, Number.POSITIVE_INFINITY)
    } else {
      tenant.waiting.set(job.id, job.class * CLASS_ROOM + job.number)
      this.#due.set(job.id, job.deadlineAt - job.order.queueMs)
    }
  }

  #restoreEnded(job: JobEntry, finishedAt: number): void {
    job.keepMs = keepMsOf(job)
    if (job.error === POISONED) this.#bury(job)
    if (job.isLeased) {
      job.isLeased = false // cancelled, and the process that ran it did not live to say that it stopped
      this.#rest(job)
    } else this.#due.set(job.id, finishedAt + job.keepMs)
  }

  get nextDueAt(): number | null {
    return this.#nextDueAt
  }

  /** What is held, counted: a test sees that nothing is left over. */
  census() {
    const live = [...this.#tenants.values()].filter((tenant) => tenant.limits !== NO_LIMITS)
    const tenants = Object.fromEntries(
      live.map(({ name, vtUs, limits, running, waiting, lanes }) => [
        name,
        {
          ...{ vtUs, hard: limits.hard, paused: limits.paused, running: [...running].sort() },
          waiting: [...waiting.members()].sort((a, b) => waiting.scoreOf(a)! - waiting.scoreOf(b)!),
          lanes: [...lanes.keys()].sort(),
        },
      ]),
    )
    const orders: Record<string, Record<string, number>> = {}
    const busy: Record<string, string[]> = {}
    for (const [name, upstream] of this.#upstreams) {
      if (upstream.busy.size > 0) busy[name] = [...upstream.busy].sort()
      for (const tier of TIERS) {
        for (const kind of KINDS) {
          const order = upstream.order[tier][kind]
          const members = [...order.members()].map((member) => [member, order.scoreOf(member)!])
          if (members.length > 0) orders[`${tier}:${name}:${kind}`] = Object.fromEntries(members)
        }
      }
    }
    return {
      ...{ entries: this.#entries.size, due: this.#due.size, dead: this.#dead.size, lists: this.#lists.size },
      lanes: live.reduce((sum, tenant) => sum + tenant.lanes.size, 0),
      clockUs: this.clockUs,
      marks: [...this.#upstreams].flatMap(([name, { marked }]) => (marked ? [name] : [])).sort(),
      ...{ orders, tenants, busy },
    }
  }

  get #nextDueAt(): number | null {
    return this.#due.first?.score ?? null
  }

  #job(tenant: string, id: string): JobEntry | undefined {
    const entry = this.#entries.get(id)
    return entry?.kind === 'jobs' && entry.tenant === tenant ? entry : undefined
  }

  #record(job: JobEntry): port.JobRecord {
    if (job.status !== 'queued') return recordOf(job, null, null)
    const tenant = this.#tenants.get(job.tenant)!
    const position = tenant.waiting.rank(job.id)! + 1
    return recordOf(job, position, tenant.waitMs(position, this.#estimate(tenant, job.route)))
  }

  #changed(job: JobEntry): void {
    job.revision++
    for (const process of job.watchers) this.#hooks.push?.(process, { kind: 'changed', job: job.id })
    this.#hooks.dirty?.(job.id, job)
  }

  #estimate(tenant: TenantState, route: string): number {
    return tenant.estimateOf(route) ?? FIRST_ESTIMATE_MS
  }

  /** Its state; a fresh one under these limits where there is none, or where it has been forgotten. */
  #tenant(name: string, limits: port.TenantLimits, nowAt: number): TenantState {
    const known = this.#tenants.get(name)
    if (known && !known.isForgotten(nowAt)) return known
    const fresh = new TenantState(name, limits, nowAt)
    this.#tenants.set(name, fresh)
    return fresh
  }

  #upstream(name: string): UpstreamState {
    const upstream = this.#upstreams.get(name) ?? new UpstreamState()
    this.#upstreams.set(name, upstream)
    return upstream
  }
}

const EMPTY = Buffer.alloc(0)

const keepMsOf = ({ error, order }: JobEntry): number => (error === POISONED ? DEAD_KEEP_MS : order.keepMs)

/** For a job whose tenant has been forgotten since; the next call says what really holds. */
const NO_LIMITS: port.TenantLimits = { weight: 1, hard: 1, soft: 1, maxQueue: 1, paused: false }

function earlier(
  best: Candidate | null,
  upstream: string,
  kind: Kind,
  first: { member: string; score: number } | undefined,
): Candidate | null {
  if (!first) return best
  if (best && (best.vtUs < first.score || (best.vtUs === first.score && best.tenant <= first.member))) return best
  return { upstream, kind, tenant: first.member, vtUs: first.score }
}
