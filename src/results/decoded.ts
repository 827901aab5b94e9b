import { pipeline } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import type { Stored } from './stored.ts'

/** A result's stored bytes in no coding, for a client that does not take the one they are in. Piece by piece. */
export function decoded({ coding }: Pick<Stored, 'coding'>, stored: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  return coding === 'identity' ? stored : unpacked(coding, stored)
}

/** Nothing is begun until it is iterated; one who leaves early ends the reading too. */
async function* unpacked(coding: 'zstd' | 'gzip', stored: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const decoder = coding === 'zstd' ? createZstdDecompress() : createGunzip()
  yield* pipeline(stored, decoder, () => {}) as AsyncIterable<Buffer> // a failure reaches the iteration itself
}
