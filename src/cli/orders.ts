/** What the first of several processes and the others say to each other. */
import type { Config } from '../config/schema.ts'
import type { Role } from '../gateway.ts'
import type { UpstreamView } from '../upstream/desk.ts'
import type { MetricJson } from './totals.ts'

/** What each question is answered with. */
export interface Answers {
  metrics: MetricJson[]
  upstreams: UpstreamView[]
  breaker: true
}

export type Question =
  | { what: 'metrics' }
  | { what: 'upstreams' }
  | { what: 'breaker'; name: string; state: 'open' | 'closed' }

/**
 * The first process to the others. They get the config from it and never read the file: whoever is born while the file
 * is being edited, or is not valid, must run by what all the others run by.
 */
export type Order =
  | { kind: 'start'; config: Config; role: Role }
  | { kind: 'reload'; config: Config }
  | { kind: 'drain' }
  | { kind: 'retire' }
  | { kind: 'ask'; n: number; question: Question }

/** They to it: that they listen for orders, that they serve, that they have done their share, and what they counted at their end. */
export type Report =
  | { kind: 'born' }
  | { kind: 'open'; port: number | null }
  | { kind: 'spent' }
  | { kind: 'answer'; n: number; answer: unknown }
  | { kind: 'farewell'; metrics: MetricJson[] }
