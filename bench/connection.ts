import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface Answer {
  status: number
  /** The status line and headers as they came. */
  head: string
  bodyBytes: number
  /** When its last byte was here, on `performance.now()`'s clock. */
  endedAt: number
}

export type Done = (error: Error | undefined, answer: Answer | undefined) => void

const HEAD_END = Buffer.from('\r\n\r\n')
const CHUNKED_END = Buffer.from('\r\n0\r\n\r\n')

/**
 * A keep-alive connection that sends prepared bytes and reads one answer at a time. Much cheaper than an HTTP client,
 * so that what is measured is the server; it understands what our servers send and no more (a length, or chunks).
 */
export class Connection {
  readonly #socket: Socket
  #done: Done | undefined
  #received: Buffer = Buffer.alloc(0)

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('error', (error) => this.#finish(error, undefined))
    socket.on('close', () => this.#finish(new Error('the connection was closed'), undefined))
  }

  static async open(url: string): Promise<Connection> {
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    await once(socket, 'connect')
    return new Connection(socket)
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed
  }

  /** Only when the answer before it is here. */
  send(request: Buffer, done: Done): void {
    this.#done = done
    this.#socket.write(request)
  }

  ask(request: Buffer): Promise<Answer> {
    return new Promise((resolve, reject) =>
      this.send(request, (error, answer) => (answer ? resolve(answer) : reject(error))),
    )
  }

  close(): void {
    this.#done = undefined
    this.#socket.destroy()
  }

  #read(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk])
    const headEnd = this.#received.indexOf(HEAD_END)
    if (headEnd < 0) return
    const head = this.#received.toString('latin1', 0, headEnd)
    const bodyBytes = this.#received.length - headEnd - HEAD_END.length
    if (!isWhole(head, bodyBytes, this.#received)) return
    this.#received = Buffer.alloc(0)
    this.#finish(undefined, { status: Number(head.slice(9, 12)), head, bodyBytes, endedAt: performance.now() })
  }

  #finish(error: Error | undefined, answer: Answer | undefined): void {
    const done = this.#done
    this.#done = undefined
    done?.(error, answer)
  }
}

function isWhole(head: string, bodyBytes: number, received: Buffer): boolean {
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)
  if (length) return bodyBytes >= Number(length[1])
  if (/\r\ntransfer-encoding: *chunked/i.test(head)) return received.subarray(-CHUNKED_END.length).equals(CHUNKED_END)
  return true
}
