import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Refusal } from '../kernel/errors.ts'
import { problemOf } from './problem.ts'

/** Refuses on a bare socket, where there is no ServerResponse: a broken request, an upgrade. Closes it in any case. */
export function refuseRaw(socket: Duplex, refusal: Refusal | null, requestId = ''): void {
  if (!refusal || !socket.writable) return void socket.destroy()
  const { status, headers, body } = problemOf(refusal, requestId)
  const lines = [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, 'connection: close', `content-length: ${body.length}`]
  for (let i = 0; i < headers.length; i += 2) lines.push(`${headers[i]}: ${headers[i + 1]}`)
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
}
