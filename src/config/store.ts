/** `store` and `results`: where answers, leases, jobs and their results are kept. */
import { z } from 'zod'
import { duration, hostPort, redisUrl, size } from './values.ts'

const Near = z.strictObject({
  maxBytes: size('64KiB', '64GiB').prefault('128MiB').describe("The process's own memory for answers, per process."),
  maxAge: duration('0s', '5m')
    .prefault('5s')
    .describe('After this an answer is asked for again in the far tier: the most a lost purge message can cost.'),
})

const near = Near.prefault({}).describe("The process's own tier, in front of the far one.")

const dir = z
  .string()
  .min(1)
  .prefault('./data')
  .describe(
    'A folder, relative to the working directory: the embedded store keeps its jobs there, and every store the results ' +
      'larger than `results.spillAbove`. With Redis and several machines it must be a shared folder, or ' +
      '`results.kind` redis.',
  )

const Embedded = z.strictObject({
  kind: z.literal('embedded').describe('Answers in memory, jobs in `dir`: one process, nothing to install.'),
  maxBytes: size('1MiB', '1024GiB').prefault('512MiB').describe('Memory for all cached answers.'),
  near,
  dir,
  synchronous: z
    .enum(['full', 'normal'])
    .prefault('full')
    .describe(
      'full: an accepted job survives a power cut, and each group of writes costs an fsync. normal: it survives kill -9 ' +
        'and a crash of the process, but a power cut may lose the last moments. About 5,500 submissions and 2,600 jobs ' +
        'per second became 16,600 and 8,200 with normal on the machine measured.',
    ),
})

const Redis = z.strictObject({
  kind: z.literal('redis').describe('In Redis: any number of gateways share it.'),
  url: redisUrl().optional().describe('One server. Exactly one of url, cluster and sentinel.'),
  cluster: z.array(hostPort()).min(1).max(256).optional().describe('Some nodes of a Redis Cluster.'),
  sentinel: z
    .strictObject({
      name: z.string().min(1).describe('The name the sentinels know the master by.'),
      nodes: z.array(hostPort()).min(1).max(64).describe('The sentinels.'),
    })
    .optional()
    .describe('A master that sentinels watch.'),
  keyPrefix: z
    .string()
    .max(64)
    .prefault('sluice:')
    .describe('In front of every key, so that others can share the server.'),
  commandTimeout: duration('1ms', '10s')
    .prefault('50ms')
    .describe('A slower answer counts as none: the request goes on without the store.'),
  near,
  dir,
  lock: z
    .strictObject({
      urls: z.array(redisUrl()).max(16).prefault([]).describe("Empty: the store's own Redis."),
    })
    .prefault({})
    .describe('Redlock: further independent Redis masters that hold the leases.'),
})

export const Store = z.discriminatedUnion('kind', [Embedded, Redis])

export const Results = z.strictObject({
  spillAbove: size('0B', '64MiB')
    .prefault('256KiB')
    .describe("Results that are larger, compressed, leave the job's record: the store stays small and quick."),
  kind: z
    .enum(['filesystem', 'redis'])
    .prefault('filesystem')
    .describe('Where those go. filesystem: files in `store.dir`; redis: Redis, which needs `store.kind: redis`.'),
})
