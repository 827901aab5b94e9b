import { execFile } from 'node:child_process'

const MAIN = new URL('../../src/main.ts', import.meta.url).pathname

export interface Ran {
  code: number
  out: string
  err: string
}

/** `sluice` as a process of its own. */
export const sluice = (...args: string[]): Promise<Ran> =>
  new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], (error, out, err) => {
      resolve({ code: error ? Number(error.code) : 0, out, err })
    })
  })
