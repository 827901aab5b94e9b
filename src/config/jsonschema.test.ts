import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { parse } from 'yaml'
import { z } from 'zod'
import { PUBLISHED_SECRET } from './auth.rules.ts'
import { jsonSchema } from './jsonschema.ts'
import { readConfig } from './load.ts'
import { configShape, type Shape } from './shape.ts'

const FOLDER = new URL('../../config/', import.meta.url)
const pathOf = (name: string) => new URL(name, FOLDER).pathname
const textOf = (name: string) => readFileSync(new URL(name, FOLDER), 'utf8')
const accepts = (data: unknown) =>
  z.fromJSONSchema(jsonSchema() as z.core.JSONSchema.JSONSchema).safeParse(data).success

const queued = (submit: object) => ({ name: 'a', match: { path: '/a' }, mode: 'queue', submit })

describe('the JSON Schema', () => {
  for (const [what, data, expected] of [
    ['a duration with a unit', { server: { drainTimeout: '30s' } }, true],
    ['a duration from the environment', { server: { drainTimeout: `\${DRAIN:-30s}` } }, true],
    ['a port from the environment', { server: { port: `\${PORT}` } }, true],
    ['a bare number for a duration', { server: { drainTimeout: 30 } }, false],
    ['an unknown key', { server: { prot: 80 } }, false],
    ['an unknown word', { telemetry: { logLevel: 'inof' } }, false],
    ['a queue route', { routes: [{ name: 'a', match: { path: '/a' }, mode: 'queue' }] }, true],
    [
      'a class on a denied route',
      { routes: [{ name: 'a', match: { path: '/a' }, mode: 'deny', class: 'batch' }] },
      false,
    ],
    ['no bound on memory', { workers: { maxMemory: 0 } }, true],
    ['a bound on memory', { workers: { maxMemory: '512MiB' } }, true],
    ['a bound on memory without a unit', { workers: { maxMemory: 512 } }, false],
    ['an empty list of keys', { routes: [queued({ credentialKey: [] })] }, false],
    ['a key from the environment', { routes: [queued({ credentialKey: `\${KEY}` })] }, true],
  ] as const) {
    test(`${expected ? 'accepts' : 'refuses'} ${what}`, () => assert.equal(accepts(data), expected))
  }

  test('gives a reason for every setting', () => {
    const silent: string[] = []
    const visit = (shape: Shape, path: string) => {
      for (const [key, inner] of Object.entries(shape.properties ?? {})) {
        if (!inner.description) silent.push(`${path}.${key}`)
        visit(inner, `${path}.${key}`)
      }
      for (const inner of [shape.items, shape.additionalProperties, ...(shape.anyOf ?? []), ...(shape.oneOf ?? [])]) {
        if (typeof inner === 'object') visit(inner, path)
      }
    }
    visit(configShape(), '')
    assert.deepEqual(silent, [])
  })
})

describe('the configs that come along', () => {
  for (const name of ['sluice.yaml', 'quickstart.yaml']) {
    test(`${name} is valid as it stands, without a warning, for the gateway and for editors`, () => {
      assert.deepEqual(readConfig(pathOf(name), {}).warnings, [])
      assert.equal(accepts(parse(textOf(name))), true)
      assert.match(textOf(name), /^# yaml-language-server: \$schema=\.\/sluice\.schema\.json\n/)
    })
  }

  test('sluice.yaml names every setting there is', () => {
    const text = textOf('sluice.yaml')
    const missing = new Set<string>()
    const visit = (shape: Shape) => {
      for (const [key, inner] of Object.entries(shape.properties ?? {})) {
        if (!new RegExp(`\\b${key}:`).test(text)) missing.add(key)
        visit(inner)
      }
      for (const inner of [shape.items, shape.additionalProperties, ...(shape.anyOf ?? []), ...(shape.oneOf ?? [])]) {
        if (typeof inner === 'object') visit(inner)
      }
    }
    visit(configShape())
    assert.deepEqual([...missing], [])
  })

  test('quickstart.yaml carries the secret that is refused beyond this machine', () => {
    const { auth } = readConfig(pathOf('quickstart.yaml'), {}).config
    assert.equal(auth.issuers[0]!.secret, PUBLISHED_SECRET)
  })
})
