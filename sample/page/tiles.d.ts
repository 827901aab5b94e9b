/** For the test that asks every tile's query; the page itself is plain JavaScript. */
export const TILES: readonly { title: string; kind: 'bars' | 'line'; query: Record<string, unknown> }[]
