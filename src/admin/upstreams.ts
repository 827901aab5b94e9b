import { z } from 'zod'
import type { Config } from '../config/schema.ts'
import { Refusal } from '../kernel/errors.ts'
import type { House } from '../request/house.ts'
import type { Desk, UpstreamView } from '../upstream/desk.ts'
import { bodyOf, type Operation } from './calls.ts'
import { iso } from './instant.ts'

const BreakerInput = z.strictObject({ state: z.enum(['open', 'closed']) })

export function upstreamOperations(house: House, desk: Desk): Record<string, Operation> {
  const documents = async () => (await desk.views()).map((view) => upstreamDocument(view, house.policy.config))
  return {
    'GET /admin/v1/upstreams': async () => ({ upstreams: await documents() }),
    'POST /admin/v1/upstreams/:name/breaker': async (call) => {
      const name = call.params.name!
      const { config } = house.policy
      const { state } = bodyOf(call, BreakerInput, '{state: open | closed}')
      if (!Object.hasOwn(config.upstreams, name)) throw unknown(name, config)
      await desk.setBreaker(name, state)
      house.log.warn({ upstream: name, state }, 'an operator has set the breaker of an upstream')
      return (await documents()).find((document) => document.name === name)
    },
  }
}

/** Instants as ISO 8601 in UTC. */
export function upstreamDocument({ retryAt, waitUntilAt, ...view }: UpstreamView, { upstreams }: Config) {
  const { name, breaker, room, urls } = view
  const maxConcurrentQueries = upstreams[name]?.maxConcurrentQueries ?? null
  return { name, breaker, retryAt: iso(retryAt), waitUntilAt: iso(waitUntilAt), room, maxConcurrentQueries, urls }
}

const unknown = (name: string, { upstreams }: Config): Refusal =>
  new Refusal('NOT_FOUND', {
    detail: `there is no upstream "${name}"; there are ${Object.keys(upstreams).join(', ')}`,
  })
