import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { Refusal } from '../kernel/errors.ts'
import { canonicalJson } from './json.ts'
import { Outline } from './outline.ts'

const BOUNDS = { maxDepth: 64, maxNodes: 100_000 }

const canonical = (text: string, ignore: readonly string[] = [], bounds = BOUNDS): string => {
  const outline = new Outline()
  for (const path of ignore) outline.ignore(path)
  return canonicalJson(text, outline, bounds).text
}

const detailOf = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    assert.ok(error instanceof Refusal)
    assert.equal(error.code, 'BODY_INVALID')
    return error.detail!
  }
  return assert.fail('nothing was refused')
}

describe('canonical JSON', () => {
  for (const [text, expected] of [
    [' { "b" : 1 ,\r\n\t"a" : [ 1 , 2 ] } ', '{"a":[1,2],"b":1}'],
    ['{}', '{}'],
    ['[ ]', '[]'],
    ['""', '""'],
    ['null', 'null'],
    [' true', 'true'],
    ['-0', '-0'],
    ['1.0', '1.0'],
    ['1.50', '1.50'],
    ['1E5', '1e5'],
    ['1e+05', '1e5'],
    ['1e-007', '1e-7'],
    ['1e00', '1e0'],
    ['1e-0', '1e-0'],
    ['9007199254740993', '9007199254740993'],
    [`1${'0'.repeat(400)}`, `1${'0'.repeat(400)}`],
    ['"\\u0061\\/\\u000A\\u00e9"', '"a/\\né"'],
    ['"\\ud83d\\ude00"', '"😀"'],
    ['"\\uD800"', '"\\ud800"'],
    ['"e\u0301"', '"e\u0301"'],
    ['{"\\u0062":1,"a":2}', '{"a":2,"b":1}'],
    ['{"__proto__":{"x":1},"constructor":2}', '{"__proto__":{"x":1},"constructor":2}'],
    ['{"b":0,"":1}', '{"":1,"b":0}'],
    ['[{"b":[{"d":1,"c":2}],"a":null}]', '[{"a":null,"b":[{"c":2,"d":1}]}]'],
  ] as const) {
    test(`${JSON.stringify(text).slice(0, 60)} is spelt ${JSON.stringify(expected).slice(0, 60)}`, () => {
      assert.equal(canonical(text), expected)
    })
  }

  for (const [one, other] of [
    ['9007199254740993', '9007199254740992'],
    ['1', '1.0'],
    ['1e2', '100'],
    ['0', '-0'],
    ['0.1', '0.10'],
    ['"1"', '1'],
    ['"\u00e9"', '"e\u0301"'],
    ['"\\ud800"', '"\\ud801"'],
    ['"\\ud800"', '"\ufffd"'],
    ['[1,2]', '[2,1]'],
    ['[]', '{}'],
    ['{"a":null}', '{}'],
    ['"a\\u0000"', '"a"'],
  ] as const) {
    test(`${JSON.stringify(one)} and ${JSON.stringify(other)} stay apart`, () => {
      assert.notEqual(canonical(one), canonical(other))
    })
  }

  for (const [text, detail] of [
    ['{"a":1,"a":1}', 'the key "a" stands twice in one object (line 1, column 8, offset 7)'],
    ['{"a":1,\n "\\u0061":2}', 'the key "a" stands twice in one object (line 2, column 2, offset 9)'],
    ['{"__proto__":1,"__proto__":2}', 'the key "__proto__" stands twice'],
    ['', 'it ends too early (line 1, column 1, offset 0)'],
    ['{"a":', 'it ends too early'],
    ['{"a"}', "':' is due"],
    ['{a:1}', 'a key in double quotes is due'],
    ['{"a":1,}', 'a key in double quotes is due'],
    ['[1,]', 'a value is due'],
    ['[1 2]', "',' or ']' is due"],
    ['{"a":1 "b":2}', "',' or '}' is due"],
    ['1 2', 'something follows the value'],
    ['01', 'something follows the value'],
    ['1.', 'something follows the value'],
    ['.5', 'a value is due'],
    ['+1', 'a value is due'],
    ['NaN', 'a value is due'],
    ["'a'", 'a value is due'],
    ['"a', 'a string does not end'],
    ['"a\\"', 'a string does not end'],
    ['"a\nb"', 'a control character in a string'],
    ['"\\x41"', 'an escape that JSON does not have'],
    ['"\\u12"', 'an escape that JSON does not have'],
    ['\u00a01', 'a value is due'],
    ['// x\n1', 'a value is due'],
  ] as const) {
    test(`${JSON.stringify(text)} is refused: ${detail}`, () => {
      assert.ok(
        detailOf(() => canonical(text)).includes(detail),
        detailOf(() => canonical(text)),
      )
    })
  }

  test('64 levels are read, 65 are refused', () => {
    const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
    assert.equal(canonical(nested(64)), nested(64))
    assert.match(
      detailOf(() => canonical(nested(65))),
      /nested deeper than 64/,
    )
    assert.match(
      detailOf(() => canonical('{"a":'.repeat(1_000_000))),
      /nested deeper than 64/,
    )
  })

  test('as many values as the bound are read, one more is refused', () => {
    const bounds = { maxDepth: 4, maxNodes: 4 }
    assert.equal(canonical('[1,2,3]', [], bounds), '[1,2,3]')
    assert.match(
      detailOf(() => canonical('[1,2,3,4]', [], bounds)),
      /more than 4 values/,
    )
  })

  test('a megabyte in one string, number or escape run is read in well under a second', () => {
    for (const text of [
      `"${'a'.repeat(1e6)}"`,
      '1'.repeat(1e6),
      `"${'\\u0041'.repeat(150_000)}"`,
      `1e${'0'.repeat(1e6)}1`,
    ]) {
      const startedAt = performance.now()
      canonical(text)
      assert.ok(performance.now() - startedAt < 1_000)
    }
  })
})

