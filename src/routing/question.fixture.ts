import assert from 'node:assert/strict'
import { Refusal } from '../kernel/errors.ts'
import { type Asked, type KeyPolicy, Questioner, type QuestionerOptions } from './question.ts'

const POLICY: KeyPolicy = {
  route: 'query',
  upstream: 'main',
  body: 'json',
  ignoreBody: [],
  ignoreQuery: [],
  varyHeaders: [],
  tags: [],
  bypass: [],
}

export type Loose = Partial<Omit<Asked, 'body'>> & { body?: string | Buffer }

/** A questioner with a plain policy, and a plain request of which a test names only what it is about. */
export function setup(policy: Partial<KeyPolicy> = {}, options?: QuestionerOptions) {
  const questioner = new Questioner({ ...POLICY, ...policy }, options)
  const asked = ({ body = '{"a":1}', ...rest }: Loose = {}): Asked => ({
    method: 'POST',
    path: '/api/query',
    query: '',
    headers: {},
    identity: 'acme',
    ...rest,
    body: Buffer.from(body as string),
  })
  return {
    questioner,
    asked,
    ask: (loose?: Loose) => questioner.ask(asked(loose)),
    key: (loose?: Loose) => questioner.ask(asked(loose)).key,
    explain: (loose?: Loose) => questioner.explain(asked(loose)),
  }
}

export const refused = (run: () => unknown, detail: RegExp) =>
  assert.throws(run, (error) => {
    assert.ok(error instanceof Refusal)
    assert.equal(error.code, 'BODY_INVALID')
    assert.match(error.detail!, detail)
    return true
  })
