import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, test } from 'node:test'
import type { Fleet, Landing, Lease } from './fleet.ts'

/** What every fleet owes its callers, alone in the air. Each adapter's test file runs this and nothing weaker. */
export function fleetContract(name: string, open: () => Fleet): void {
  const setup = () => {
    const fleet = open()
    const place = { key: randomUUID(), tenant: 'acme' }
    const lead = async (at = place): Promise<Lease> => {
      const departure = await fleet.depart(at)
      assert.ok(departure.leads, 'nobody else is in the air')
      return departure
    }
    return { lead, place }
  }

  describe(`${name} fleet`, () => {
    test('who is alone leads, with a token of its own', async () => {
      const { lead } = setup()
      const [one, two] = [await lead(), await lead({ key: randomUUID(), tenant: 'acme' })]
      assert.notEqual(one.token, two.token)
      assert.equal(one.lost.aborted, false)
      await Promise.all([one.land({ how: 'open' }), two.land({ how: 'open' })])
    })

    const landings: Landing[] = [{ how: 'filled' }, { how: 'open' }, { how: 'failed', note: Buffer.from('why') }]
    for (const landing of landings) {
      test(`after a flight that ended ${landing.how} the next one may lead at once`, async () => {
        const { lead } = setup()
        await (await lead()).land(landing)
        await (await lead()).land(landing)
      })
    }

    test('a landing does not end the lease as lost', async () => {
      const { lead } = setup()
      const lease = await lead()
      await lease.land({ how: 'open' })
      assert.equal(lease.lost.aborted, false)
    })

    test('landing twice is landing once', async () => {
      const { lead } = setup()
      const lease = await lead()
      await lease.land({ how: 'open' })
      await lease.land({ how: 'failed' })
    })

    test('a note of any size is no reason to throw', async () => {
      const { lead } = setup()
      await (await lead()).land({ how: 'failed', note: Buffer.alloc(1024 * 1024) })
    })
  })
}
