import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { RedisClient } from './connection.ts'

type Argument = string | number | Buffer

/** A Lua script of its own file. Runs by its digest (EVALSHA) and is sent once where the server does not know it. */
export type LuaScript = (redis: RedisClient, keys: string[], args: Argument[]) => Promise<unknown>

export function luaScript(file: URL): LuaScript {
  const source = readFileSync(file, 'utf8')
  const digest = createHash('sha1').update(source).digest('hex')
  return (redis, keys, args) =>
    redis
      .evalsha(digest, keys.length, ...keys, ...args)
      .catch((error) => orSend(error, () => redis.eval(source, keys.length, ...keys, ...args)))
}

function orSend(error: unknown, send: () => Promise<unknown>): Promise<unknown> {
  if (error instanceof Error && error.message.startsWith('NOSCRIPT')) return send()
  throw error
}
