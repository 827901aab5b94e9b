/**
 * One wrong value hides what else is wrong: a schema does not judge a section it could not read, and the rules between
 * settings need all sections. So what is at fault is cut out and the rest is judged again, until it is whole.
 */
import { type Path, pathKey } from './faults.ts'

export interface Salvaged {
  data: unknown
  /** Translates a path into the cut data back into one of the whole data: cutting an item moves those behind it. */
  original(path: Path): Path
}

export function cutOut(data: unknown, cuts: readonly Path[]): Salvaged {
  const gone = new Set(cuts.map(pathKey))
  const kept = new Map<string, number[]>()
  return {
    data: without(data, [], gone, kept),
    original(path) {
      const whole: (string | number)[] = []
      for (const step of path) {
        const places = kept.get(pathKey(whole))
        whole.push(places && typeof step === 'number' ? (places[step] ?? step) : step)
      }
      return whole
    },
  }
}

function without(data: unknown, path: Path, gone: ReadonlySet<string>, kept: Map<string, number[]>): unknown {
  const stays = (step: string | number) => !gone.has(pathKey([...path, step]))
  if (Array.isArray(data)) {
    const places = [...data.keys()].filter(stays)
    kept.set(pathKey(path), places)
    return places.map((at) => without(data[at], [...path, at], gone, kept))
  }
  if (typeof data !== 'object' || data === null) return data
  const section: Record<string, unknown> = Object.create(null)
  for (const [key, value] of Object.entries(data)) {
    if (stays(key)) section[key] = without(value, [...path, key], gone, kept)
  }
  return section
}