describe('ignored paths', () => {
  for (const [ignore, text, expected] of [
    [['client_id'], '{"client_id":"x","a":1}', '{"a":1}'],
    [['client_id'], '{"b":{"client_id":"x"}}', '{"b":{"client_id":"x"}}'],
    [['a.b'], '{"a":{"b":1,"c":2},"b":3}', '{"a":{"c":2},"b":3}'],
    [['a.b'], '{"a":5}', '{"a":5}'],
    [['a.1'], '{"a":[1,2,3]}', '{"a":[1,3]}'],
    [['a.1.x'], '{"a":[{"x":1},{"x":2,"y":3}]}', '{"a":[{"x":1},{"y":3}]}'],
    [['a.*.x'], '{"a":[{"x":1},{"x":2,"y":3}]}', '{"a":[{},{"y":3}]}'],
    [['*.x'], '{"a":{"x":1,"y":2},"b":{"x":3}}', '{"a":{"y":2},"b":{}}'],
    [['a.*.x', 'a.0.y'], '{"a":[{"x":1,"y":1},{"x":2,"y":3}]}', '{"a":[{},{"y":3}]}'],
    [['client_id'], '{"client\\u005fid":"x"}', '{}'],
    [['a'], '[{"a":1}]', '[{"a":1}]'],
  ] as const) {
    test(`without ${ignore.join(' and ')}, ${text} is ${expected}`, () =>
      assert.equal(canonical(text, ignore), expected))
  }

  test('what is left out must still be JSON without twins', () => {
    assert.match(
      detailOf(() => canonical('{"x":{"a":1,"a":2}}', ['x'])),
      /twice/,
    )
    assert.match(
      detailOf(() => canonical('{"x":1,"x":2}', ['x'])),
      /twice/,
    )
  })

  for (const path of ['', '.', 'a.', '.a', 'a..b']) {
    test(`the path '${path}' is a fault`, () => assert.throws(() => new Outline().ignore(path), /body path/))
  }
})

describe('the reader against JSON.parse', () => {
  const alphabet = [
    ...'{}[]:,"\\ \n\t\r0123456789.-+eEtrufalsn',
    '\u0000',
    '\u001f',
    '\u007f',
    '\u2028',
    '\\u00',
    '{"a":',
    'é',
    '\ufeff',
    '\u00a0',
  ]
  const edit = fc.tuple(fc.nat(200), fc.nat(2), fc.constantFrom(...alphabet))
  const mutated = fc
    .tuple(fc.json({ maxDepth: 4 }), fc.array(edit, { maxLength: 3 }))
    .map(([text, edits]) =>
      edits.reduce(
        (text, [at, cut, put]) =>
          text.slice(0, at % (text.length + 1)) + put + text.slice((at % (text.length + 1)) + cut),
        text,
      ),
    )
  const noise = fc.array(fc.constantFrom(...alphabet), { maxLength: 12 }).map((pieces) => pieces.join(''))

  const agrees = (text: string) => {
    const theirs = attempt(() => JSON.parse(text))
    const ours = attempt(() => canonical(text))
    if (!ours.ok && /stands twice|nested deeper/.test((ours.error as Refusal).detail ?? '')) return
    assert.equal(ours.ok, theirs.ok, JSON.stringify(text))
    if (ours.ok && theirs.ok) assert.deepEqual(JSON.parse(ours.value as string), theirs.value)
  }

  test('valid JSON is read as the same value', () => {
    fc.assert(fc.property(fc.json({ maxDepth: 5 }), agrees), { numRuns: 500 })
  })
  test('mutated JSON is accepted exactly when JSON.parse accepts it', () => {
    fc.assert(fc.property(mutated, agrees), { numRuns: 5_000 })
  })
  test('noise is accepted exactly when JSON.parse accepts it', () => {
    fc.assert(fc.property(noise, agrees), { numRuns: 5_000 })
  })
  test('a canonical text is its own canonical text', () => {
    fc.assert(fc.property(fc.json(), (text) => assert.equal(canonical(canonical(text)), canonical(text))))
  })
})

function attempt(run: () => unknown): { ok: true; value: unknown } | { ok: false; error: unknown } {
  try {
    return { ok: true, value: run() }
  } catch (error) {
    return { ok: false, error }
  }
}
