/**
 * What is used of redlock 5.0.0-beta.2. The package has types, but its `exports` do not name them (TS7016 under
 * nodenext), and they ask for whole ioredis clients where two commands are enough.
 */
declare module 'redlock' {
  import type { EventEmitter } from 'node:events'

  /** The two commands Redlock sends. It tells a missing script by an error whose message starts with 'NOSCRIPT'. */
  export interface LockClient {
    evalsha(digest: string, keyCount: number, args: (string | number)[]): Promise<unknown>
    eval(source: string, keyCount: number, args: (string | number)[]): Promise<unknown>
  }

  export interface Settings {
    readonly driftFactor: number
    /** 0 tries once. */
    readonly retryCount: number
    readonly retryDelay: number
    readonly retryJitter: number
    readonly automaticExtensionThreshold: number
  }

  export interface ExecutionStats {
    readonly membershipSize: number
    readonly quorumSize: number
    readonly votesFor: Set<LockClient>
    readonly votesAgainst: Map<LockClient, Error>
  }

  /** A client's vote against because the key is held with another value, or not at all. */
  export class ResourceLockedError extends Error {}

  /** No quorum. `attempts` is empty when an expired lock was to be extended. */
  export class ExecutionError extends Error {
    readonly attempts: readonly Promise<ExecutionStats>[]
  }

  export class Lock {
    readonly resources: string[]
    /** The value under the key: 32 hexadecimal digits. */
    readonly value: string
    /** Wall time, ms since the epoch, less the allowance for drift. */
    expiration: number
  }

  export default class Redlock extends EventEmitter {
    constructor(clients: Iterable<LockClient>, settings?: Partial<Settings>)
    acquire(resources: string[], durationMs: number): Promise<Lock>
    release(lock: Lock): Promise<unknown>
    extend(lock: Lock, durationMs: number): Promise<Lock>
  }
}
