import { Queue, Worker } from 'bullmq'
import type { QueueSide } from './side.ts'

/** BullMQ as its documentation starts it: one queue, one worker, ended jobs kept like ours. */
export async function openBullmq(url: string, concurrency: number): Promise<QueueSide> {
  const { hostname: host, port } = new URL(url)
  const connection = { host, port: Number(port) }
  const queue = new Queue('bench', { connection })
  await queue.waitUntilReady()
  let worker: Worker | undefined
  return {
    name: 'BullMQ',
    async add(payload) {
      await queue.add('query', { payload: payload.toString('latin1') })
    },
    async work(done) {
      worker = new Worker('bench', async () => ({ ok: true }), { connection, concurrency })
      worker.on('completed', (job) => done(Buffer.from(job.data.payload, 'latin1')))
      worker.on('error', () => {})
    },
    async close() {
      await worker?.close()
      await queue.close()
    },
  }
}
