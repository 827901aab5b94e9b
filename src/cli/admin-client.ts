import { Refused } from './output.ts'

export interface AdminPlace {
  /** http://host:port of the admin port. */
  url: string
  token: string
}

/** One call of the admin API. Throws Refused with what it said, or with what to try when nobody answers. */
export async function callAdmin(place: AdminPlace, method: string, path: string, body?: unknown): Promise<unknown> {
  const response = await fetch(new URL(path, place.url), {
    method,
    headers: { 'content-type': 'application/json', ...(place.token && { authorization: `Bearer ${place.token}` }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(30_000),
  }).catch((cause) => {
    throw new Refused(`no gateway answers at ${place.url}; is it running? --admin URL names another one`, { cause })
  })
  const document = (await response.json().catch(() => ({}))) as { code?: string; title?: string; detail?: string }
  if (response.ok) return document
  const hint = response.status === 401 ? ' (--token TOKEN or SLUICE_ADMIN_TOKEN)' : ''
  throw new Refused(
    `${document.code ?? response.status}: ${document.detail ?? document.title ?? response.statusText}${hint}`,
  )
}
