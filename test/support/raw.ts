import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** A client that writes what it likes: for what no HTTP library would send, and for what it would hide. */
export interface RawClient extends Disposable {
  readonly socket: Socket
  /** Everything received so far, as latin1. */
  readonly received: string
  readonly closed: boolean
  write(text: string | Buffer): void
  /** Resolves with all received once that holds `wanted`; rejects when the connection ends before. */
  until(wanted: string | RegExp): Promise<string>
  /** Resolves with all received once the gateway has closed the connection. */
  end(): Promise<string>
}

export async function openRaw(url: string): Promise<RawClient> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  let received = ''
  const watchers = new Set<() => void>()
  const look = () => {
    for (const watcher of watchers) watcher()
  }
  socket.on('data', (chunk) => {
    received += chunk.toString('latin1')
    look()
  })
  socket.on('error', () => {}) // a reset is an end like any other
  socket.on('close', look)
  const wait = (done: () => boolean, failed: () => string | null) =>
    new Promise<string>((resolve, reject) => {
      const watcher = () => {
        const isDone = done()
        const why = isDone ? null : failed()
        if (!isDone && why === null) return
        watchers.delete(watcher)
        if (why === null) resolve(received)
        else reject(new Error(why))
      }
      watchers.add(watcher)
      watcher()
    })
  return {
    socket,
    get received() {
      return received
    },
    get closed() {
      return socket.destroyed
    },
    write: (text) => void socket.write(typeof text === 'string' ? Buffer.from(text, 'latin1') : text),
    until: (wanted) =>
      wait(
        () => (typeof wanted === 'string' ? received.includes(wanted) : wanted.test(received)),
        () => (socket.destroyed ? `closed before ${wanted} came:\n${received}` : null),
      ),
    end: () =>
      wait(
        () => socket.destroyed,
        () => null,
      ),
    [Symbol.dispose]: () => socket.destroy(),
  }
}

/** Sends `text` and resolves with all that comes until the gateway closes the connection. */
export async function talk(url: string, text: string): Promise<string> {
  using client = await openRaw(url)
  client.write(text)
  return await client.end()
}

export interface RawAnswer {
  status: number
  /** Lower-case names; the values of one name in order. */
  headers: Record<string, string[]>
  body: string
}

/** Takes the answers on a connection apart by their framing. `methods` of the requests, where a HEAD is among them. */
export function answersIn(received: string, methods: readonly string[] = []): RawAnswer[] {
  const answers: RawAnswer[] = []
  let rest = received
  while (rest !== '') {
    const at = rest.indexOf('\r\n\r\n')
    if (at < 0) throw new Error(`an answer without an end of its head: ${rest}`)
    const [line = '', ...fields] = rest.slice(0, at).split('\r\n')
    rest = rest.slice(at + 4)
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(line)?.[1])
    if (Number.isNaN(status)) throw new Error(`not a status line: ${line}`)
    const headers: Record<string, string[]> = {}
    for (const field of fields) {
      const colon = field.indexOf(':')
      const name = field.slice(0, colon).toLowerCase()
      headers[name] = [...(headers[name] ?? []), field.slice(colon + 1).trim()]
    }
    if (status === 100) continue
    const isBare = methods[answers.length] === 'HEAD' || status === 204 || status === 304
    const { body, length } = isBare ? { body: '', length: 0 } : bodyOf(rest, headers)
    answers.push({ status, headers, body })
    rest = rest.slice(length)
  }
  return answers
}

function bodyOf(rest: string, headers: Record<string, string[]>): { body: string; length: number } {
  if (headers['transfer-encoding']?.[0] !== 'chunked') {
    const length = Number(headers['content-length']?.[0] ?? rest.length)
    return { body: rest.slice(0, length), length }
  }
  let body = ''
  let at = 0
  for (;;) {
    const lineEnd = rest.indexOf('\r\n', at)
    const size = Number.parseInt(rest.slice(at, lineEnd), 16)
    if (lineEnd < 0 || Number.isNaN(size)) throw new Error(`a broken chunk: ${rest.slice(at)}`)
    if (size === 0) return { body, length: rest.indexOf('\r\n\r\n', lineEnd) + 4 }
    body += rest.slice(lineEnd + 2, lineEnd + 2 + size)
    at = lineEnd + 2 + size + 2
  }
}
