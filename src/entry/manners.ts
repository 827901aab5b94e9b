import type { BodyBounds } from './body.ts'
import type { Cors } from './cors.ts'

/** What of the data port may change while it is open. */
export interface Manners {
  bodyBounds: BodyBounds
  cors: Cors | null
}
