import { readFileSync } from 'node:fs'

export interface Asset {
  readonly body: Buffer
  readonly headers: Record<string, string>
}

const TYPES = { html: 'text/html; charset=utf-8', css: 'text/css; charset=utf-8', js: 'text/javascript; charset=utf-8' }

/** All there is: nothing of a request's path ever reaches the file system. */
const FILES = [
  ['/', 'index.html', TYPES.html],
  ['/assets/dashboard.css', 'dashboard.css', TYPES.css],
  ['/assets/dashboard.js', 'dashboard.js', TYPES.js],
  ['/assets/charts.js', 'charts.js', TYPES.js],
  ['/assets/tiles.js', 'tiles.js', TYPES.js],
] as const

const assets = new Map<string, Asset>(
  FILES.map(([path, file, type]) => [
    path,
    {
      body: readFileSync(new URL(`./page/${file}`, import.meta.url)),
      headers: {
        'content-type': type,
        'cache-control': 'no-cache',
        'content-security-policy': "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
        'x-content-type-options': 'nosniff',
      },
    },
  ]),
)

/** The dashboard page and its parts, read once at start. */
export const readAsset = (path: string): Asset | undefined => assets.get(path)
