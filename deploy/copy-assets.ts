/**
 * The second half of `npm run build`: what is not TypeScript but is read at run time goes to the same place in `dist/`,
 * so that `new URL('./scripts/x.lua', import.meta.url)` means the same in a checkout and in the image.
 * package.json goes along: it says that `dist/` is ESM, and the gateway reads its version from it.
 */
import { cpSync, globSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const dist = join(root, 'dist')

const assets = globSync('{src,sample,config}/**/*', { cwd: root, withFileTypes: true })
  .filter((entry) => entry.isFile() && !entry.name.endsWith('.ts'))
  .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))

for (const asset of [...assets, 'package.json']) cpSync(join(root, asset), join(dist, asset))
