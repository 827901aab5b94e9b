/**
 * Requests passed through as they are: any method, streaming both ways, and WebSockets.
 *
 * `Host` is the upstream's own unless the pass says otherwise: a name of the client's choice must not choose a virtual
 * host behind the gateway, and the same upstream sees the same name on cached and on passed routes. The client's goes
 * along as `X-Forwarded-Host` and in `Forwarded` (forwarded.ts).
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FlatHeaders } from '../kernel/exchange.ts'
import { Connections } from './connections.ts'
import { UpgradePass } from './upgrade-pass.ts'
import type { PassEnd } from './verdict.ts'
import { WebPass } from './web-pass.ts'

export interface Pass {
  /** A URL of the upstream, from its guard. */
  target: URL
  /** Path and query behind the target's base path; by default what the client asked for, byte for byte. */
  path?: string
  /** Exactly what upstreamHeaders() made; only `host`, `connection` and framing are added. */
  headers: FlatHeaders
  host?: string
  /** The longest silence of the upstream, before its answer and in the middle of it. */
  timeoutMs: number
  connectTimeoutMs?: number
  signal?: AbortSignal
  /** Which of the client's trailers go on (headers.ts, upstreamTrailers); none by default. */
  trailers?: (rawTrailers: readonly string[]) => [string, string][]
  /**
   * The request came by the server's `checkContinue`: the client waits for "100 Continue" before it sends its body, and
   * gets it when the upstream says so. On an ordinary `request` event node has already said it.
   */
  awaitsContinue?: boolean
  /** The head of the answer, before it is written; headers may be changed in place. */
  onHead?: (status: number, headers: FlatHeaders) => void
  /** Called once, however it ends, before the promise settles. */
  onDone?: (end: PassEnd) => void
}

export interface PassthroughOptions {
  maxConnections?: number
}

export class Passthrough {
  readonly #connections: Connections
  readonly #upgraded = new Set<UpgradePass>()

  constructor({ maxConnections = 1_024 }: PassthroughOptions = {}) {
    this.#connections = new Connections({ maxConnections })
  }

  /**
   * Resolves when it is over, also when the client left or the upstream died midway (both sides are then destroyed).
   * Rejects, with nothing written to `res`, when there is no answer: UPSTREAM_UNREACHABLE, UPSTREAM_INVALID,
   * DEADLINE_EXCEEDED, BODY_TIMEOUT, or the signal's reason. Nothing is tried again but a safe request without a body
   * whose kept-alive connection had gone; `onDone` says whether a caller may (`untouched`).
   */
  web(req: IncomingMessage, res: ServerResponse, pass: Pass): Promise<void> {
    return new WebPass(this.#connections, req, res, pass).done
  }

  /**
   * A WebSocket handshake and, if the upstream agrees, the connection after it; resolves when both sides are closed.
   * The upstream's refusal is passed on as the answer it is. Rejects like `web`, with nothing written to the socket.
   */
  async upgrade(req: IncomingMessage, socket: Duplex, head: Buffer, pass: Pass): Promise<void> {
    const upgrade = new UpgradePass(req, socket, head, pass)
    this.#upgraded.add(upgrade)
    try {
      await upgrade.done
    } finally {
      this.#upgraded.delete(upgrade)
    }
  }

  /** WebSockets have no end of their own, so they are cut; requests come to theirs. */
  close(): void {
    for (const upgrade of this.#upgraded) upgrade.cut()
    this.#connections.close()
  }
}
