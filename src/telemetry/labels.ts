/** The first `limit` tenants are counted under their own names, later ones as `other`: a label set has a bound. */
export class TenantLabels {
  readonly #seen = new Set<string>()
  readonly #limit: number

  constructor(limit: number) {
    this.#limit = limit
  }

  of(tenant: string | null): string {
    if (tenant === null) return 'anonymous'
    if (this.#seen.has(tenant)) return tenant
    if (this.#seen.size >= this.#limit) return 'other'
    this.#seen.add(tenant)
    return tenant
  }
}
