import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { FIRST_DAY, LAST_DAY, PEOPLE, REGIONS, TENANTS } from './catalog.ts'

/** Rows per tenant: 120,000 sales and 36,000 visits in all, so that a query takes long enough to be worth caching. */
const SALES = { acme: 60_000, globex: 40_000, initech: 20_000 } as const
const VISITS = { acme: 18_000, globex: 12_000, initech: 6_000 } as const

const PRODUCTS = ['anvil', 'beacon', 'compass', 'dynamo', 'engine', 'filter', 'gasket', 'hinge'] as const
const CHANNELS = ['online', 'partner', 'retail'] as const
const PAGES = ['/', '/docs', '/pricing', '/cart', '/help'] as const
const DEVICES = ['desktop', 'phone', 'tablet'] as const

const DAY_MS = 86_400_000
const SEED = 20_261_122

const SCHEMA = `
  CREATE TABLE sales (tenant TEXT, region TEXT, product TEXT, channel TEXT, day TEXT, amount REAL, units INTEGER);
  CREATE TABLE visits (tenant TEXT, region TEXT, page TEXT, device TEXT, day TEXT, views INTEGER, seconds INTEGER);
  CREATE TABLE row_rules (tenant TEXT, principal TEXT, region TEXT, PRIMARY KEY (tenant, principal, region)) WITHOUT ROWID;
`
const INDEXES = `
  CREATE INDEX sales_by_tenant ON sales (tenant, day);
  CREATE INDEX visits_by_tenant ON visits (tenant, day);
`

/** The sample data in memory; the same rows every time. */
export function openSampleData(): DatabaseSync {
  const db = new DatabaseSync(':memory:')
  const dice = new Dice(SEED)
  db.exec(SCHEMA)
  db.exec('BEGIN')
  const sale = db.prepare('INSERT INTO sales VALUES (?, ?, ?, ?, ?, ?, ?)')
  const visit = db.prepare('INSERT INTO visits VALUES (?, ?, ?, ?, ?, ?, ?)')
  TENANTS.forEach((tenant, at) => {
    for (let i = 0; i < SALES[tenant]; i++) addSale(sale, tenant, at, dice)
    for (let i = 0; i < VISITS[tenant]; i++) addVisit(visit, tenant, dice)
  })
  addRules(db)
  db.exec('COMMIT')
  db.exec(INDEXES) // after the rows: one sort is faster than 156,000 insertions into a tree
  return db
}

/** Each tenant sells other things best, and prices grow through the year, so that charts of two tenants differ at a glance. */
function addSale(insert: StatementSync, tenant: string, at: number, dice: Dice): void {
  const day = dice.day()
  const product = (dice.skewed(PRODUCTS.length) + at * 3) % PRODUCTS.length
  const units = 1 + dice.skewed(12)
  const price = (9 + product * 7 + at * 4) * (1 + day.share * 0.4) * (0.8 + dice.roll() * 0.4)
  const amount = Math.round(units * price * 100) / 100
  insert.run(tenant, dice.one(REGIONS), PRODUCTS[product]!, dice.one(CHANNELS), day.text, amount, units)
}

function addVisit(insert: StatementSync, tenant: string, dice: Dice): void {
  const views = 1 + dice.skewed(20)
  const seconds = views * (5 + dice.below(60))
  const page = PAGES[dice.skewed(PAGES.length)]!
  insert.run(tenant, dice.one(REGIONS), page, dice.one(DEVICES), dice.day().text, views, seconds)
}

function addRules(db: DatabaseSync): void {
  const insert = db.prepare('INSERT INTO row_rules VALUES (?, ?, ?)')
  for (const { tenant, principal, regions } of PEOPLE) {
    for (const region of regions) insert.run(tenant, principal, region)
  }
}

const FIRST_AT = Date.parse(FIRST_DAY)
const DAYS = Array.from({ length: (Date.parse(LAST_DAY) - FIRST_AT) / DAY_MS + 1 }, (_, i) =>
  new Date(FIRST_AT + i * DAY_MS).toISOString().slice(0, 10),
)

/** A seeded source of chance (mulberry32): small, fast, and good enough for made-up rows. */
class Dice {
  #state: number

  constructor(seed: number) {
    this.#state = seed
  }

  /** Uniform on [0, 1). */
  roll(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  below(bound: number): number {
    return Math.floor(this.roll() * bound)
  }

  /** Small numbers come more often. */
  skewed(bound: number): number {
    return Math.floor(this.roll() * this.roll() * bound)
  }

  one<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!
  }

  /** A day, and how far through the year it is. */
  day(): { text: string; share: number } {
    const at = this.below(DAYS.length)
    return { text: DAYS[at]!, share: at / DAYS.length }
  }
}
