import { drawChart } from './charts.js'
import { TILES } from './tiles.js'

const STORM_USERS = 50
const byId = (id) => document.getElementById(id)
const [who, slow, slowMs, cold, summary] = ['who', 'slow', 'slow-ms', 'cold', 'summary'].map(byId)
const buttons = [byId('refresh'), byId('storm')]

/** The last cold round; a comment in the query makes it a question of its own, and changes nothing else. */
let round = ''

const tiles = TILES.map((tile) => ({ ...tile, ...makeTile(tile.title) }))

function makeTile(title) {
  const section = document.createElement('section')
  section.className = 'tile'
  const heading = Object.assign(document.createElement('h2'), { textContent: title })
  const chart = document.createElement('div')
  const note = Object.assign(document.createElement('p'), { className: 'note' })
  section.append(heading, chart, note)
  byId('tiles').append(section)
  return { chart, note }
}

async function ask(tile) {
  const query = { ...tile.query, slowMs: Number(slow.value), ...(round && { comment: round }) }
  const startedAt = performance.now()
  const response = await fetch('/api/query', {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${who.value}` },
    body: JSON.stringify(query),
  })
  const answer = await response.json()
  const status = response.headers.get('cache-status') ?? ''
  return { ok: response.ok, code: response.status, answer, status, tookMs: performance.now() - startedAt }
}

async function refreshTile(tile) {
  const result = await ask(tile).catch((error) => ({
    ok: false,
    code: 0,
    answer: { title: error.message },
    status: '',
    tookMs: 0,
  }))
  show(tile, result)
  return result
}

function show(tile, { ok, code, answer, status, tookMs }) {
  const time = span('', `${tookMs.toFixed(0)} ms`)
  if (!ok) {
    tile.note.replaceChildren(span('fault', `${code} ${answer.detail ?? answer.title ?? answer.error ?? ''}`), time)
    return
  }
  const at = answer.columns.length - 1
  tile.chart.replaceChildren(
    drawChart(
      tile.kind,
      answer.rows.map((row) => [String(row[0]), Number(row[at])]),
    ),
  )
  tile.note.replaceChildren(span(/;\s*hit/.test(status) ? 'hit' : 'miss', status || 'no Cache-Status'), time)
}

const span = (className, textContent) => Object.assign(document.createElement('span'), { className, textContent })

const upstreamQueries = async () => (await (await fetch('/demo/stats', { cache: 'no-store' })).json()).queries

/** Runs one round with the buttons off, and says how many queries reached the upstream meanwhile. */
async function measured(requests, run) {
  for (const button of buttons) button.disabled = true
  summary.textContent = `${requests} requests are on their way …`
  try {
    const before = await upstreamQueries()
    const startedAt = performance.now()
    const results = await run()
    const seconds = ((performance.now() - startedAt) / 1_000).toFixed(2)
    const upstream = (await upstreamQueries()) - before
    const failed = results.filter((result) => !result.ok).length
    summary.textContent =
      `${requests} requests in ${seconds} s made ${upstream} upstream ${upstream === 1 ? 'query' : 'queries'}` +
      (failed > 0 ? `; ${failed} were refused or failed.` : '.')
  } catch (error) {
    summary.textContent = `That did not work: ${error.message}`
  } finally {
    for (const button of buttons) button.disabled = false
  }
}

const refresh = () => measured(tiles.length, () => Promise.all(tiles.map(refreshTile)))

/** Fifty people open the dashboard at once; the first of them is the one you see. */
function storm() {
  if (cold.checked) round = `cold ${Date.now()}`
  const open = (user) => tiles.map((tile) => (user === 0 ? refreshTile(tile) : ask(tile)))
  const people = Array.from({ length: STORM_USERS }, (_, user) => user)
  return measured(tiles.length * STORM_USERS, () => Promise.all(people.flatMap(open)))
}

async function start() {
  const tokens = await (await fetch('/demo/tokens.json', { cache: 'no-store' })).json()
  who.append(...tokens.map(({ label, token }) => new Option(label, token)))
  slow.addEventListener('input', () => {
    slowMs.textContent = `${slow.value} ms`
  })
  who.addEventListener('change', refresh)
  buttons[0].addEventListener('click', refresh)
  buttons[1].addEventListener('click', storm)
  await refresh()
}

start().catch((error) => {
  summary.textContent = `The page could not start: ${error.message}`
})
