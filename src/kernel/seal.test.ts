import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { MIN_KEY_LENGTH, Sealer } from './seal.ts'

const OLD = 'the-old-key-0123456789-0123456789'
const NEW = 'the-new-key-0123456789-0123456789'

const secrets = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes))
const contexts = fc.string({ maxLength: 40 })

const setup = (...keys: string[]) => new Sealer(keys.length > 0 ? keys : [NEW])

test('what was sealed is opened again, whatever it is', () => {
  const sealer = setup()
  fc.assert(
    fc.property(secrets, contexts, (secret, context) => {
      assert.deepEqual(sealer.open(sealer.seal(secret, context), context), secret)
    }),
  )
})

test('one flipped bit anywhere, and it does not open', () => {
  const sealer = setup()
  fc.assert(
    fc.property(secrets, contexts, fc.nat(), fc.nat(7), (secret, context, where, bit) => {
      const sealed = sealer.seal(secret, context)
      sealed[where % sealed.length]! ^= 1 << bit
      assert.equal(sealer.open(sealed, context), null)
    }),
  )
})

test('every single byte matters', () => {
  const sealer = setup()
  const sealed = sealer.seal(Buffer.from('Bearer abc'), 'job_1')
  for (const at of sealed.keys()) {
    const changed = Buffer.from(sealed)
    changed[at]! ^= 0xff
    assert.equal(sealer.open(changed, 'job_1'), null, `byte ${at}`)
  }
})

test('what was cut short or made longer does not open', () => {
  const sealer = setup()
  const sealed = sealer.seal(Buffer.from('Bearer abc'), 'job_1')
  for (const length of sealed.keys()) assert.equal(sealer.open(sealed.subarray(0, length), 'job_1'), null)
  assert.equal(sealer.open(Buffer.concat([sealed, Buffer.alloc(1)]), 'job_1'), null)
})

test('does not open in another context', () => {
  const sealer = setup()
  fc.assert(
    fc.property(secrets, contexts, contexts, (secret, context, other) => {
      fc.pre(context !== other)
      assert.equal(sealer.open(sealer.seal(secret, context), other), null)
    }),
  )
})

test('garbage does not open', () => {
  const sealer = setup()
  fc.assert(fc.property(secrets, (garbage) => assert.equal(sealer.open(garbage, ''), null)))
})

test('while keys are rotated both open, and the new one seals', () => {
  const [before, during, after] = [setup(OLD), setup(NEW, OLD), setup(NEW)]
  const secret = Buffer.from('Bearer abc')
  assert.deepEqual(during.open(before.seal(secret, 'c'), 'c'), secret)
  assert.deepEqual(after.open(during.seal(secret, 'c'), 'c'), secret)
  assert.equal(after.open(before.seal(secret, 'c'), 'c'), null)
  assert.equal(before.open(during.seal(secret, 'c'), 'c'), null)
})

test('sealed twice, a secret looks different', () => {
  const sealer = setup()
  const secret = Buffer.from('Bearer abc')
  assert.notDeepEqual(sealer.seal(secret, 'c'), sealer.seal(secret, 'c'))
})

test('neither key nor secret can be seen, in what is sealed or in the sealer', () => {
  const sealer = setup()
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 8, maxLength: 200 }), (bytes) => {
      const sealed = sealer.seal(Buffer.from(bytes), 'c')
      assert.equal(sealed.indexOf(bytes), -1)
      for (let at = 0; at + 8 <= NEW.length; at++) assert.equal(sealed.indexOf(NEW.slice(at, at + 8)), -1)
    }),
  )
  assert.ok(!inspect(sealer, { depth: 9, showHidden: true }).includes(NEW.slice(0, 12)))
})

test('a short key, or none, is a mistake of the caller', () => {
  assert.throws(() => setup('x'.repeat(MIN_KEY_LENGTH - 1)), RangeError)
  assert.throws(() => setup(NEW, 'short'), RangeError)
  assert.throws(() => new Sealer([]), RangeError)
})
