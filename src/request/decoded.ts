import { Readable } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib'
import { Refusal } from '../kernel/errors.ts'
import type { FlatHeaders } from '../kernel/exchange.ts'
import { valuesOf } from './ask.ts'

const DECODERS: Record<string, () => NodeJS.ReadWriteStream> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress,
}

/**
 * An upstream's body in no coding, as it streams; nothing is held but a window. Throws UPSTREAM_INVALID for what does
 * not decode. Whoever reads it bounds what comes out.
 */
export function decodedUpstream({
  headers,
  body,
}: {
  headers: FlatHeaders
  body: AsyncIterable<Buffer>
}): AsyncIterable<Buffer> {
  const codings = valuesOf(headers, 'content-encoding')
    .flatMap((value) => value.split(','))
    .map((coding) => coding.trim().toLowerCase())
    .filter((coding) => coding !== '' && coding !== 'identity')
  return codings.length === 0 ? body : decoded(codings, body)
}

async function* decoded(codings: readonly string[], body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const [coding] = codings
  const decoder = codings.length === 1 ? DECODERS[coding!]?.() : undefined
  if (!decoder) throw undecodable(codings.join(', '))
  const source = Readable.from(body, { objectMode: false })
  source.on('error', (error) => (decoder as unknown as Readable).destroy(error))
  try {
    for await (const chunk of source.pipe(decoder)) yield chunk as Buffer
  } catch (cause) {
    if (cause instanceof Refusal) throw cause
    throw undecodable(coding!, cause)
  } finally {
    source.destroy()
  }
}

const undecodable = (coding: string, cause?: unknown) =>
  new Refusal('UPSTREAM_INVALID', { detail: `the upstream's ${coding} body does not decode`, cause })
