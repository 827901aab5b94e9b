import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { Refusal } from '../kernel/errors.ts'
import type { FlatHeaders } from '../kernel/exchange.ts'
import type { Delivery } from '../request/delivery.ts'
import { upstreamTrailers } from '../upstream/headers.ts'
import type { Pass } from '../upstream/pass.ts'
import type { Passthrough } from '../upstream/passthrough.ts'
import type { Guard } from '../upstream/upstream.ts'
import type { PassEnd } from '../upstream/verdict.ts'
import type { Ending } from './account.ts'
import { ownHeaders, passedHeaders, rateNotice } from './deliver.ts'
import type { HttpCall } from './http-call.ts'
import type { Manners } from './manners.ts'
import { watchUpload } from './upload.ts'

export type ProxyDelivery = Extract<Delivery, { kind: 'proxy' }>

/** A request that found no connection is offered to this many addresses in all. */
const MAX_TARGETS = 2

/** Passes a request on, streaming. Resolves when it is over. */
export async function proxyWeb(
  call: HttpCall,
  req: IncomingMessage,
  res: ServerResponse,
  delivery: ProxyDelivery,
  passthrough: Passthrough,
  { cors, bodyBounds: { timeoutMs: bodyTimeoutMs } }: Manners,
): Promise<Ending> {
  const dress = (headers: FlatHeaders) => {
    const own = [...ownHeaders(call, delivery), ...rateNotice(delivery)]
    const all = [...passedHeaders(headers), ...own]
    headers.splice(0, headers.length, ...(cors ? cors.apply(all, req) : all))
  }
  using upload = watchUpload(req, bodyTimeoutMs)
  const end = await guarded(delivery, (guard, onDone) => {
    const onHead = (status: number, headers: FlatHeaders) => {
      guard.head(status)
      dress(headers)
    }
    return passthrough.web(req, res, {
      ...passOf(call, delivery, guard.url, onDone),
      onHead,
      ...(upload.signal && { signal: upload.signal }),
    })
  })
  return endingOf(end, delivery)
}

/** Passes a WebSocket on. Resolves when it is over: with 101, or with the status the upstream refused it with. */
export async function proxyUpgrade(
  call: HttpCall,
  req: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  delivery: ProxyDelivery,
  passthrough: Passthrough,
): Promise<Ending> {
  const end = await guarded(delivery, (guard, onDone) =>
    passthrough.upgrade(req, socket, head, {
      ...passOf(call, delivery, guard.url, onDone),
      onHead: (status) => guard.head(status),
    }),
  )
  return endingOf(end, delivery)
}

/** 499: the client left before a head came. An answer that broke off has failed, whatever its head said. */
function endingOf(end: PassEnd | undefined, { outcome }: ProxyDelivery): Ending {
  const status = end?.status ?? 499
  const brokeOff = end?.failure === 'invalid' || end?.failure === 'too-slow'
  return { status, outcome: brokeOff || status >= 499 ? 'failed' : outcome }
}

function passOf(call: HttpCall, delivery: ProxyDelivery, target: URL, onDone: (end: PassEnd) => void): Pass {
  return {
    target,
    headers: delivery.headers,
    timeoutMs: delivery.timeoutMs,
    connectTimeoutMs: delivery.connectTimeoutMs,
    awaitsContinue: call.awaitsContinue,
    trailers: (raw) => upstreamTrailers(raw, delivery.rules),
    onDone,
  }
}

/** Runs a pass under the upstream's breaker and balance, and gives one that nothing was sent of to another address. */
async function guarded(
  { upstream, tenant }: ProxyDelivery,
  pass: (guard: Guard, onDone: (end: PassEnd) => void) => Promise<void>,
): Promise<PassEnd | undefined> {
  for (let n = 1; ; n++) {
    const guard = upstream.guard(tenant ?? '')
    let end: PassEnd | undefined
    const onDone = (how: PassEnd) => {
      end = how
      guard.end(how)
    }
    try {
      await pass(guard, onDone)
      return end
    } catch (error) {
      const isUntouched = error instanceof Refusal && error.code === 'UPSTREAM_UNREACHABLE' && end?.untouched === true
      if (!isUntouched || n >= MAX_TARGETS) throw error
    }
  }
}
