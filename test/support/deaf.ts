import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A way to a Redis on which the news can be lost without a sign of it, as on a half-open connection. */
export interface DeafProxy extends AsyncDisposable {
  readonly url: string
  /** From now on nothing comes back on connections that have subscribed. All others work on. */
  deafen(): void
}

export async function startDeafProxy(redisPort: number): Promise<DeafProxy> {
  const sockets = new Set<Socket>()
  let isDeaf = false
  const server = createServer((client) => {
    const redis = connect(redisPort, '127.0.0.1')
    let subscribes = false
    client.on('data', (data) => {
      subscribes ||= data.toString('latin1').toLowerCase().includes('subscribe')
      redis.write(data)
    })
    redis.on('data', (data) => {
      if (!(isDeaf && subscribes)) client.write(data)
    })
    for (const [socket, other] of [
      [client, redis],
      [redis, client],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}/0`,
    deafen: () => {
      isDeaf = true
    },
    [Symbol.asyncDispose]: async () => {
      server.close()
      for (const socket of sockets) socket.destroy()
      await once(server, 'close')
    },
  }
}
