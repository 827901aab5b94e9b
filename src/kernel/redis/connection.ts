import { Cluster, Redis, type RedisOptions } from 'ioredis'
import { CLUSTER_SHARDS, type KeySpace, keySpace } from './keys.ts'

/** A Cluster client answers the same commands; only how it finds the node differs. */
export type RedisClient = Redis

/** Where the store is: exactly one of `url`, `cluster`, `sentinel`. */
export interface RedisPlace {
  url?: string | undefined
  /** host:port of some of the cluster's nodes. */
  cluster?: readonly string[] | undefined
  sentinel?: { name: string; nodes: readonly string[] } | undefined
  keyPrefix: string
  /** A command that has not been answered after this many ms has failed. */
  commandTimeoutMs: number
}

export const keySpaceOf = (place: RedisPlace): KeySpace => keySpace(place.keyPrefix, place.cluster ? CLUSTER_SHARDS : 1)

/**
 * A connection for commands: fails fast (no offline queue, no retries), reconnects by itself for ever,
 * and leaves a READONLY replica for the new master.
 * Plain commands are pipelined by ioredis; scripts are not: measured 20-35 % slower with it (facts/tools.md).
 */
export function connectCommands(place: RedisPlace): RedisClient {
  return connect(place, {
    commandTimeout: place.commandTimeoutMs,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResubscribe: false,
    enableAutoPipelining: true,
    autoPipeliningIgnoredCommands: ['evalsha', 'eval', 'ping', 'set', 'publish'],
  })
}

/** A connection for the subscription alone: it waits for its server as long as it takes. */
export function connectSubscriber(place: RedisPlace): RedisClient {
  return connect(place, { enableOfflineQueue: true, maxRetriesPerRequest: null, autoResubscribe: true })
}

/** A connection that only waits (BZPOPMIN): nobody else's command may stand behind it. Its caller watches over it. */
export function connectBlocking(place: RedisPlace): RedisClient {
  return connect(place, { enableOfflineQueue: true, maxRetriesPerRequest: null, autoResubscribe: false })
}

type Manner = Pick<
  RedisOptions,
  | 'commandTimeout'
  | 'enableOfflineQueue'
  | 'maxRetriesPerRequest'
  | 'autoResubscribe'
  | 'enableAutoPipelining'
  | 'autoPipeliningIgnoredCommands'
>

function connect(place: RedisPlace, options: Manner): RedisClient {
  const common = {
    ...options,
    connectTimeout: 2_000,
    // 50 ms growing to 1 s, jittered so that a fleet does not return in step.
    retryStrategy: (attempt: number) => Math.min(1_000, 50 * attempt) * (0.75 + Math.random() / 2),
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
    protocol: 2 as const, // RESP3 drops some pushes in ioredis 6; nothing here needs it
  }
  const client: Redis = place.cluster
    ? (new Cluster(place.cluster.map(hostPort), {
        enableOfflineQueue: options.enableOfflineQueue ?? true,
        enableAutoPipelining: options.enableAutoPipelining ?? false,
        autoPipeliningIgnoredCommands: options.autoPipeliningIgnoredCommands ?? [],
        clusterRetryStrategy: (attempt) => Math.min(1_000, 50 * attempt),
        redisOptions: common,
      }) as unknown as Redis)
    : place.sentinel
      ? new Redis({ ...common, name: place.sentinel.name, sentinels: place.sentinel.nodes.map(hostPort) })
      : new Redis(place.url!, common)
  client.on('error', () => {}) // each failed command reports itself; an unheard 'error' event would end the process
  return client
}

function hostPort(text: string): { host: string; port: number } {
  const colon = text.lastIndexOf(':')
  return { host: text.slice(0, colon), port: Number(text.slice(colon + 1)) }
}
