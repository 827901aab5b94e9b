import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { originForm, requestFault } from './request-fault.ts'

const HOST = ['Host', 'gw.example']

describe('a request is refused for', () => {
  for (const [name, headers, method, target] of [
    ['two Hosts', [...HOST, 'host', 'other'], 'GET', '/'],
    ['a Host with a path', ['Host', 'gw.example/x'], 'GET', '/'],
    ['a Host with userinfo', ['Host', 'a@b'], 'GET', '/'],
    ['a list of Hosts', ['Host', 'a, b'], 'GET', '/'],
    ['two equal Content-Lengths', [...HOST, 'Content-Length', '3', 'content-length', '3'], 'POST', '/'],
    ['a signed Content-Length', [...HOST, 'Content-Length', '+3'], 'POST', '/'],
    ['a list of Content-Lengths', [...HOST, 'Content-Length', '3, 3'], 'POST', '/'],
    [
      'Content-Length beside Transfer-Encoding',
      [...HOST, 'Content-Length', '3', 'Transfer-Encoding', 'chunked'],
      'POST',
      '/',
    ],
    ['two Transfer-Encodings', [...HOST, 'Transfer-Encoding', 'chunked', 'Transfer-Encoding', 'chunked'], 'POST', '/'],
    ['a transfer coding besides chunked', [...HOST, 'Transfer-Encoding', 'gzip, chunked'], 'POST', '/'],
    ['a dressed-up chunked', [...HOST, 'Transfer-Encoding', 'xchunked'], 'POST', '/'],
    ['a header name with a space', [...HOST, 'Transfer-Encoding ', 'chunked'], 'POST', '/'],
    ['the rest of a folded header', [...HOST, 'X-A', 'a\r\n b'], 'GET', '/'],
    ['a NUL in a value', [...HOST, 'X-A', 'a\0b'], 'GET', '/'],
    [
      'Connection naming Content-Length',
      [...HOST, 'Connection', 'close, Content-Length', 'Content-Length', '3'],
      'POST',
      '/',
    ],
    ['Connection naming Authorization', [...HOST, 'Connection', 'authorization'], 'GET', '/'],
    ['a target of another scheme', HOST, 'GET', 'gopher://gw.example/'],
    ['a target of another host', HOST, 'GET', 'http://other/'],
    ['a target that is no path', HOST, 'GET', 'x'],
    ['an asterisk without OPTIONS', HOST, 'GET', '*'],
    ['a fragment', HOST, 'GET', '/a#b'],
    ['a space in the target', HOST, 'GET', '/a HTTP/1.1'],
    ['CONNECT', HOST, 'CONNECT', 'gw.example:443'],
    ['TRACE', HOST, 'TRACE', '/'],
  ] as [string, string[], string, string][]) {
    test(name, () => {
      assert.equal(typeof requestFault(headers, method, target), 'string')
    })
  }
})

describe('nothing is wrong with', () => {
  for (const [name, headers, method, target] of [
    ['a plain GET', HOST, 'GET', '/a/b?c=d'],
    ['a POST with a length', [...HOST, 'Content-Length', '3'], 'POST', '/'],
    ['a chunked POST in capitals', [...HOST, 'Transfer-Encoding', 'Chunked'], 'POST', '/'],
    ['bytes above 0x7f in a value', [...HOST, 'X-A', 'J\u00fcrgen\t1'], 'GET', '/'],
    ['an IPv6 Host', ['Host', '[::1]:8080'], 'GET', '/'],
    ['no Host, as HTTP/1.0 has it', [], 'GET', '/'],
    ['a WebSocket handshake', [...HOST, 'Connection', 'Upgrade', 'Upgrade', 'websocket'], 'GET', '/ws'],
    ['an absolute target of the same host', HOST, 'GET', 'HTTP://GW.example/a'],
    ['OPTIONS *', HOST, 'OPTIONS', '*'],
  ] as [string, string[], string, string][]) {
    test(name, () => assert.equal(requestFault(headers, method, target), null))
  }
})

test('an absolute target is reduced to what an upstream is asked', () => {
  assert.equal(originForm('http://gw.example/a?b'), '/a?b')
  assert.equal(originForm('http://gw.example?b'), '/?b')
  assert.equal(originForm('/a//b?'), '/a//b?')
})

/** Who refuses what: node's strict parser, or this. A change of node that lets more through shows here. */
describe('over a raw socket', () => {
  const server = createServer((req, res) => {
    const fault = requestFault(req.rawHeaders, req.method!, req.url!)
    req.resume().on('end', () => res.writeHead(fault ? 422 : 200, { connection: 'close' }).end())
  })
  before(async () => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
  })
  after(() => server.close())

  const ask = async (text: string): Promise<string> => {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
    socket.end(text, 'latin1')
    let answer = ''
    for await (const chunk of socket) answer += chunk
    return answer.slice(9, 12)
  }

  for (const [name, text, status] of [
    [
      'CL and TE are refused by node',
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      '400',
    ],
    [
      'two different Content-Lengths are refused by node',
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc',
      '400',
    ],
    [
      'two equal Content-Lengths are refused by node',
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc',
      '400',
    ],
    ['a bare LF is refused by node', 'GET / HTTP/1.1\nHost: a\n\n', '400'],
    ['a folded header is refused by node', 'GET / HTTP/1.1\r\nHost: a\r\nX-A: a\r\n b\r\n\r\n', '400'],
    ['a space before the colon is refused by node', 'GET / HTTP/1.1\r\nHost: a\r\nX-A : a\r\n\r\n', '400'],
    [
      'chunked twice is refused by node',
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n',
      '400',
    ],
    [
      'a chunk size with a sign is refused by node',
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n',
      '400',
    ],
    [
      'a bare LF after a chunk size is refused by node',
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n',
      '400',
    ],
    [
      'a chunk extension is let through by node, and is gone when the body is framed anew',
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\na\r\n0\r\n\r\n',
      '200',
    ],
    [
      'gzip, chunked is let through by node and refused here',
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
      '422',
    ],
    ['two Hosts are let through by node and refused here', 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', '422'],
    [
      'a foreign absolute target is let through by node and refused here',
      'GET http://evil/ HTTP/1.1\r\nHost: a\r\n\r\n',
      '422',
    ],
    ['an honest request is answered', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', '200'],
  ] as const) {
    test(name, async () => assert.equal(await ask(text), status))
  }
})
