import { hash } from 'node:crypto'

/**
 * Where a tenant's keys live. All of them carry one hash tag, so that a script may touch several on a Redis Cluster.
 * On a single server there is one shard; on a cluster 16, fixed for ever, or limits would move between slots.
 */
export interface KeySpace {
  /** `sluice:{t3}:entry:acme` for ('entry', 'acme'). The tag is the tenant's shard. */
  of(tenant: string, ...parts: string[]): string
  /** One key per shard, for what concerns all tenants. `of(tenant, ...)` with the same parts is the one beside a tenant. */
  everyShard(...parts: string[]): string[]
  /** Which of `everyShard`'s a tenant's keys lie beside. */
  shardOf(tenant: string): number
  /** The one pub/sub channel of the fleet. */
  readonly channel: string
  readonly prefix: string
}

export const CLUSTER_SHARDS = 16

export function keySpace(prefix: string, shards: number): KeySpace {
  const tag = (shard: number) => `${prefix}{t${shard}}`
  const shardOf = (tenant: string) => (shards === 1 ? 0 : hash('sha256', tenant, 'buffer').readUInt32BE(0) % shards)
  return {
    prefix,
    channel: `${prefix}news`,
    shardOf,
    of: (tenant, ...parts) => [tag(shardOf(tenant)), ...parts].join(':'),
    everyShard: (...parts) => Array.from({ length: shards }, (_, shard) => [tag(shard), ...parts].join(':')),
  }
}
