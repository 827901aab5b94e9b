import { ask, type Reply } from './client.ts'
import type { TestGateway } from './gateway.ts'
import { until } from './until.ts'

/** A call of the admin API. */
export function operate(gateway: TestGateway, name: string, input: unknown): Promise<Reply> {
  return ask(gateway.adminUrl, {
    method: 'POST',
    path: `/admin/v1/${name}`,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(input),
  })
}

export interface Explained {
  key: string
  freshness: string | null
  flight: { waitingHere: number }
}

export async function explain(gateway: TestGateway, path: string, token: string): Promise<Explained> {
  const reply = await operate(gateway, 'explain', { path, headers: { authorization: `Bearer ${token}` } })
  return JSON.parse(reply.body)
}

/** Resolves when so many requests of one question wait in one process for the same flight. */
export const aboard = (gateway: TestGateway, path: string, token: string, count: number): Promise<void> =>
  until(async () => (await explain(gateway, path, token)).flight.waitingHere === count, `${count} aboard`)
