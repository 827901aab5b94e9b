import assert from 'node:assert/strict'

/** Looks every 10 ms until it happened: for what neither a log line nor a promise tells. */
export async function until(happened: () => boolean | Promise<boolean>, what = 'it', withinMs = 8_000): Promise<void> {
  const untilAt = performance.now() + withinMs
  while (performance.now() < untilAt) {
    if (await happened()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  assert.fail(`${what} did not happen in ${withinMs} ms`)
}
