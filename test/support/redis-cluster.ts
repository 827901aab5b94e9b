import { type Argument, converse } from './engine.ts'
import { startRedis, type TestRedis } from './redis.ts'
import { until } from './until.ts'

const SLOTS = 16_384
const MASTERS = 3
/** Keys per MIGRATE, as redis-cli does it: a page stops both nodes, between two pages clients meet ASK and TRYAGAIN. */
const PAGE_KEYS = 10
const MIGRATE_TIMEOUT_MS = 5_000
const SETTLES_WITHIN_MS = 60_000

/** A Redis Cluster of three masters without replicas, a third of the slots each. */
export interface TestCluster extends AsyncDisposable {
  /** host:port of every node. */
  readonly nodes: string[]
  readonly ports: number[]
  /** In the order of `ports`; to pause, kill and restart one. A restarted node knows its cluster and not its keys. */
  readonly servers: readonly TestRedis[]
  /** One command to one node, which answers MOVED for a slot that it has not. */
  command(port: number, name: string, ...args: Argument[]): Promise<unknown>
  /** The port of the node that has a slot. */
  ownerOf(slot: number): Promise<number>
  /** Gives a slot to another node while the cluster serves: its keys move a page at a time, then all nodes are told. */
  migrateSlot(slot: number, toPort: number): Promise<void>
  slotOf(key: string): number
}

export async function startCluster(): Promise<TestCluster> {
  await using opening = new AsyncDisposableStack()
  const servers: TestRedis[] = []
  for (let n = 0; n < MASTERS; n++) servers.push(opening.use(await startNode()))
  await join(servers)
  const open = opening.move()
  const at = (port: number) => {
    const server = servers.find((one) => one.port === port)
    if (!server) throw new Error(`no node of the cluster is at port ${port}`)
    return server
  }
  return {
    nodes: servers.map(({ port }) => `127.0.0.1:${port}`),
    ports: servers.map(({ port }) => port),
    servers,
    command: (port, name, ...args) => at(port).command(name, ...args),
    ownerOf: (slot) => ownerOf(servers[0]!, slot),
    migrateSlot: (slot, toPort) => migrateSlot(servers, slot, at(toPort)),
    slotOf,
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

const startNode = () =>
  startRedis('--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1', '--cluster-node-timeout', '5000')

/** Deals out the slots, lets everyone meet everyone, and waits until each node says that the cluster is whole. */
async function join(servers: readonly TestRedis[]): Promise<void> {
  for (const [n, server] of servers.entries()) {
    const [first, next] = [n, n + 1].map((part) => Math.round((SLOTS * part) / servers.length)) as [number, number]
    await server.command('CLUSTER', 'SET-CONFIG-EPOCH', n + 1)
    await server.command('CLUSTER', 'ADDSLOTSRANGE', first, next - 1)
  }
  for (const [n, server] of servers.entries()) {
    const [, busPort] = (await server.command('CONFIG', 'GET', 'cluster-port')) as [string, string]
    for (const other of servers.slice(0, n)) await other.command('CLUSTER', 'MEET', '127.0.0.1', server.port, busPort)
  }
  await Promise.all(servers.map((server) => until(() => isWhole(server), 'the cluster', SETTLES_WITHIN_MS)))
}

async function isWhole(server: TestRedis): Promise<boolean> {
  const info = String(await server.command('CLUSTER', 'INFO'))
  return info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${MASTERS}\r`)
}

async function ownerOf(server: TestRedis, slot: number): Promise<number> {
  const ranges = (await server.command('CLUSTER', 'SLOTS')) as [number, number, [string, number]][]
  const range = ranges.find(([first, last]) => first <= slot && slot <= last)
  if (!range) throw new Error(`nobody has slot ${slot}`)
  return range[2][1]
}

/** The steps of "Live resharding" in Redis' cluster specification, in its order. */
async function migrateSlot(servers: readonly TestRedis[], slot: number, to: TestRedis): Promise<void> {
  const fromPort = await ownerOf(to, slot)
  if (fromPort === to.port) return
  const from = servers.find(({ port }) => port === fromPort)!
  const [fromId, toId] = await Promise.all([from, to].map(idOf))
  await to.command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId!)
  await from.command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId!)
  await moveKeys(fromPort, slot, to.port)
  const others = servers.filter((server) => server !== to && server !== from)
  for (const server of [to, from, ...others]) await server.command('CLUSTER', 'SETSLOT', slot, 'NODE', toId!)
}

const idOf = async (server: TestRedis) => String(await server.command('CLUSTER', 'MYID'))

/** As bytes, because names of keys need not be text. */
function moveKeys(fromPort: number, slot: number, toPort: number): Promise<void> {
  return converse(fromPort, async (redis) => {
    for (;;) {
      const keys = (await redis.callBuffer('CLUSTER', ['GETKEYSINSLOT', slot, PAGE_KEYS])) as Buffer[]
      if (keys.length === 0) return
      await redis.call('MIGRATE', ['127.0.0.1', toPort, '', 0, MIGRATE_TIMEOUT_MS, 'KEYS', ...keys])
    }
  })
}

/** CRC16 of the key, or of what its first braces hold if that is something (Redis Cluster specification). */
function slotOf(key: string): number {
  const hashed = /^[^{]*\{([^}]+)\}/.exec(key)?.[1] ?? key
  return crc16(Buffer.from(hashed)) % SLOTS
}

/** CRC-16/XMODEM. */
function crc16(bytes: Buffer): number {
  let crc = 0
  for (const byte of bytes) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff
  }
  return crc
}
