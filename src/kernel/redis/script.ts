import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { RedisClient } from './connection.ts'

type Argument = string | number | Buffer

/** A Lua script of its own file. Runs by its digest (EVALSHA) and is sent once where the server does not know it. */
export interface LuaScript {
  /** Replies are strings. */
  (redis: RedisClient, keys: string[], args: Argument[]): Promise<unknown>
  /** Replies are Buffers, for scripts that return bodies. */
  buffers(redis: RedisClient, keys: string[], args: Argument[]): Promise<unknown>
}

export function luaScript(file: URL): LuaScript {
  const source = readFileSync(file, 'utf8')
  const digest = createHash('sha1').update(source).digest('hex')
  const run = (redis: RedisClient, keys: string[], args: Argument[]) =>
    redis
      .evalsha(digest, keys.length, ...keys, ...args)
      .catch((error) => orSend(error, () => redis.eval(source, keys.length, ...keys, ...args)))
  const buffers = (redis: RedisClient, keys: string[], args: Argument[]) =>
    redis
      .callBuffer('evalsha', digest, keys.length, ...keys, ...args)
      .catch((error) => orSend(error, () => redis.callBuffer('eval', source, keys.length, ...keys, ...args)))
  return Object.assign(run, { buffers })
}

function orSend(error: unknown, send: () => Promise<unknown>): Promise<unknown> {
  if (error instanceof Error && error.message.startsWith('NOSCRIPT')) return send()
  throw error
}
