import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { watchConfig } from './watch.ts'

/** A watched file whose changes can be waited for. */
function setup(options = { debounceMs: 10, pollMs: 600_000 }) {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-watch-'))
  const file = join(directory, 'sluice.yaml')
  let heard = 0
  let wake = () => {}
  const start = () =>
    watchConfig(
      file,
      () => {
        heard++
        wake()
      },
      options,
    )
  const change = () =>
    new Promise<void>((resolve) => {
      wake = resolve
    })
  return { directory, file, start, change, heard: () => heard, end: () => rmSync(directory, { recursive: true }) }
}

describe('a watched file', { concurrency: true }, () => {
  test('that is written over is heard', async () => {
    const { file, start, change, end } = setup()
    writeFileSync(file, 'a')
    using _ = start()
    const changed = change()
    writeFileSync(file, 'b')
    await changed
    end()
  })

  test('that an editor replaces by renaming is heard, more than once', async () => {
    const { directory, file, start, change, heard, end } = setup()
    writeFileSync(file, 'a')
    using _ = start()
    for (const text of ['b', 'c']) {
      const changed = change()
      writeFileSync(join(directory, 'new'), text)
      renameSync(join(directory, 'new'), file)
      await changed
    }
    assert.equal(heard(), 2)
    end()
  })

  test('that Kubernetes swaps through a link is heard', async () => {
    const { directory, file, start, change, end } = setup()
    const version = (name: string) => {
      mkdirSync(join(directory, name))
      writeFileSync(join(directory, name, 'sluice.yaml'), name)
      symlinkSync(name, join(directory, '..data_tmp'))
      renameSync(join(directory, '..data_tmp'), join(directory, '..data'))
    }
    version('..v1')
    symlinkSync('..data/sluice.yaml', file)
    using _ = start()
    const changed = change()
    version('..v2')
    await changed
    end()
  })

  test('whose link leads elsewhere is found by looking', async () => {
    const elsewhere = setup()
    const { file, start, change, end } = setup({ debounceMs: 10, pollMs: 20 })
    writeFileSync(elsewhere.file, 'a')
    symlinkSync(elsewhere.file, file)
    using _ = start()
    const changed = change()
    writeFileSync(elsewhere.file, 'b')
    await changed
    end()
    elsewhere.end()
  })

  test('that is saved with the same content, or gone for an instant, is not heard', async () => {
    const { file, start, change, heard, end } = setup()
    writeFileSync(file, 'a')
    using _ = start()
    rmSync(file)
    writeFileSync(file, 'a')
    const changed = change()
    writeFileSync(file, 'b') // the only change: once it is heard, what came before would have been
    await changed
    assert.equal(heard(), 1)
    end()
  })

  test('is not heard after closing, which may be done twice', async () => {
    const { file, start, change, heard, end } = setup()
    writeFileSync(file, 'a')
    const closed = start()
    closed.close()
    closed.close()
    using _ = watchConfig(file, () => witnessed(), { debounceMs: 10 })
    let witnessed = () => {}
    const other = new Promise<void>((resolve) => {
      witnessed = resolve
    })
    void change()
    writeFileSync(file, 'b')
    await other
    assert.equal(heard(), 0)
    end()
  })
})
