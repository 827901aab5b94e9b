/**
 * What every scheduler owes its callers. Each adapter's test file runs this and nothing weaker. It is longer than other
 * files because every sentence of the port stands here; `setup` has the words they are told in.
 */
import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { ManualClock } from '../kernel/clock.manual.ts'
import { POISONED, TIMED_OUT } from './policy.ts'
import {
  type Claimed,
  type ClaimWish,
  type Door,
  type Ending,
  type JobOrder,
  type JobStatus,
  LEASE_MS,
  type LeaseState,
  MAX_DEAD,
  MAX_LOST,
  MAX_STEPS,
  type Push,
  type Scheduler,
  type SlotWish,
  type TenantLimits,
  type UpstreamWish,
} from './scheduler.ts'

export interface Opened {
  scheduler: Scheduler
  /** The name under which pushes reach whoever listens to this scheduler. */
  process: string
}

const OPEN: Door = { rate: null, shadow: { rate: false, queue: false } }
const QUEUE_MS = 60_000
const KEEP_MS = 90_000
const FAR_MS = 10_000 // a wait that a test would notice
const DONE: Ending = { how: 'succeeded', result: Buffer.from('rows') }
const STAYS = new AbortController().signal

/** @param open a scheduler of its own for each case, which ends with it */
export function schedulerContract(name: string, open: (clock: ManualClock, t: TestContext) => Promise<Opened>): void {
  const setup = async (t: TestContext) => {
    const clock = new ManualClock()
    const { scheduler, process } = await open(clock, t)
    const pushes = new Pushes(scheduler)
    const limitsOf = new Map<string, TenantLimits>()
    let made = 0

    const limit = (tenant: string, some: Partial<TenantLimits>) => {
      const now = limitsOf.get(tenant) ?? { weight: 1, hard: 100, soft: 100, maxQueue: 1_000, paused: false }
      limitsOf.set(tenant, { ...now, ...some })
      return limitsOf.get(tenant)!
    }
    const orderOf = (some: Partial<JobOrder> = {}): JobOrder => ({
      ...{ id: `job_${String(++made).padStart(4, '0')}`, tenant: 'ann', upstream: 'db', route: 'r', class: 'default' },
      ...{ width: 100, principal: 'p', payload: Buffer.from('{}'), keepsPayload: true },
      ...{ queueMs: QUEUE_MS, keepMs: KEEP_MS, idempotency: null, replicated: false },
      ...some,
    })
    const offer = (some: Partial<JobOrder> = {}, door = OPEN) => {
      const order = orderOf(some)
      return scheduler.submit(order, limit(order.tenant, {}), door)
    }
    const submit = async (some: Partial<JobOrder> = {}, door = OPEN): Promise<string> => {
      const told = await offer(some, door)
      assert.ok(told.kind === 'queued', `it was ${told.kind}`)
      return told.record.id
    }
    const submitMany = async (count: number, some: Partial<JobOrder> = {}): Promise<string[]> => {
      const ids: string[] = []
      for (let n = 0; n < count; n++) ids.push(await submit(some))
      return ids
    }
    const wish = (want: number, some: Partial<UpstreamWish> = {}): ClaimWish => {
      return { process, want, upstreams: [{ name: 'db', width: 100, allow: 100, avoid: [], ...some }] }
    }
    const claim = async (want = 1, some: Partial<UpstreamWish> = {}) =>
      (await scheduler.claim(wish(want, some))).claimed
    const claimOne = async (): Promise<Claimed> => {
      const [claimed] = await claim()
      assert.ok(claimed, 'nothing could be claimed')
      return claimed
    }
    const finish = ({ id, tenant, fence }: Claimed, ending = DONE, next = wish(0), servedMs: number | null = 1_000) =>
      scheduler.finish({ id, tenant, fence, ending, servedMs }, next)
    const acquire = (id: string, some: Partial<SlotWish> = {}, door = OPEN) => {
      const names = { id, tenant: 'ann', upstream: 'db', route: 'r', class: 'default', width: 100, process } as const
      const slot = { ...names, ...some }
      return scheduler.acquire(slot, limit(slot.tenant, {}), door)
    }
    const release = (id: string, tenant = 'ann', next = wish(0), servedMs: number | null = 1_000) =>
      scheduler.release({ id, tenant, servedMs }, next)
    const configure = (tenant: string, some: Partial<TenantLimits>, next = wish(0)) =>
      scheduler.configure(tenant, limit(tenant, some), next)
    const tick = () => scheduler.tick(wish(0))
    const pass = async (ms: number) => {
      await clock.advance(ms)
      return tick()
    }
    const look = async (id: string, tenant = 'ann') => {
      const record = await scheduler.look(tenant, id)
      assert.ok(record, `there is no ${id}`)
      return record
    }
    const statusOf = async (id: string) => (await look(id)).status
    /** Its process is not heard of, until the lease is over. */
    const loseLease = async () => {
      const [claimed, ticked] = [await claimOne(), await pass(LEASE_MS)]
      return { claimed, ticked }
    }
    const poison = async () => {
      await loseLease()
      await loseLease()
      return loseLease()
    }
    const words = { limit, orderOf, offer, submit, submitMany, wish, claim, claimOne, finish, acquire, release }
    return { clock, scheduler, process, pushes, ...words, configure, tick, pass, look, statusOf, loseLease, poison }
  }

  describe(`${name} scheduler`, () => {
    describe('inside a tenant', () => {
      test('jobs of a class are served first come, first served', async (t) => {
        const { submitMany, claim } = await setup(t)
        const ids = await submitMany(5)
        assert.deepEqual(namesOf(await claim(2)), ids.slice(0, 2))
        assert.deepEqual(namesOf(await claim(9)), ids.slice(2))
      })

      test('classes are served 8:3:1, and none waits for a whole round', async (t) => {
        const { submitMany, claim } = await setup(t)
        for (const cls of ['batch', 'default', 'interactive'] as const) await submitMany(16, { class: cls })
        const served = (await claim(24)).map((job) => job.class[0]).join('')
        assert.equal(served, 'iidiidiidiib'.repeat(2))
      })

      test('a class that has nothing leaves its turns to the others', async (t) => {
        const { submit, submitMany, claim } = await setup(t)
        const batch = await submitMany(3, { class: 'batch' })
        const first = await submit({ class: 'interactive' })
        assert.deepEqual(namesOf(await claim(4)), [first, ...batch])
      })

      test('tells each its position: by class, then by age', async (t) => {
        const { submit, look } = await setup(t)
        const [batch, second] = [await submit({ class: 'batch' }), await submit()]
        const first = await submit({ class: 'interactive' })
        const positions = await Promise.all([first, second, batch].map(async (id) => (await look(id)).position))
        assert.deepEqual(positions, [1, 2, 3])
      })

      test('who may run now has no wait; the others have what a query is taken to cost', async (t) => {
        const { limit, submitMany, look } = await setup(t)
        limit('ann', { hard: 2, soft: 2 })
        const ids = await submitMany(4)
        const waits = await Promise.all(ids.map(async (id) => (await look(id)).waitMs))
        assert.deepEqual(waits, [0, 0, 1_500, 2_000])
      })

      test('the wait follows the pace at which the line has moved', async (t) => {
        const { clock, limit, submitMany, claimOne, finish, look } = await setup(t)
        limit('ann', { hard: 1, soft: 1 })
        const ids = await submitMany(4)
        await finish(await claimOne())
        await clock.advance(600)
        await claimOne()
        assert.deepEqual([(await look(ids[2]!)).waitMs, (await look(ids[3]!)).waitMs], [800, 1_600])
      })

      test('once a job runs it has no position, and none of those it passed has another', async (t) => {
        const { submitMany, claimOne, look } = await setup(t)
        const [first, second] = await submitMany(2)
        await claimOne()
        const { position, waitMs } = await look(first!)
        assert.deepEqual([position, waitMs, (await look(second!)).position], [null, null, 1])
      })
    })

    describe('between tenants', () => {
      test('equal weights alternate', async (t) => {
        const { submitMany, claim } = await setup(t)
        await submitMany(6)
        await submitMany(6, { tenant: 'bob' })
        assert.equal(await tenantsServed(12, claim), 'ab'.repeat(6))
      })

      test('a tenant of four times the weight is served four times as often', async (t) => {
        const { limit, submitMany, claimOne, finish } = await setup(t)
        limit('ann', { weight: 4 })
        await submitMany(210)
        await submitMany(210, { tenant: 'bob' })
        let served = 0
        for (let n = 0; n < 200; n++) {
          const job = await claimOne()
          if (job.tenant === 'ann') served++
          await finish(job)
        }
        assert.ok(served >= 152 && served <= 168, `${served} of 200`)
      })

      test('weights share service, not numbers: long queries count as what they cost', async (t) => {
        const { submitMany, claimOne, finish, wish } = await setup(t)
        await submitMany(110)
        await submitMany(110, { tenant: 'bob' })
        let served = 0
        for (let n = 0; n < 100; n++) {
          const job = await claimOne()
          if (job.tenant === 'ann') served++
          await finish(job, DONE, wish(0), job.tenant === 'ann' ? 500 : 1_500)
        }
        assert.ok(served >= 71 && served <= 79, `${served} of 100`)
      })

      test('who was idle has saved nothing up', async (t) => {
        const { submitMany, claimOne, finish, claim } = await setup(t)
        await submitMany(40)
        for (let n = 0; n < 30; n++) await finish(await claimOne())
        await submitMany(10, { tenant: 'bob' })
        const served = await tenantsServed(10, claim)
        assert.equal(served.replaceAll('a', '').length, 5, served)
      })

      test('above its soft limit a tenant has what nobody else wants', async (t) => {
        const { limit, submitMany, claim } = await setup(t)
        limit('ann', { soft: 1 })
        await submitMany(3)
        await submitMany(3, { tenant: 'bob' })
        assert.equal(await tenantsServed(6, claim), 'abbbaa')
      })

      test('a tenant whose jobs shall wait is passed by, and nobody else', async (t) => {
        const { submitMany, claim } = await setup(t)
        await submitMany(2)
        await submitMany(2, { tenant: 'bob' })
        const served = await claim(9, { avoid: ['ann'] })
        assert.deepEqual(
          served.map(({ tenant }) => tenant),
          ['bob', 'bob'],
        )
        assert.equal((await claim(9)).length, 2)
      })

      test('who asked nothing of its upstream has had nothing, and taught nothing', async (t) => {
        const { limit, submit, submitMany, claimOne, finish, look, wish } = await setup(t)
        limit('ann', { hard: 1, soft: 1 })
        await submit()
        await finish(await claimOne(), DONE, wish(0), null)
        await submitMany(1, { tenant: 'bob' })
        const [, waits] = await submitMany(2)
        assert.equal((await claimOne()).tenant, 'ann')
        assert.equal((await look(waits!)).waitMs, 1_000)
      })
    })

    describe('limits', () => {
      test('a tenant runs no more than its hard limit, and goes on as one ends', async (t) => {
        const { limit, submitMany, claim, finish, wish } = await setup(t)
        limit('ann', { hard: 2, soft: 2 })
        const ids = await submitMany(4)
        const [first, ...others] = await claim(9)
        assert.equal(others.length, 1)
        const next = await finish(first!, DONE, wish(9))
        assert.deepEqual(namesOf(next.claimed), [ids[2]])
      })

      test('an upstream has no more than its width, over all tenants, and others have theirs', async (t) => {
        const { submitMany, claim, acquire } = await setup(t)
        await acquire('slot', { width: 3 })
        await submitMany(2)
        await submitMany(2, { tenant: 'bob' })
        await submitMany(2, { upstream: 'api' })
        assert.equal((await claim(9, { width: 3 })).length, 2)
        assert.equal((await claim(9, { name: 'api', width: 2 })).length, 2)
      })

      for (const [allow, want, expected] of [
        [0, 9, 0],
        [2, 9, 2],
        [9, 2, 2],
      ] as const) {
        test(`of ${allow} that may be begun, ${expected} are claimed by who wants ${want}`, async (t) => {
          const { submitMany, claim } = await setup(t)
          await submitMany(4)
          assert.equal((await claim(want, { allow })).length, expected)
        })
      }

      test('a paused tenant starts nothing, keeps its place, and what runs ends', async (t) => {
        const { submitMany, claimOne, claim, configure, finish, look, wish } = await setup(t)
        const ids = await submitMany(3)
        const running = await claimOne()
        await configure('ann', { paused: true })
        assert.deepEqual(await claim(9), [])
        const ended = await finish(running, DONE, wish(9))
        assert.deepEqual([ended.kept, ended.claimed.length, (await look(ids[1]!)).position], [true, 0, 1])
        await configure('ann', { paused: false })
        assert.deepEqual(namesOf(await claim(9)), ids.slice(1))
      })

      test('raised limits hold for what waits already', async (t) => {
        const { limit, submitMany, claim, configure } = await setup(t)
        limit('ann', { hard: 1, soft: 1 })
        await submitMany(4)
        assert.equal((await claim(9)).length, 1)
        await configure('ann', { hard: 3, soft: 3 })
        assert.equal((await claim(9)).length, 2)
      })

      test('lowered ones hold for what comes next: what runs is left alone', async (t) => {
        const { submitMany, claim, configure, finish, wish } = await setup(t)
        await submitMany(5)
        const running = await claim(3)
        await configure('ann', { hard: 2, soft: 2 })
        const started = []
        for (const job of running) started.push((await finish(job, DONE, wish(9))).claimed.length)
        assert.deepEqual(started, [0, 1, 1])
      })

      test('limits of a tenant that nobody knows are nobody’s concern', async (t) => {
        const { configure } = await setup(t)
        assert.deepEqual(await configure('nobody', { hard: 1 }), { claimed: [], held: false, nextDueAt: null })
      })
    })

    describe('requests that wait in place', () => {
      test('have their slot at once where there is room', async (t) => {
        const { acquire } = await setup(t)
        assert.deepEqual(await acquire('slot'), { kind: 'granted', rate: null })
      })

      test('wait while their upstream is as wide as it may be', async (t) => {
        const { acquire } = await setup(t)
        await acquire('first', { width: 2 })
        await acquire('second', { width: 2 })
        assert.equal((await acquire('third', { width: 2 })).kind, 'waiting')
        assert.equal((await acquire('other', { upstream: 'api', width: 2 })).kind, 'granted')
      })

      test('else a place in the line, and the slot by a push', async (t) => {
        const { limit, acquire, release, pushes, scheduler } = await setup(t)
        limit('ann', { hard: 1, soft: 1 })
        await acquire('first')
        const told = await acquire('second')
        assert.ok(told.kind === 'waiting')
        assert.deepEqual([told.position, told.waitMs, told.held], [1, 1_000, false])
        await release('first')
        await pushes.heard({ kind: 'granted', slot: 'second' })
        assert.deepEqual(await scheduler.extend([{ id: 'second', tenant: 'ann', fence: 0 }]), ['granted'])
      })

      test('who leaves gives back the place at once', async (t) => {
        const { limit, acquire, release, pushes } = await setup(t)
        limit('ann', { hard: 1, soft: 1 })
        for (const id of ['runs', 'leaves', 'stays']) await acquire(id)
        await release('leaves', 'ann', undefined, null)
        await release('runs')
        await pushes.heard({ kind: 'granted', slot: 'stays' })
        assert.deepEqual(pushes.slots, ['stays'])
      })

      test('stand in one order with jobs', async (t) => {
        const { limit, submit, acquire, release, finish, wish, pushes } = await setup(t)
        limit('ann', { hard: 1, soft: 1 })
        await acquire('first')
        const second = await submit()
        await acquire('third')
        const fourth = await submit()
        const { claimed } = await release('first', 'ann', wish(1))
        assert.deepEqual(namesOf(claimed), [second])
        assert.deepEqual((await finish(claimed[0]!, DONE, wish(1))).claimed, [])
        await pushes.heard({ kind: 'granted', slot: 'third' })
        assert.deepEqual(namesOf((await release('third', 'ann', wish(1))).claimed), [fourth])
      })

      test('raised limits grant them at once', async (t) => {
        const { limit, acquire, configure, pushes } = await setup(t)
        limit('ann', { hard: 1, soft: 1 })
        for (const id of ['first', 'second', 'third']) await acquire(id)
        await configure('ann', { hard: 3, soft: 3 })
        for (const slot of ['second', 'third']) await pushes.heard({ kind: 'granted', slot })
      })

      test('do not overtake a job whose worker is on its way; if none comes, they do', async (t) => {
        const { submit, acquire, release, scheduler, wish, pushes } = await setup(t)
        await acquire('runs', { width: 1 })
        await submit({ tenant: 'bob', width: 1 })
        assert.equal((await acquire('waits', { width: 1 })).kind, 'waiting')
        const narrow = wish(0, { width: 1 })
        assert.equal((await release('runs', 'ann', narrow)).held, true)
        assert.equal((await scheduler.nudge(narrow)).held, false)
        await pushes.heard({ kind: 'granted', slot: 'waits' })
      })

      test('are forgotten with their process, whether they wait or run', async (t) => {
        const { limit, acquire, pass, scheduler, clock } = await setup(t)
        limit('ann', { hard: 1, soft: 1 })
        const [runs, waits] = ['runs', 'waits'].map((id) => ({ id, tenant: 'ann', fence: 0 }))
        for (const { id } of [runs!, waits!]) await acquire(id)
        await clock.advance(LEASE_MS - 1)
        assert.deepEqual(await scheduler.extend([waits!]), ['waiting'])
        await pass(1)
        assert.deepEqual(await scheduler.extend([runs!, waits!]), ['lost', 'granted'])
        await pass(LEASE_MS)
        assert.deepEqual(await scheduler.tenants('0'), { cursor: '0', tenants: [] })
      })
    })

    describe('at the door', () => {
      test('a full line is told with its depth and the wait behind it', async (t) => {
        const { limit, submitMany, claimOne, offer, acquire } = await setup(t)
        limit('ann', { hard: 1, soft: 1, maxQueue: 2 })
        await submitMany(1)
        await claimOne()
        await submitMany(2)
        const refused = { kind: 'full', depth: 2, waitMs: 3_000, rate: null }
        assert.deepEqual(await offer(), refused)
        assert.deepEqual(await acquire('slot'), refused)
      })

      test('a request for which there is room needs no place in a full line', async (t) => {
        const { limit, submitMany, acquire } = await setup(t)
        limit('ann', { maxQueue: 1 })
        await submitMany(1, { upstream: 'api' })
        assert.equal((await acquire('slot')).kind, 'granted')
      })

      test('a refusal for depth takes no token, one for rate takes no place', async (t) => {
        const { limit, offer, claim, clock, scheduler } = await setup(t)
        limit('ann', { maxQueue: 1 })
        const rate = { emissionUs: 60_000_000, burst: 2, bucket: 'ann:requests', nowAt: clock.now() }
        const knock = async () => {
          const told = await offer({}, { ...OPEN, rate })
          return [told.kind, 'rate' in told ? (told.rate?.remaining ?? null) : null]
        }
        assert.deepEqual(await knock(), ['queued', 1])
        assert.deepEqual(await knock(), ['full', null])
        await claim()
        assert.deepEqual(await knock(), ['queued', 0])
        await claim()
        assert.deepEqual(await knock(), ['limited', 0])
        assert.deepEqual((await scheduler.loads(['ann']))[0]!.depth, [0, 0, 0])
      })

      test('says exactly when a token is back, and keeps its word', async (t) => {
        const { acquire, clock } = await setup(t)
        const knock = (id: string) => {
          const rate = { emissionUs: 500_000, burst: 1, bucket: 'ann:requests', nowAt: clock.now() }
          return acquire(id, {}, { ...OPEN, rate })
        }
        assert.equal((await knock('a')).kind, 'granted')
        await clock.advance(100)
        const told = await knock('b')
        assert.ok(told.kind === 'limited')
        assert.deepEqual([told.rate.allowed, told.rate.retryAfterMs, told.rate.resetMs], [false, 400, 400])
        await clock.advance(399)
        assert.equal((await knock('c')).kind, 'limited')
        await clock.advance(1)
        assert.equal((await knock('d')).kind, 'granted')
      })

      test('in shadow they refuse nobody, and tell whom they would', async (t) => {
        const { limit, offer, clock } = await setup(t)
        limit('ann', { maxQueue: 1 })
        const rate = { emissionUs: 60_000_000, burst: 1, bucket: 'ann:requests', nowAt: clock.now() }
        const knock = async () => {
          const told = await offer({}, { rate, shadow: { rate: true, queue: true } })
          assert.ok(told.kind === 'queued')
          return [told.wouldRefuse, told.rate?.allowed]
        }
        assert.deepEqual(await knock(), [false, true])
        assert.deepEqual(await knock(), [true, false])
      })

      test('an Idempotency-Key has one job, whatever its state, and another request is told from it', async (t) => {
        const { submit, offer, claimOne, finish, orderOf, scheduler } = await setup(t)
        const idempotency = { key: 'k', fingerprint: 'f' }
        const id = await submit({ idempotency })
        assert.deepEqual(await offer({ idempotency }), { kind: 'repeat', id })
        await finish(await claimOne())
        assert.deepEqual(await offer({ idempotency }), { kind: 'repeat', id })
        assert.deepEqual(await scheduler.record(orderOf({ idempotency }), Buffer.from('x')), { kind: 'repeat', id })
        assert.deepEqual(await offer({ idempotency: { key: 'k', fingerprint: 'g' } }), { kind: 'mismatch', id })
      })

      test('an Idempotency-Key is its tenant’s, and free again when its job is forgotten', async (t) => {
        const { submit, claimOne, finish, pass } = await setup(t)
        const idempotency = { key: 'k', fingerprint: 'f' }
        await submit({ idempotency })
        await submit({ tenant: 'bob', idempotency })
        await finish(await claimOne())
        await finish(await claimOne())
        await pass(KEEP_MS)
        await submit({ idempotency })
      })
    })

    describe('a job that runs', () => {
      test('comes with all that its worker needs', async (t) => {
        const { submit, clock, claimOne } = await setup(t)
        const payload = Buffer.from(Array.from({ length: 70_000 }, (_, n) => n % 256))
        const submittedAt = clock.now()
        const id = await submit({ payload, class: 'batch', principal: 'q', route: 's' })
        await clock.advance(250)
        const names = { id, tenant: 'ann', principal: 'q', upstream: 'db', route: 's', class: 'batch' }
        const { payload: got, ...told } = await claimOne()
        assert.deepEqual(told, { ...names, fence: 1, attempt: 1, submittedAt, queuedMs: 250 })
        assert.ok(got.equals(payload))
      })

      test('is looked at as what it is, all along', async (t) => {
        const { submit, clock, look, claimOne, finish } = await setup(t)
        const at = clock.now()
        const id = await submit()
        const names = { id, tenant: 'ann', principal: 'p', upstream: 'db', route: 'r', class: 'default' }
        const queued = { ...names, status: 'queued', submittedAt: at, startedAt: null, finishedAt: null, error: null }
        const counts = { attempt: 0, lost: 0, deadlineAt: at + QUEUE_MS, position: 1, waitMs: 0, revision: 1 }
        assert.deepEqual(await look(id), { ...queued, ...counts })
        await clock.advance(10)
        const claimed = await claimOne()
        const running = { ...queued, ...counts, status: 'running', startedAt: at + 10, attempt: 1, revision: 2 }
        assert.deepEqual(await look(id), { ...running, position: null, waitMs: null })
        await clock.advance(10)
        await finish(claimed)
        const ended = {
          ...running,
          status: 'succeeded',
          finishedAt: at + 20,
          revision: 3,
          position: null,
          waitMs: null,
        }
        assert.deepEqual(await look(id), ended)
      })

      test('ends as it ended, when the answer was lost and it is handed in once more', async (t) => {
        const { submit, claimOne, finish, look } = await setup(t)
        const id = await submit()
        const claimed = await claimOne()
        await finish(claimed)
        const ended = await look(id)
        assert.equal((await finish(claimed)).kept, true)
        assert.deepEqual(await look(id), ended)
        assert.equal((await finish(claimed, { how: 'failed', error: '{}', result: null })).kept, false)
        assert.equal((await look(id))?.status, 'succeeded')
      })

      test('has a fence that no earlier holder can pass', async (t) => {
        const { submit, loseLease, claimOne, finish, scheduler } = await setup(t)
        const id = await submit()
        const { claimed: stale } = await loseLease()
        const held = await claimOne()
        assert.ok(held.fence > stale.fence)
        const late = await finish(stale, { how: 'failed', error: 'late', result: null })
        assert.deepEqual([late.kept, late.status], [false, null])
        assert.equal((await finish(held)).kept, true)
        assert.deepEqual(await scheduler.result('ann', id), Buffer.from('rows'))
      })

      test('whose lease is lost stands where it stood, and it counts', async (t) => {
        const { submit, submitMany, loseLease, look, claimOne } = await setup(t)
        const first = await submit()
        await submitMany(2)
        const { ticked } = await loseLease()
        assert.deepEqual([ticked.lost, ticked.ended], [1, []])
        const { status, position, lost } = await look(first)
        assert.deepEqual([status, position, lost], ['queued', 1, 1])
        const { id, attempt } = await claimOne()
        assert.deepEqual([id, attempt], [first, 2])
      })

      test('keeps its lease as long as its process is heard of', async (t) => {
        const { submit, clock, claimOne, scheduler, tick, pass } = await setup(t)
        await submit()
        const claimed = await claimOne()
        for (let n = 0; n < 5; n++) {
          await clock.advance(LEASE_MS - 1)
          assert.deepEqual(await scheduler.extend([claimed]), ['held'])
          assert.equal((await tick()).lost, 0)
        }
        assert.equal((await pass(LEASE_MS - 1)).lost, 0)
        assert.equal((await pass(1)).lost, 1)
      })

      test('says of each lease how it stands', async (t) => {
        const { limit, submit, claimOne, finish, acquire, loseLease, scheduler } = await setup(t)
        await submit()
        const { claimed: lost } = await loseLease()
        const ended = await claimOne()
        await finish(ended)
        await submit()
        const held = await claimOne()
        limit('bob', { hard: 1, soft: 1 })
        for (const id of ['runs', 'waits']) await acquire(id, { tenant: 'bob' })
        const refs = [
          ...[held, lost, ended, { ...held, fence: held.fence + 1 }],
          ...['runs', 'waits', 'never'].map((id) => ({ id, tenant: 'bob', fence: 0 })),
        ]
        const states: LeaseState[] = ['held', 'lost', 'lost', 'lost', 'granted', 'waiting', 'lost']
        assert.deepEqual(await scheduler.extend(refs), states)
      })

      test('is poisoned with its third lost lease', async (t) => {
        const { submit, poison, look, claim } = await setup(t)
        const id = await submit()
        const { ticked } = await poison()
        assert.deepEqual(ticked.ended, [{ id, tenant: 'ann', status: 'failed', class: 'default' }])
        const { status, error, lost } = await look(id)
        assert.deepEqual([status, error, lost], ['failed', POISONED, 3])
        assert.deepEqual(await claim(), [])
      })

      test('may be tried again after a while, at its own place', async (t) => {
        const { submit, submitMany, clock, claimOne, finish, look, pass, claim } = await setup(t)
        const id = await submit()
        const others = await submitMany(2)
        const at = clock.now()
        const told = await finish(await claimOne(), { how: 'retry', delayMs: 500 })
        assert.deepEqual([told.kept, told.status], [true, 'queued'])
        const { status, position, deadlineAt, attempt } = await look(id)
        assert.deepEqual([status, position, deadlineAt, attempt], ['queued', 1, at + 500 + QUEUE_MS, 1])
        assert.equal((await claimOne()).id, others[0])
        await pass(499)
        assert.equal((await claimOne()).id, others[1])
        assert.deepEqual(await claim(), [])
        await pass(1)
        assert.deepEqual([(await claimOne()).attempt, (await look(id)).status], [2, 'running'])
      })

      for (const renew of [false, true]) {
        test(`that is given back unharmed was not tried; its time ${renew ? 'begins anew' : 'goes on'}`, async (t) => {
          const { submit, submitMany, clock, claimOne, finish, look } = await setup(t)
          const at = clock.now()
          const id = await submit()
          await submitMany(1)
          const claimed = await claimOne()
          await clock.advance(100)
          assert.equal((await finish(claimed, { how: 'back', renew })).status, 'queued')
          const { position, attempt, deadlineAt } = await look(id)
          assert.deepEqual([position, attempt, deadlineAt], [1, 0, at + QUEUE_MS + (renew ? 100 : 0)])
          const again = await claimOne()
          assert.deepEqual([again.id, again.attempt, again.fence], [id, 1, 2])
        })
      }

      test('lends its slot to the next and is heard all the same', async (t) => {
        const { limit, submitMany, claimOne, wish, scheduler, finish } = await setup(t)
        limit('ann', { hard: 1, soft: 1 })
        const [, second, third] = await submitMany(3)
        const rides = await claimOne()
        const lent = await scheduler.lend(rides, wish(1))
        assert.deepEqual([lent.kept, namesOf(lent.claimed)], [true, [second]])
        assert.deepEqual(await scheduler.extend([rides]), ['held'])
        const ended = await finish(rides, DONE, wish(1), null)
        assert.deepEqual([ended.kept, ended.claimed.length], [true, 0])
        assert.deepEqual(namesOf((await finish(lent.claimed[0]!, DONE, wish(1))).claimed), [third])
        assert.equal((await scheduler.lend(rides, wish(0))).kept, false)
      })

      test('that has lent its slot is lost a lease later, if it is not heard of', async (t) => {
        const { submit, clock, claimOne, scheduler, wish, pass } = await setup(t)
        await submit()
        const rides = await claimOne()
        await clock.advance(1_000)
        await scheduler.lend(rides, wish(0))
        assert.equal((await pass(LEASE_MS - 1)).lost, 0)
        assert.equal((await pass(1)).lost, 1)
      })
    })

    describe('a job that ends', () => {
      for (const [ending, status, error, result] of [
        [DONE, 'succeeded', null, 'rows'],
        [{ how: 'failed', error: '{"code":"X"}', result: Buffer.from('no') }, 'failed', '{"code":"X"}', 'no'],
        [{ how: 'failed', error: '{"code":"Y"}', result: null }, 'failed', '{"code":"Y"}', null],
      ] as const) {
        test(`as ${status} ${result === null ? 'without' : 'with'} a result is told so`, async (t) => {
          const { submit, claimOne, finish, look, scheduler } = await setup(t)
          const id = await submit()
          const told = await finish(await claimOne(), ending)
          assert.deepEqual([told.kept, told.status], [true, status])
          assert.equal((await look(id)).error, error)
          assert.equal((await scheduler.result('ann', id))?.toString() ?? null, result)
        })
      }

      test('by its time in the line has expired, not a moment before', async (t) => {
        const { submit, pass, look, claim } = await setup(t)
        const id = await submit()
        assert.deepEqual((await pass(QUEUE_MS - 1)).ended, [])
        assert.deepEqual((await pass(1)).ended, [{ id, tenant: 'ann', status: 'expired', class: 'default' }])
        const { status, error } = await look(id)
        assert.deepEqual([status, error], ['expired', TIMED_OUT])
        assert.deepEqual(await claim(), [])
      })

      test('keeps its result exactly as long as it shall, and is then forgotten', async (t) => {
        const { submit, claimOne, finish, pass, scheduler } = await setup(t)
        const id = await submit()
        await finish(await claimOne())
        assert.deepEqual((await pass(KEEP_MS - 1)).forgotten, [])
        assert.deepEqual(await scheduler.result('ann', id), Buffer.from('rows'))
        assert.deepEqual((await pass(1)).forgotten, [{ id, tenant: 'ann', result: Buffer.from('rows') }])
        assert.deepEqual([await scheduler.look('ann', id), await scheduler.result('ann', id)], [null, null])
      })

      test('may lose its result and stay', async (t) => {
        const { submit, claimOne, finish, statusOf, scheduler } = await setup(t)
        const id = await submit()
        await finish(await claimOne())
        assert.deepEqual(await scheduler.dropResult('ann', id), Buffer.from('rows'))
        assert.deepEqual([await scheduler.dropResult('ann', id), await scheduler.result('ann', id)], [null, null])
        assert.equal(await statusOf(id), 'succeeded')
      })

      test('as it is submitted has its answer at once, and costs nobody a turn', async (t) => {
        const { orderOf, scheduler, claim, clock } = await setup(t)
        const order = orderOf()
        const record = await scheduler.record(order, Buffer.from('cached'))
        assert.ok('status' in record)
        const at = clock.now()
        assert.deepEqual([record.status, record.startedAt, record.finishedAt], ['succeeded', at, at])
        assert.deepEqual(await scheduler.result('ann', order.id), Buffer.from('cached'))
        assert.deepEqual([await claim(), await scheduler.tenants('0')], [[], { cursor: '0', tenants: [] }])
      })
    })

    describe('a cancelled job', () => {
      test('that waited never runs', async (t) => {
        const { submitMany, scheduler, wish, claim, statusOf } = await setup(t)
        const [first, second] = await submitMany(2)
        assert.equal((await scheduler.cancel('ann', first!, wish(0)))?.cancelled, true)
        assert.deepEqual([await statusOf(first!), namesOf(await claim(9))], ['cancelled', [second]])
      })

      test('that ran: its process is told to stop, and what it brings home is refused', async (t) => {
        const { limit, submitMany, claimOne, scheduler, wish, pushes, finish } = await setup(t)
        limit('ann', { hard: 1, soft: 1 })
        const [first, second] = await submitMany(2)
        const running = await claimOne()
        const told = await scheduler.cancel('ann', first!, wish(0))
        assert.deepEqual([told?.cancelled, told?.record.status], [true, 'cancelled'])
        await pushes.heard({ kind: 'stop', job: first! })
        assert.deepEqual(await scheduler.extend([running]), ['lost'])
        const late = await finish(running, DONE, wish(1))
        assert.deepEqual([late.kept, late.status, namesOf(late.claimed)], [false, 'cancelled', [second]])
        assert.equal(await scheduler.result('ann', first!), null)
      })

      test('whose process is gone frees its slot with its lease', async (t) => {
        const { limit, submitMany, claimOne, scheduler, wish, pass } = await setup(t)
        limit('ann', { hard: 1, soft: 1 })
        const [first, second] = await submitMany(2)
        await claimOne()
        await scheduler.cancel('ann', first!, wish(0))
        assert.equal((await pass(LEASE_MS)).lost, 0)
        assert.equal((await claimOne()).id, second)
      })

      test('while it waits for a retry is not tried again', async (t) => {
        const { submit, claimOne, finish, scheduler, wish, pass, claim } = await setup(t)
        const id = await submit()
        await finish(await claimOne(), { how: 'retry', delayMs: 100 })
        assert.equal((await scheduler.cancel('ann', id, wish(0)))?.cancelled, true)
        await pass(100)
        assert.deepEqual(await claim(), [])
      })

      test('that had ended stays as it was', async (t) => {
        const { submit, claimOne, finish, scheduler, wish } = await setup(t)
        const id = await submit()
        await finish(await claimOne())
        const told = await scheduler.cancel('ann', id, wish(0))
        assert.deepEqual([told?.cancelled, told?.record.status], [false, 'succeeded'])
        assert.deepEqual(await scheduler.result('ann', id), Buffer.from('rows'))
      })
    })

    describe('an operator', () => {
      test('sees poisoned jobs, newest first', async (t) => {
        const { submit, poison, scheduler } = await setup(t)
        const ids = []
        for (let n = 0; n < 3; n++) {
          ids.unshift(await submit())
          await poison()
        }
        assert.deepEqual(namesOf(await scheduler.dead(9)), ids)
        assert.deepEqual(namesOf(await scheduler.dead(2)), ids.slice(0, 2))
      })

      test('sees no more of them than are kept in sight: the oldest go, but are still their tenant’s', async (t) => {
        const { limit, submit, submitMany, scheduler, clock, claim, tick, statusOf } = await setup(t)
        limit('ann', { hard: 2 * MAX_DEAD, soft: 2 * MAX_DEAD })
        const oldest = await submit()
        await clock.advance(1)
        const poisoned = async () => {
          while ((await claim(MAX_STEPS, { width: 2 * MAX_DEAD, allow: MAX_STEPS })).length > 0);
          await clock.advance(LEASE_MS)
          while ((await tick()).lost > 0);
        }
        for (let n = 0; n < MAX_LOST; n++) await poisoned()
        await submitMany(MAX_DEAD, { queueMs: 10 * LEASE_MS })
        for (let n = 0; n < MAX_LOST; n++) await poisoned()
        const dead: string[] = namesOf(await scheduler.dead(2 * MAX_DEAD))
        assert.deepEqual([dead.length, dead.includes(oldest), await statusOf(oldest)], [MAX_DEAD, false, 'failed'])
      })

      test('tries a poisoned one again, as if nothing had been', async (t) => {
        const { submit, poison, scheduler, claimOne, clock } = await setup(t)
        const id = await submit({ payload: Buffer.from('work') })
        await poison()
        const told = await scheduler.retry('ann', id, 5_000, 100)
        assert.ok(told?.retried)
        const { status, attempt, lost, error, finishedAt, deadlineAt } = told.record
        assert.deepEqual([status, attempt, lost, error, finishedAt], ['queued', 0, 0, null, null])
        assert.equal(deadlineAt, clock.now() + 5_000)
        assert.deepEqual(await scheduler.dead(9), [])
        const { payload, fence } = await claimOne()
        assert.deepEqual([payload.toString(), fence], ['work', 4])
      })

      for (const [ending, keepsPayload, expected] of [
        [{ how: 'failed', error: 'E', result: Buffer.from('no') }, true, true],
        [{ how: 'failed', error: 'E', result: null }, false, false],
        [DONE, true, false],
      ] as const) {
        const what = `${ending.how} and ${keepsPayload ? 'keeps its payload' : 'does not keep its payload'}`
        test(`may ${expected ? '' : 'not '}retry a job that ${what}`, async (t) => {
          const { submit, claimOne, finish, scheduler } = await setup(t)
          const id = await submit({ keepsPayload })
          await finish(await claimOne(), ending)
          assert.equal((await scheduler.retry('ann', id, QUEUE_MS, 100))?.retried, expected)
          if (expected) assert.equal(await scheduler.result('ann', id), null)
        })
      }

      test('may not retry one that has not ended', async (t) => {
        const { submit, claimOne, scheduler } = await setup(t)
        const id = await submit()
        assert.equal((await scheduler.retry('ann', id, QUEUE_MS, 100))?.retried, false)
        await claimOne()
        assert.equal((await scheduler.retry('ann', id, QUEUE_MS, 100))?.retried, false)
      })

      test('finds a job by its name alone, whosever it is', async (t) => {
        const { submit, scheduler } = await setup(t)
        const id = await submit({ tenant: 'bob' })
        assert.deepEqual([(await scheduler.find(id))?.tenant, await scheduler.find('job_none')], ['bob', null])
      })

      test('drops a job that has ended, and no other', async (t) => {
        const { submit, claimOne, finish, scheduler } = await setup(t)
        const id = await submit()
        assert.equal(await scheduler.drop('ann', id), undefined)
        const claimed = await claimOne()
        assert.equal(await scheduler.drop('ann', id), undefined)
        await finish(claimed)
        assert.deepEqual(await scheduler.drop('ann', id), { result: Buffer.from('rows') })
        assert.deepEqual([await scheduler.drop('ann', id), await scheduler.look('ann', id)], [undefined, null])
      })

      test('sees what each tenant has', async (t) => {
        const { limit, submitMany, claimOne, acquire, scheduler, clock, configure } = await setup(t)
        limit('ann', { hard: 1, soft: 1 })
        await submitMany(1)
        await claimOne()
        await clock.advance(5)
        const oldestAt = clock.now()
        await submitMany(2, { class: 'batch' })
        await clock.advance(5)
        await acquire('slot', { class: 'interactive' })
        await configure('ann', { paused: true })
        assert.deepEqual(await scheduler.loads(['ann', 'bob']), [
          { tenant: 'ann', running: 1, depth: [1, 0, 2], oldestAt, paused: true },
          { tenant: 'bob', running: 0, depth: [0, 0, 0], oldestAt: null, paused: false },
        ])
      })

      test('finds every tenant with work and every job, page by page', async (t) => {
        const { submit, orderOf, scheduler } = await setup(t)
        const expected = []
        for (let n = 0; n < 250; n++) expected.push(await submit({ tenant: `t${n}` }))
        const ended = orderOf({ tenant: 'idle' })
        await scheduler.record(ended, Buffer.from('x'))
        const tenants = await allPages(async (cursor) => {
          const page = await scheduler.tenants(cursor)
          return { ...page, items: page.tenants }
        })
        assert.deepEqual(tenants, new Set(Array.from({ length: 250 }, (_, n) => `t${n}`)))
        const jobs = await allPages(async (cursor) => {
          const page = await scheduler.jobs(cursor)
          return { ...page, items: namesOf(page.jobs) }
        })
        assert.deepEqual(jobs, new Set([...expected, ended.id]))
      })
    })

    describe('a caller', () => {
      test('lists its own jobs, newest first, from where it was', async (t) => {
        const { submitMany, scheduler } = await setup(t)
        const newest = (await submitMany(5)).toReversed()
        await submitMany(2, { principal: 'q' })
        await submitMany(2, { tenant: 'bob' })
        const list = async (limit: number, after: string | null) =>
          namesOf(await scheduler.list({ tenant: 'ann', principal: 'p', status: null, limit, after }))
        assert.deepEqual(await list(9, null), newest)
        assert.deepEqual(await list(2, null), newest.slice(0, 2))
        assert.deepEqual(await list(2, newest[1]!), newest.slice(2, 4))
        assert.deepEqual(await list(2, newest[4]!), [])
      })

      test('lists those of one status, however many others lie between', async (t) => {
        const { submit, submitMany, claimOne, finish, scheduler } = await setup(t)
        const first = await submit()
        await finish(await claimOne())
        await submitMany(MAX_STEPS + 20)
        const list = async (status: JobStatus, limit: number) =>
          namesOf(await scheduler.list({ tenant: 'ann', principal: 'p', status, limit, after: null }))
        assert.deepEqual(await list('succeeded', 5), [first])
        assert.equal((await list('queued', 5)).length, 5)
        assert.deepEqual(await list('failed', 5), [])
      })

      test('hears of changes of a job that its process watches', async (t) => {
        const { submit, scheduler, process, claimOne, finish, pushes } = await setup(t)
        const id = await submit()
        await scheduler.watch('ann', id, process)
        const claimed = await claimOne()
        await pushes.heard({ kind: 'changed', job: id })
        await finish(claimed)
        await pushes.heard({ kind: 'changed', job: id })
      })

      test('does not find the jobs of another tenant', async (t) => {
        const { submit, claimOne, finish, scheduler, wish } = await setup(t)
        const id = await submit()
        await finish(await claimOne(), { how: 'failed', error: 'E', result: Buffer.from('rows') })
        assert.equal(await scheduler.look('bob', id), null)
        assert.equal(await scheduler.result('bob', id), null)
        assert.equal(await scheduler.dropResult('bob', id), null)
        assert.equal(await scheduler.cancel('bob', id, wish(0)), null)
        assert.equal(await scheduler.retry('bob', id, QUEUE_MS, 100), null)
        assert.equal(await scheduler.drop('bob', id), undefined)
        assert.deepEqual(await scheduler.result('ann', id), Buffer.from('rows'))
      })
    })

    describe('a worker', () => {
      test('is told when there will be something to see to', async (t) => {
        const { submit, clock, claim, claimOne, finish, tick, wish, scheduler } = await setup(t)
        assert.equal((await tick()).nextDueAt, null)
        const at = clock.now()
        await submit()
        assert.equal((await tick()).nextDueAt, at + QUEUE_MS)
        const claimed = await claimOne()
        assert.equal((await scheduler.claim(wish(0))).nextDueAt, at + LEASE_MS)
        await clock.advance(10)
        assert.equal((await finish(claimed)).nextDueAt, at + 10 + KEEP_MS)
        await clock.advance(KEEP_MS)
        assert.equal((await tick()).nextDueAt, null)
        assert.deepEqual(await claim(), [])
      })

      test('deals with a hundred at a time, and is told that more is due', async (t) => {
        const { submitMany, pass, tick, clock } = await setup(t)
        await submitMany(MAX_STEPS + 30)
        const first = await pass(QUEUE_MS)
        assert.deepEqual([first.ended.length, first.nextDueAt! <= clock.now()], [MAX_STEPS, true])
        const second = await tick()
        assert.deepEqual([second.ended.length, second.nextDueAt], [30, clock.now() + KEEP_MS])
      })

      test('finds a mark that was set before it came', async (t) => {
        const { submit, scheduler } = await setup(t)
        await submit()
        await scheduler.wait(['api', 'db'], FAR_MS, STAYS)
      })

      test('is woken when there is something to claim', async (t) => {
        const { submit, scheduler, claim } = await setup(t)
        const woken = scheduler.wait(['db'], FAR_MS, STAYS)
        await submit()
        await woken
        assert.equal((await claim()).length, 1)
      })

      for (const [what, free] of [
        ['ends', 'finish'],
        ['was lost', 'lose'],
        ['comes back for a retry', 'retry'],
      ] as const) {
        test(`is woken when a job ${what}, if that lets another run`, async (t) => {
          const { limit, submitMany, scheduler, claimOne, finish, pass } = await setup(t)
          limit('ann', { hard: 1, soft: 1 })
          await submitMany(2)
          await scheduler.wait(['db'], FAR_MS, STAYS)
          const claimed = await claimOne()
          const woken = scheduler.wait(['db'], FAR_MS, STAYS)
          if (free === 'lose') await pass(LEASE_MS)
          else if (free === 'finish') await finish(claimed)
          else await finish(claimed, { how: 'retry', delayMs: 10 })
          await woken
        })
      }

      test('that leaves some for others wakes the next', async (t) => {
        const { submitMany, scheduler, claim } = await setup(t)
        await submitMany(2)
        await scheduler.wait(['db'], FAR_MS, STAYS)
        const next = scheduler.wait(['db'], FAR_MS, STAYS)
        await claim(1)
        await next
      })

      test('waits no longer than it said', async (t) => {
        const { clock, scheduler } = await setup(t)
        const waited = scheduler.wait(['db'], 100, STAYS)
        await clock.advance(100)
        await waited
      })

      test('who leaves is let go at once, and takes no mark along', async (t) => {
        const { submit, scheduler } = await setup(t)
        await scheduler.wait(['db'], FAR_MS, AbortSignal.abort())
        const leaves = new AbortController()
        const waited = scheduler.wait(['db'], FAR_MS, leaves.signal)
        leaves.abort()
        await waited
        await submit()
        await scheduler.wait(['db'], FAR_MS, STAYS)
      })

      test('is let go when the scheduler closes', async (t) => {
        const { scheduler } = await setup(t)
        const waited = scheduler.wait(['db'], FAR_MS, STAYS)
        const startedAt = performance.now()
        await scheduler.close()
        await waited
        assert.ok(performance.now() - startedAt < FAR_MS / 2)
      })
    })
  })
}

