import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { sha256 } from '../kernel/digest.ts'
import { refused, setup } from './question.fixture.ts'

describe('JSON bodies', () => {
  const leaf = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null))
  const { json } = fc.letrec((tie) => ({
    json: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.array(tie('json'), { maxLength: 4 }),
      fc.dictionary(fc.string(), tie('json'), { maxKeys: 4, noNullPrototype: true }),
    ),
  }))

  test('the order of keys, blanks and escapes never change the key', () => {
    const { key } = setup()
    fc.assert(
      fc.property(json, fc.infiniteStream(fc.nat(2)), (value, stream) => {
        const draw = () => stream.next().value ?? 0
        assert.equal(key({ body: respelt(value, draw) }), key({ body: JSON.stringify(value) }))
      }),
      { numRuns: 500 },
    )
  })

  test('changing any leaf changes the key', () => {
    const { key } = setup()
    fc.assert(
      fc.property(fc.array(json, { minLength: 1, maxLength: 4 }), fc.nat(), leaf, (value, at, put) => {
        const places = leavesOf(value)
        if (places.length === 0) return
        const before = JSON.stringify(value)
        places[at % places.length]!(put)
        assert.equal(key({ body: JSON.stringify(value) }) === key({ body: before }), JSON.stringify(value) === before)
      }),
      { numRuns: 500 },
    )
  })

  test('integers beyond 2^53 stay apart', () => {
    const { key } = setup()
    assert.notEqual(key({ body: '{"id":9007199254740993}' }), key({ body: '{"id":9007199254740992}' }))
  })

  for (const type of [
    undefined,
    'application/json',
    'Application/JSON; charset="UTF-8"',
    'application/vnd.api+json',
    'text/json',
  ]) {
    test(`content-type ${type} is JSON`, () => {
      setup().ask({ headers: type === undefined ? {} : { 'content-type': type } })
    })
  }
  for (const [headers, detail] of [
    [
      { 'content-type': 'application/x-www-form-urlencoded' },
      /takes application\/json, not 'application\/x-www-form-urlencoded'/,
    ],
    [{ 'content-type': 'text/plain' }, /not 'text\/plain'/],
    [{ 'content-type': '' }, /not ''/],
    [{ 'content-type': 'application/json; charset=utf-16' }, /in UTF-8, not in 'utf-16'/],
    [{ 'content-encoding': 'gzip' }, /no compressed bodies/],
  ] as const) {
    test(`${JSON.stringify(headers)} is refused, also for bytes seen before`, () => {
      const { ask } = setup()
      ask()
      refused(() => ask({ headers }), detail)
    })
  }
  for (const [what, body, detail] of [
    ['nothing', '', /needs a JSON body/],
    ['invalid UTF-8', Buffer.from([0x22, 0xff, 0x22]), /not valid UTF-8/],
    ['an encoded surrogate', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), /not valid UTF-8/],
    ['a byte order mark', '\ufeff{}', /byte order mark/],
    ['text that is no JSON', '{"a":1', /line 1, column 7/],
  ] as const) {
    test(`a POST of ${what} is refused`, () => refused(() => setup().ask({ body }), detail))
  }

  test('a refused body is not remembered', () => {
    const { ask, questioner } = setup()
    refused(() => ask({ body: '{' }), /too early|due/)
    assert.equal(questioner.memo.size, 0)
  })

  test('the memo is bounded', () => {
    const { ask, questioner } = setup({}, { memoEntries: 3 })
    for (let i = 0; i < 10; i++) ask({ body: `[${i}]`, query: `q=${i}` })
    assert.equal(questioner.memo.size, 3)
  })

  test('depth and size have bounds of their own', () => {
    refused(() => setup({}, { maxDepth: 1 }).ask({ body: '[[]]' }), /deeper than 1/)
    refused(() => setup({}, { maxNodes: 2 }).ask({ body: '[1,2]' }), /more than 2 values/)
  })

  test('a GET without a body is fine, and one with a body is keyed with it', () => {
    const { ask } = setup()
    assert.equal(ask({ method: 'GET', body: '' }).bodyDigest, '')
    assert.notEqual(ask({ method: 'GET', body: '{}' }).key, ask({ method: 'GET', body: '' }).key)
  })
})

describe('other bodies', () => {
  test('raw bodies are keyed byte by byte, with their type and coding', () => {
    const { key, ask } = setup({ body: 'raw' })
    assert.equal(ask({ body: 'x=1' }).bodyDigest, sha256('x=1'))
    const keys = [
      {},
      { headers: { 'content-type': 'a/b' } },
      { headers: { 'content-encoding': 'gzip' } },
      { body: '{ "a":1}' },
    ]
    assert.equal(new Set(keys.map(key)).size, keys.length)
    assert.equal(ask({ body: '' }).bodyDigest, '')
  })

  test('a route without bodies refuses one: forwarded but not keyed, it would choose the answer others get', () => {
    refused(() => setup({ body: 'none' }).ask({ method: 'GET' }), /takes none/)
    assert.equal(setup({ body: 'none' }).ask({ method: 'GET', body: '' }).bodyDigest, '')
  })
})

/** The same value, written down differently. */
function respelt(value: unknown, draw: () => number): string {
  const blank = () => ['', ' ', '\n\t'][draw()]!
  const spell = (text: string) =>
    JSON.stringify(text).replace(/[A-Za-z](?![^\\]*\\)/g, (letter, at, whole: string) =>
      draw() === 0 && whole[at - 1] !== '\\' && !whole.includes('\\')
        ? `\\u00${letter.charCodeAt(0).toString(16)}`
        : letter,
    )
  if (Array.isArray(value))
    return `[${blank()}${value.map((item) => respelt(item, draw)).join(`${blank()},${blank()}`)}]`
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).map(
      ([key, inner]) => `${spell(key)}${blank()}:${blank()}${respelt(inner, draw)}`,
    )
    return `{${(draw() === 0 ? members.toReversed() : members).join(`,${blank()}`)}${blank()}}`
  }
  return blank() + (typeof value === 'string' ? spell(value) : JSON.stringify(value)) + blank()
}

/** A setter for every leaf. */
function leavesOf(value: unknown): ((put: unknown) => void)[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) =>
    typeof inner === 'object' && inner !== null
      ? leavesOf(inner)
      : [
          (put: unknown) =>
            void Object.defineProperty(value, key, {
              value: put,
              enumerable: true,
              writable: true,
              configurable: true,
            }),
        ],
  )
}
