import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { RedisClient } from './connection.ts'

type Argument = string | number | Buffer

/** A Lua script of its own file. Runs by its digest (EVALSHA) and is sent once where the server does not know it. */
export type LuaScript = (redis: RedisClient, keys: string[], args: Argument[]) => Promise<unknown>

/**
 * A script whose first line is `-- WITH a b` stands on the pieces a.lua and b.lua beside it: they come before it, in that
 * order, as if it had been written so. Redis has no libraries that a Cluster, a Valkey and a restart all keep.
 */
export function luaScript(file: URL): LuaScript {
  const source = withPieces(file)
  const digest = digestOf(source)
  return (redis, keys, args) =>
    redis
      .evalsha(digest, keys.length, ...keys, ...args)
      .catch((error) => orSend(error, () => redis.eval(source, keys.length, ...keys, ...args)))
}

/** The same, its texts answered as bytes: for scripts that hand out what is no text. */
export function luaBytesScript(file: URL): LuaScript {
  const source = withPieces(file)
  const digest = digestOf(source)
  return (redis, keys, args) => {
    const bytes = redis as unknown as BytesCommands
    return bytes
      .evalshaBuffer(digest, keys.length, ...keys, ...args)
      .catch((error) => orSend(error, () => bytes.evalBuffer(source, keys.length, ...keys, ...args)))
  }
}

/** ioredis has them for every command; its types leave these two out. */
type BytesCommands = Record<
  'evalshaBuffer' | 'evalBuffer',
  (script: string, keyCount: number, ...rest: Argument[]) => Promise<unknown>
>

const digestOf = (source: string): string => createHash('sha1').update(source).digest('hex')

function withPieces(file: URL): string {
  const source = readFileSync(file, 'utf8')
  const pieces = /^-- WITH (.+)$/m.exec(source.slice(0, source.indexOf('\n')))?.[1]?.split(' ') ?? []
  const texts = pieces.map((name) => readFileSync(new URL(`${name}.lua`, file), 'utf8'))
  return renamed([...texts, source].join('\n'))
}

/**
 * A line `-- NAME a b` has b written wherever the word a stands. Every local that a function uses from outside it costs
 * each call of the script, for Redis makes all its functions anew; what is only a name costs nothing.
 */
function renamed(source: string): string {
  const names = new Map(Array.from(source.matchAll(/^-- NAME (\w+) (.+)$/gm), ([, name, is]) => [name!, is!]))
  return bare(source).replace(/(?<![\w.:'"])\w+/g, (word) => names.get(word) ?? word)
}

/** Comments and indentation are for people; the server keeps every script for ever. */
const bare = (text: string): string =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('--'))
    .join('\n')

function orSend(error: unknown, send: () => Promise<unknown>): Promise<unknown> {
  if (error instanceof Error && error.message.startsWith('NOSCRIPT')) return send()
  throw error
}
