import { Refused } from './output.ts'

/** The flags of every verb that speaks to the admin port. */
export const ADMIN = { admin: { type: 'string' }, token: { type: 'string' }, json: { type: 'boolean' } } as const
export const ADMIN_FLAGS = `  --admin URL     the admin port (default: SLUICE_ADMIN, else http://127.0.0.1:9090)
  --token TOKEN   its token (default: SLUICE_ADMIN_TOKEN)
  --json          the answer as JSON, for scripts`

export interface AdminPlace {
  /** http://host:port of the admin port. */
  url: string
  token: string
}

export const adminPlace = (values: { admin?: string | undefined; token?: string | undefined }): AdminPlace => ({
  url: values.admin ?? process.env.SLUICE_ADMIN ?? 'http://127.0.0.1:9090',
  token: values.token ?? process.env.SLUICE_ADMIN_TOKEN ?? '',
})

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