const namesOf = (some: readonly { id: string }[]): string[] => some.map(({ id }) => id)

/** Whose jobs are claimed one after the other: a letter for each. */
async function tenantsServed(count: number, claim: (want: number) => Promise<Claimed[]>): Promise<string> {
  let served = ''
  for (let n = 0; n < count; n++) served += (await claim(1))[0]?.tenant[0] ?? '-'
  return served
}

async function allPages(read: (cursor: string) => Promise<{ cursor: string; items: string[] }>): Promise<Set<string>> {
  const all = new Set<string>()
  for (let cursor = '0'; ; ) {
    const page = await read(cursor)
    for (const item of page.items) all.add(item)
    cursor = page.cursor
    if (cursor === '0') return all
  }
}

/** What a scheduler pushed to its process: each is heard once. */
class Pushes {
  readonly #unheard: Push[] = []
  #arrived = Promise.withResolvers<void>()

  constructor(scheduler: Scheduler) {
    scheduler.onPush((push) => {
      this.#unheard.push(push)
      this.#arrived.resolve()
      this.#arrived = Promise.withResolvers()
    })
  }

  /** Slots that were granted since the last one was heard, that one included. */
  readonly slots: string[] = []

  /** Resolves when it has come, and everything before it. */
  async heard(expected: Push): Promise<void> {
    for (;;) {
      const arrives = this.#arrived.promise
      for (let push = this.#unheard.shift(); push; push = this.#unheard.shift()) {
        if (push.kind === 'granted') this.slots.push(push.slot)
        if (same(push, expected)) return
      }
      await arrives
    }
  }
}

const same = (a: Push, b: Push): boolean => JSON.stringify(a) === JSON.stringify(b)
