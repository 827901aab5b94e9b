import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../kernel/clock.manual.ts'
import { Refusal } from '../kernel/errors.ts'
import { Breaker, type BreakerView } from './breaker.ts'

const OPTIONS = {
  windowMs: 10_000,
  volumeThreshold: 10,
  errorThresholdPercentage: 50,
  resetTimeoutMs: 1_000,
  maxResetTimeoutMs: 4_000,
}

function setup() {
  const clock = new ManualClock()
  const changes: BreakerView[] = []
  const breaker = new Breaker(OPTIONS, clock, (view) => changes.push(view))
  const fail = (tenant: string, times = 1) => {
    for (let i = 0; i < times; i++) breaker.admit(tenant).end('sick')
  }
  const succeed = (tenant: string, times = 1) => {
    for (let i = 0; i < times; i++) breaker.admit(tenant).end('ok')
  }
  const refusedForMs = (tenant: string): number | null => {
    try {
      breaker.admit(tenant).end('unknown')
      return null
    } catch (error) {
      assert.ok(error instanceof Refusal && error.code === 'BREAKER_OPEN')
      return error.retryAfterMs!
    }
  }
  const open = () => {
    fail('a', 5)
    fail('b', 5)
    assert.equal(breaker.view().name, 'open')
  }
  return { clock, breaker, changes, fail, succeed, refusedForMs, open, state: () => breaker.view().name }
}

test('stays closed below its volume', () => {
  const { fail, state } = setup()
  fail('a', 5)
  fail('b', 4)
  assert.equal(state(), 'closed')
})

test('stays closed at its error percentage and opens above it', async () => {
  const { fail, succeed, state } = setup()
  succeed('a', 10)
  await Promise.resolve()
  fail('a', 5)
  fail('b', 5)
  assert.equal(state(), 'closed')
  fail('b')
  assert.equal(state(), 'open')
})

test('one tenant’s failures among several tenants never open it', () => {
  const { fail, succeed, state } = setup()
  succeed('b')
  fail('a', 100)
  assert.equal(state(), 'closed')
  fail('b')
  assert.equal(state(), 'open')
})

test('one tenant’s failures open it when that tenant is the only one', () => {
  const { fail, state } = setup()
  fail('a', 10)
  assert.equal(state(), 'open')
})

test('tenants seen before the window do not count, for either side', async () => {
  const { clock, fail, succeed, state } = setup()
  succeed('b')
  await clock.advance(10_001)
  fail('a', 10)
  assert.equal(state(), 'open')
})

test('failures leave the window with time', async () => {
  const { clock, fail, state } = setup()
  fail('a', 5)
  fail('b', 4)
  await clock.advance(11_000)
  fail('a')
  fail('b')
  assert.equal(state(), 'closed')
})

test('outcomes that say nothing about the upstream are not counted', () => {
  const { breaker, state } = setup()
  for (let i = 0; i < 50; i++) breaker.admit(i % 2 ? 'a' : 'b').end('unknown')
  assert.equal(state(), 'closed')
})

test('failures of requests longer than the window count when they end', async () => {
  const { clock, breaker, state } = setup()
  const permits = Array.from({ length: 10 }, (_, i) => breaker.admit(i % 2 ? 'a' : 'b'))
  await clock.advance(60_000)
  for (const permit of permits) permit.end('sick')
  assert.equal(state(), 'open')
})

test('open, it refuses and says how long', async () => {
  const { clock, refusedForMs, open } = setup()
  open()
  await clock.advance(400)
  assert.equal(refusedForMs('c'), 600)
})

test('after its rest one probe goes, and its success closes it', async () => {
  const { clock, breaker, changes, fail, open, state } = setup()
  open()
  await clock.advance(1_000)
  breaker.admit('c').end('ok')
  assert.equal(state(), 'closed')
  assert.deepEqual(
    changes.map(({ name }) => name),
    ['open', 'half-open', 'closed'],
  )
  fail('a', 5)
  assert.equal(state(), 'closed', 'what failed before the rest is forgiven')
})

test('the rest doubles with every failed probe, up to its limit, and starts anew after a success', async () => {
  const { clock, breaker, fail, open, refusedForMs } = setup()
  open()
  for (const [tenant, restMs] of [
    ['c', 2_000],
    ['d', 4_000],
    ['e', 4_000],
  ] as const) {
    await clock.advance(breaker.view().retryAt! - clock.now())
    fail(tenant)
    assert.equal(refusedForMs('z'), restMs)
  }
  await clock.advance(4_000)
  breaker.admit('f').end('ok')
  open()
  assert.equal(refusedForMs('z'), 1_000)
})

test('probes come from different tenants, three at a time', async () => {
  const { clock, breaker, open, refusedForMs } = setup()
  open()
  await clock.advance(1_000)
  breaker.admit('a')
  assert.notEqual(refusedForMs('a'), null)
  breaker.admit('b')
  breaker.admit('c')
  assert.notEqual(refusedForMs('d'), null)
})

test('a failed probe does not end the round while another is under way', async () => {
  const { clock, breaker, open, state } = setup()
  open()
  await clock.advance(1_000)
  const [first, second] = [breaker.admit('a'), breaker.admit('b')]
  first.end('sick')
  assert.equal(state(), 'half-open')
  second.end('ok')
  assert.equal(state(), 'closed')
})

test('who failed the last probe lets others go first', async () => {
  const { clock, breaker, fail, open, refusedForMs, state } = setup()
  open()
  await clock.advance(1_000)
  fail('a')
  await clock.advance(2_000)
  assert.equal(refusedForMs('a'), 1_000)
  breaker.admit('b').end('ok')
  assert.equal(state(), 'closed')
})

test('who failed the last probe may probe again when nobody else came', async () => {
  const { clock, breaker, fail, open, state } = setup()
  open()
  await clock.advance(1_000)
  fail('a')
  await clock.advance(3_000)
  breaker.admit('a').end('ok')
  assert.equal(state(), 'closed')
})

test('a probe whose client leaves says nothing, and the next may go', async () => {
  const { clock, breaker, open, state } = setup()
  open()
  await clock.advance(1_000)
  breaker.admit('a').end('unknown')
  assert.equal(state(), 'half-open')
  breaker.admit('a').end('ok')
  assert.equal(state(), 'closed')
})

test('answers to requests from before it opened change nothing', async () => {
  const { clock, breaker, open, state } = setup()
  const early = breaker.admit('c')
  open()
  await clock.advance(1_000)
  early.end('ok')
  assert.equal(state(), 'open')
})

test('an operator opens and closes it by hand', () => {
  const { breaker, refusedForMs } = setup()
  breaker.force('open')
  assert.equal(refusedForMs('a'), 4_000)
  breaker.force('closed')
  assert.equal(refusedForMs('a'), null)
})

test('what is checked before is refused as it would be, and takes no probe’s place', async () => {
  const { breaker, clock, open, refusedForMs } = setup()
  assert.doesNotThrow(() => breaker.check('a'))
  open()
  assert.throws(() => breaker.check('a'), Refusal)
  await clock.advance(OPTIONS.resetTimeoutMs)
  for (let i = 0; i < 5; i++) breaker.check('a')
  assert.equal(breaker.view().name, 'open')
  const probe = breaker.admit('a')
  assert.throws(() => breaker.check('a'), Refusal)
  assert.doesNotThrow(() => breaker.check('b'))
  probe.end('ok')
  assert.equal(refusedForMs('a'), null)
})
