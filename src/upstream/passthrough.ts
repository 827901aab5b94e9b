/**
 * Requests passed through as they are: any method, streaming both ways, and WebSockets.
 *
 * `Host` is the upstream's own unless the pass says otherwise: a name of the client's choice must not choose a virtual
 * host behind the gateway, and the same upstream sees the same name on cached and on passed routes. The client's goes
 * along as `X-Forwarded-Host` and in `Forwarded` (forwarded.ts).
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { Connections } from './connections.ts'
import type { Pass } from './pass.ts'
import { UpgradePass } from './upgrade-pass.ts'
import { WebPass } from './web-pass.ts'

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
