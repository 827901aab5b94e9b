/** What can be asked of the sample data: the allow-list from which every identifier in a statement comes. */
export interface Field {
  readonly kind: 'text' | 'number' | 'date'
  /** The SQL expression behind the name. */
  readonly sql: string
}

export interface Dataset {
  readonly table: string
  readonly dimensions: Readonly<Record<string, Field>>
  readonly numbers: Readonly<Record<string, Field>>
}

const text = (sql: string): Field => ({ kind: 'text', sql })
const number = (sql: string): Field => ({ kind: 'number', sql })

const TIME = { day: { kind: 'date', sql: 'day' }, month: text('substr(day, 1, 7)') } as const

export const DATASETS: Readonly<Record<string, Dataset>> = {
  sales: {
    table: 'sales',
    dimensions: { region: text('region'), product: text('product'), channel: text('channel'), ...TIME },
    numbers: { amount: number('amount'), units: number('units') },
  },
  visits: {
    table: 'visits',
    dimensions: { region: text('region'), page: text('page'), device: text('device'), ...TIME },
    numbers: { views: number('views'), seconds: number('seconds') },
  },
}

export const TENANTS = ['acme', 'globex', 'initech'] as const
export const REGIONS = ['AMER', 'APAC', 'EMEA'] as const

/** The first and the last day that the data covers. */
export const FIRST_DAY = '2025-12-01'
export const LAST_DAY = '2026-11-30'

export interface Person {
  readonly tenant: (typeof TENANTS)[number]
  readonly principal: string
  /** Which regions' rows this person sees; everybody who is not listed, and who has none here, sees all of the tenant's. */
  readonly regions: readonly (typeof REGIONS)[number][]
}

/** The people whom the quickstart makes tokens for. Two of one tenant see different rows of the same query. */
export const PEOPLE: readonly Person[] = [
  { tenant: 'acme', principal: 'ana', regions: ['EMEA'] },
  { tenant: 'acme', principal: 'ben', regions: ['AMER', 'APAC'] },
  { tenant: 'acme', principal: 'chief', regions: [] },
  { tenant: 'globex', principal: 'gina', regions: [] },
  { tenant: 'initech', principal: 'ivan', regions: [] },
]
