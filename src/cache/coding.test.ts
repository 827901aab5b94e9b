import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import * as zlib from 'node:zlib'
import { chooseCoding, parseAcceptEncoding } from './accept.ts'
import { acceptedCodings, decodeBody, decodeUpstream, encodeBody, isCompressed, type Undecodable } from './coding.ts'

const rows = (count: number) =>
  Buffer.from(JSON.stringify(Array.from({ length: count }, (_, id) => ({ id, name: `row ${id}` }))))

describe('Accept-Encoding', () => {
  for (const [header, expected] of [
    [undefined, 'identity'],
    ['', 'identity'],
    ['gzip', 'gzip identity'],
    ['gzip, deflate, br, zstd', 'zstd gzip identity'],
    ['GZip ; Q=0.5', 'gzip identity'],
    ['x-gzip', 'gzip identity'],
    ['gzip;q=0', 'identity'],
    ['gzip;q=0.000, zstd;q=0.001', 'zstd identity'],
    ['*', 'zstd gzip identity'],
    ['*;q=0', ''],
    ['*;q=0, gzip', 'gzip'],
    ['gzip, identity;q=0', 'gzip'],
    ['identity;q=0, *', 'zstd gzip'],
    ['zstd;q=0, *;q=0.1', 'gzip identity'],
    ['gzip;q=abc', 'identity'],
    ['gzip;q=2', 'identity'],
    ['gzip;q=-1', 'identity'],
    ['gzip;q=', 'identity'],
    ['gzip;level=9', 'gzip identity'],
    [',,;q=1, ,', 'identity'],
    ['gzipped', 'identity'],
  ] as const) {
    test(`${JSON.stringify(header)} takes: ${expected || 'nothing'}`, () => {
      const accepted = acceptedCodings(header)
      const taken = (['zstd', 'gzip', 'identity'] as const).filter((coding) => accepted[coding])
      assert.equal(taken.join(' '), expected)
    })
  }

  test('is parsed once per header, and a long one leaves nothing behind', () => {
    assert.equal(acceptedCodings('gzip, br'), acceptedCodings('gzip, br'))
    const long = `gzip, ${'x'.repeat(1_000)}`
    assert.notEqual(acceptedCodings(long), acceptedCodings(long))
  })

  for (const [stored, header, expected] of [
    ['zstd', 'zstd', 'zstd'],
    ['zstd', 'gzip', 'identity'],
    ['gzip', 'br', 'identity'],
    ['zstd', 'gzip, identity;q=0', 'gzip'],
    ['gzip', 'zstd, identity;q=0', 'zstd'],
    ['identity', 'gzip, identity;q=0', 'gzip'],
    ['gzip', '*;q=0', 'identity'],
  ] as const) {
    test(`a body stored in ${stored} is sent in ${expected} to "${header}"`, () => {
      assert.equal(chooseCoding(stored, parseAcceptEncoding(header)), expected)
    })
  }
})

describe('encodeBody', () => {
  for (const [acceptEncoding, coding] of [
    ['gzip, zstd', 'zstd'],
    ['gzip', 'gzip'],
    [undefined, 'gzip'],
  ] as const) {
    for (const count of [100, 20_000]) {
      test(`stores ${count} rows in ${coding} for "${acceptEncoding}", and they come back whole`, async () => {
        const raw = rows(count)
        const encoded = await encodeBody(raw, { acceptEncoding, contentType: 'application/json' })
        assert.equal(encoded.coding, coding)
        assert.ok(encoded.body.length < raw.length / 3)
        assert.deepEqual(await decodeBody(coding, encoded.body, raw.length), raw)
      })
    }
  }

  test('leaves alone what is small, what is compressed already, and what does not become smaller', async () => {
    const [small, zip, noise] = [rows(10), rows(1_000), randomBytes(4_096)]
    assert.equal((await encodeBody(small, {})).coding, 'identity')
    assert.equal((await encodeBody(zip, { contentType: 'application/zip' })).coding, 'identity')
    assert.equal((await encodeBody(noise, { contentType: 'text/csv' })).coding, 'identity')
  })

  test('keeps no larger buffer alive than the body needs', async () => {
    for (const raw of [rows(100), rows(10).subarray(3)]) {
      const { body } = await encodeBody(raw, {})
      assert.ok(body.buffer.byteLength <= body.length * 1.13 + 64)
    }
  })

  for (const [type, expected] of [
    ['image/png', true],
    ['image/svg+xml', false],
    ['application/zip', true],
    ['Application/ZIP; x=y', true],
    ['application/vnd.openxmlformats-officedocument.spreadsheetml.sheet', true],
    ['application/vnd.apache.parquet', true],
    ['font/woff2', true],
    ['application/json', false],
    ['text/csv; charset=utf-8', false],
    ['application/zipped-up', false],
    [undefined, false],
  ] as const) {
    test(`${type} is ${expected ? '' : 'not '}compressed already`, () => assert.equal(isCompressed(type), expected))
  }
})

describe('decodeUpstream', () => {
  const raw = rows(500)
  const bounded = 1024 * 1024
  const why = (expected: Undecodable['why']) => (error: Undecodable) =>
    error.name === 'Undecodable' && error.why === expected

  for (const [coding, body] of [
    ['gzip', zlib.gzipSync(raw)],
    ['X-GZIP', zlib.gzipSync(raw)],
    ['br', zlib.brotliCompressSync(raw)],
    ['zstd', zlib.zstdCompressSync(raw)],
    ['deflate', zlib.deflateSync(raw)],
    ['deflate', zlib.deflateRawSync(raw)],
    ['identity', raw],
    ['', raw],
    ['gzip, br', zlib.brotliCompressSync(zlib.gzipSync(raw))],
    ['deflate , identity,zstd', zlib.zstdCompressSync(zlib.deflateSync(raw))],
  ] as const) {
    test(`takes "${coding}" off`, async () => {
      assert.deepEqual(await decodeUpstream(coding, body, bounded), raw)
      await assert.rejects(decodeUpstream(coding, body, raw.length - 1), why('large'))
    })
  }

  for (const [coding, body] of [
    ['gzip', zlib.gzipSync(raw)],
    ['br', zlib.brotliCompressSync(raw)],
    ['zstd', zlib.zstdCompressSync(raw)],
    ['deflate', zlib.deflateSync(raw)],
  ] as const) {
    test(`a ${coding} body that was cut short is corrupt, never a shorter answer`, async () => {
      for (const length of [0, 1, 5, body.length >> 1, body.length - 1]) {
        await assert.rejects(decodeUpstream(coding, body.subarray(0, length), bounded), why('corrupt'))
      }
    })
  }

  test('a bomb costs no more than the bound', async () => {
    const bomb = zlib.gzipSync(zlib.gzipSync(Buffer.alloc(50 * 1024 * 1024)))
    await assert.rejects(decodeUpstream('gzip, gzip', bomb, bounded), why('large'))
  })

  test('a coding nobody knows and a pile of codings are refused', async () => {
    await assert.rejects(decodeUpstream('compress', raw, bounded), why('unknown'))
    await assert.rejects(decodeUpstream('gzip, gzip, gzip, gzip', raw, bounded), why('unknown'))
  })
})
