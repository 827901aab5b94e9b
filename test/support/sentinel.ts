import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { end, freePorts, launch, send } from './engine.ts'
import { startRedis, type TestRedis } from './redis.ts'
import { until } from './until.ts'

const NAME = 'sluice'
const SENTINELS = 3
/** A master is down after this many ms without an answer. */
const DOWN_AFTER_MS = 1_000
/** Bounds the steps of a failover; one that failed is tried again after twice this long. */
const FAILOVER_TIMEOUT_MS = 5_000
const SETTLES_WITHIN_MS = 60_000

/** A master, its replica, and three sentinels that watch over them; they agree when two say that the master is down. */
export interface TestSentinels extends AsyncDisposable {
  /** The master's name among the sentinels. */
  readonly name: string
  /** host:port of the sentinels. */
  readonly nodes: string[]
  /** The two data servers, the first master first. A dead one that is restarted becomes the replica. */
  readonly servers: readonly [TestRedis, TestRedis]
  /** The port of the master that the sentinels name now. */
  master(): Promise<number>
  /** SIGKILL to the master, and waits until it is gone. */
  killMaster(): Promise<void>
  /**
   * SIGSTOP to the master. What it resolves with lets it go on: as a master who has missed the news and still takes
   * writes, until the sentinels make it a replica, about 10 s later.
   */
  pauseMaster(): Promise<() => void>
  /**
   * Resolves when all sentinels name another master than at the last call, at first than at the start, and it is one:
   * 2-4 s after the old one fell silent.
   */
  failedOver(): Promise<void>
}

export async function startSentinels(): Promise<TestSentinels> {
  await using opening = new AsyncDisposableStack()
  const servers = await startPair(opening)
  const ports = await startWatch(opening, servers[0].port)
  await Promise.all(ports.map(knowsAll))

  const nameOf = async (port: number) => Number(((await ask(port, 'GET-MASTER-ADDR-BY-NAME')) as string[])[1])
  const master = () => nameOf(ports[0]!)
  const masterServer = async () => {
    const port = await master()
    return servers.find((server) => server.port === port)!
  }
  let known = servers[0].port
  const hasMoved = async () => {
    const [named, ...others] = await Promise.all(ports.map(nameOf))
    if (named === known || others.some((other) => other !== named)) return false
    const [role] = (await send(named!, 'ROLE')) as string[]
    return role === 'master'
  }
  const open = opening.move()
  return {
    name: NAME,
    nodes: ports.map((port) => `127.0.0.1:${port}`),
    servers,
    master,
    killMaster: async () => (await masterServer()).kill(),
    pauseMaster: async () => {
      const server = await masterServer()
      server.pause()
      return () => server.resume()
    },
    failedOver: async () => {
      await until(hasMoved, 'the failover', SETTLES_WITHIN_MS)
      known = await master()
    },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

const ask = (port: number, what: string) => send(port, 'SENTINEL', what, NAME)

async function startPair(opening: AsyncDisposableStack): Promise<[TestRedis, TestRedis]> {
  const atOnce = ['--repl-diskless-sync-delay', '0'] // by default a sync waits 5 s for further replicas
  const master = opening.use(await startRedis(...atOnce))
  const replica = opening.use(await startRedis(...atOnce))
  await replica.command('REPLICAOF', '127.0.0.1', master.port)
  const isLinked = async () => ((await replica.command('ROLE')) as string[])[3] === 'connected'
  await until(isLinked, 'the replication', SETTLES_WITHIN_MS)
  return [master, replica]
}

/** Starts the sentinels and returns their ports. They are always Redis: the Valkey that the tests use has no sentinel. */
async function startWatch(opening: AsyncDisposableStack, masterPort: number): Promise<number[]> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-sentinel-'))
  opening.defer(() => rmSync(dir, { recursive: true, force: true }))
  const ports = await freePorts(SENTINELS)
  const start = async (port: number) => {
    const file = join(dir, `${port}.conf`)
    writeFileSync(file, sentinelConfig(port, masterPort, dir))
    const sentinel = await launch('redis-server', port, [file, '--sentinel'])
    opening.defer(() => end(sentinel))
  }
  await Promise.all(ports.map(start))
  return ports
}

const sentinelConfig = (port: number, masterPort: number, dir: string) => `port ${port}
bind 127.0.0.1
dir ${dir}
sentinel monitor ${NAME} 127.0.0.1 ${masterPort} 2
sentinel down-after-milliseconds ${NAME} ${DOWN_AFTER_MS}
sentinel failover-timeout ${NAME} ${FAILOVER_TIMEOUT_MS}
`

/** Resolves when a sentinel knows the other two, and a replica that it could promote. */
function knowsAll(port: number): Promise<void> {
  const isSo = async () => {
    const master = fields(await ask(port, 'MASTER'))
    const [replica] = (await ask(port, 'REPLICAS')) as unknown[]
    return (
      Number(master['num-other-sentinels']) === SENTINELS - 1 &&
      replica !== undefined &&
      fields(replica)['master-link-status'] === 'ok'
    )
  }
  return until(isSo, `sentinel ${port} knowing all`, SETTLES_WITHIN_MS)
}

/** Redis' flat list of names and values. */
function fields(reply: unknown): Record<string, string> {
  const list = reply as string[]
  return Object.fromEntries(list.flatMap((name, at) => (at % 2 === 0 ? [[name, list[at + 1]!]] : [])))
}
