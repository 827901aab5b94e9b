/** Gets the document behind `url`, parsed. Rejects on whatever is not a whole, small, timely 200 of JSON. */
export type FetchJwks = (url: string, signal: AbortSignal) => Promise<unknown>

export interface JwksFetchLimits {
  timeoutMs?: number
  maxBytes?: number
}

/**
 * No redirect is followed: a key set decides who may come in, so it comes from where the configuration says. The time
 * limit covers the body too, and the size limit what gzip unfolds to.
 */
export function jwksFetcher({ timeoutMs = 2_000, maxBytes = 256 * 1024 }: JwksFetchLimits = {}): FetchJwks {
  return async (url, signal) => {
    const response = await fetch(url, {
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      headers: { accept: 'application/jwk-set+json, application/json' },
    })
    if (response.status !== 200) {
      await response.body?.cancel()
      throw new Error(`the key set's address answered with status ${response.status}`)
    }
    return JSON.parse(await readBounded(response, maxBytes))
  }
}

async function readBounded(response: Response, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength
    if (bytes > maxBytes) throw new Error(`the key set is larger than ${maxBytes} bytes`) // leaving the loop cancels
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}
