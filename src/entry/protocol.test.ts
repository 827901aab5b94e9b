import assert from 'node:assert/strict'
import { test } from 'node:test'
import { asksForWebSocket, protocolFault } from './protocol.ts'

for (const [version, headers, isFault] of [
  ['1.1', { host: 'a' }, false],
  ['1.1', {}, true],
  ['1.1', { host: 'a', 'transfer-encoding': 'chunked' }, false],
  ['1.0', {}, false],
  ['1.0', { host: 'a', 'transfer-encoding': 'chunked' }, true],
  ['0.9', { host: 'a' }, true],
  ['2.0', { host: 'a' }, true],
] as const) {
  test(`HTTP/${version} with ${JSON.stringify(headers)} is ${isFault ? 'refused' : 'taken'}`, () => {
    const [httpVersionMajor, httpVersionMinor] = version.split('.').map(Number) as [number, number]
    assert.equal(protocolFault({ httpVersionMajor, httpVersionMinor, headers }) !== null, isFault)
  })
}

for (const [upgrade, expected] of [
  ['websocket', true],
  ['WebSocket', true],
  ['h2c', false],
  ['websocket, h2c', false],
  [undefined, false],
] as const) {
  test(`Upgrade: ${upgrade} is ${expected ? 'a' : 'no'} WebSocket`, () => {
    assert.equal(asksForWebSocket({ headers: upgrade === undefined ? {} : { upgrade } }), expected)
  })
}
