import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Operation, Operations } from './calls.ts'

describe('the operations', () => {
  const named = (name: string): Operation => Object.assign(async () => name, {})
  const names = [
    'GET /admin/v1/jobs',
    'GET /admin/v1/jobs/:id',
    'POST /admin/v1/jobs/:id/cancel',
    'DELETE /admin/v1/jobs/:id',
  ]
  const operations = new Operations(Object.fromEntries(names.map((name) => [name, named(name)])))
  const find = async (method: string, path: string) => {
    const found = operations.find(method, path)
    return found && [await found.operation({ params: {}, query: new URLSearchParams(), body: undefined }), found.params]
  }

  for (const [method, path, name, params] of [
    ['GET', '/admin/v1/jobs', 'GET /admin/v1/jobs', {}],
    ['GET', '/admin/v1/jobs/job_1', 'GET /admin/v1/jobs/:id', { id: 'job_1' }],
    ['DELETE', '/admin/v1/jobs/job_1', 'DELETE /admin/v1/jobs/:id', { id: 'job_1' }],
    ['POST', '/admin/v1/jobs/job_1/cancel', 'POST /admin/v1/jobs/:id/cancel', { id: 'job_1' }],
    ['GET', '/admin/v1/jobs/a%2Fb', 'GET /admin/v1/jobs/:id', { id: 'a/b' }],
  ] as const) {
    test(`answer ${method} ${path}`, async () => assert.deepEqual(await find(method, path), [name, params]))
  }

  for (const [method, path] of [
    ['PUT', '/admin/v1/jobs'],
    ['GET', '/admin/v1/jobs/'],
    ['GET', '/admin/v1/jobs/job_1/'],
    ['GET', '/admin/v1/jobs/job_1/cancel'],
    ['GET', '/admin/v1'],
  ] as const) {
    test(`have none for ${method} ${path}`, async () => assert.equal(await find(method, path), null))
  }

  test('refuse a path that cannot be read', () => {
    assert.throws(() => operations.find('GET', '/admin/v1/jobs/%zz'), { code: 'REQUEST_INVALID' })
  })
})
