/** Little charts in SVG, made of elements and never of markup, so that no value can become a tag. */
const WIDTH = 280
const HEIGHT = 130
const FLOOR = HEIGHT - 14
const NAMESPACE = 'http://www.w3.org/2000/svg'

/** @param {'bars' | 'line'} kind @param {[string, number][]} points */
export function drawChart(kind, points) {
  const svg = element('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img' })
  svg.append(element('title', {}, points.map(([label, value]) => `${label}: ${short(value)}`).join(', ') || 'no rows'))
  if (points.length === 0)
    svg.append(element('text', { x: WIDTH / 2, y: HEIGHT / 2, 'text-anchor': 'middle' }, 'no rows'))
  else svg.append(...(kind === 'line' ? line(points) : bars(points)))
  return svg
}

function bars(points) {
  const top = Math.max(...points.map(([, value]) => value), 1)
  const step = WIDTH / points.length
  const width = Math.min(step * 0.72, 56)
  return points.flatMap(([label, value], i) => {
    const height = (value / top) * (FLOOR - 14)
    const middle = i * step + step / 2
    return [
      element('rect', {
        class: 'bar',
        rx: 2,
        x: middle - width / 2,
        y: FLOOR - height,
        width,
        height,
      }),
      element('text', { x: middle, y: FLOOR - height - 3, 'text-anchor': 'middle' }, short(value)),
      element(
        'text',
        { x: middle, y: HEIGHT - 3, 'text-anchor': 'middle' },
        label.slice(0, Math.max(3, Math.floor(step / 6.5))),
      ),
    ]
  })
}

function line(points) {
  const values = points.map(([, value]) => value)
  const [low, top] = [Math.min(...values) * 0.9, Math.max(...values, 1)]
  const place = (value, i) => [
    (i / Math.max(1, points.length - 1)) * WIDTH,
    FLOOR - ((value - low) / (top - low || 1)) * (FLOOR - 14),
  ]
  const path = values
    .map((value, i) =>
      place(value, i)
        .map((n) => n.toFixed(1))
        .join(' '),
    )
    .join(' L ')
  return [
    element('path', { class: 'area', d: `M 0 ${FLOOR} L ${path} L ${WIDTH} ${FLOOR} Z` }),
    element('path', { class: 'stroke', d: `M ${path}` }),
    element('text', { x: 0, y: 9 }, `max ${short(top)}`),
    element('text', { x: 0, y: HEIGHT - 3 }, points[0][0]),
    element('text', { x: WIDTH, y: HEIGHT - 3, 'text-anchor': 'end' }, points.at(-1)[0]),
  ]
}

function element(name, attributes, text) {
  const made = document.createElementNS(NAMESPACE, name)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value))
  if (text !== undefined) made.textContent = text
  return made
}

const short = (value) => Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 }).format(value)
