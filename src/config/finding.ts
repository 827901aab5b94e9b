import type { Issue, Path } from './faults.ts'
import type { Config } from './schema.ts'

/** What a rule between settings has to say. */
export interface Finding extends Issue {
  /** The gateway starts all the same. */
  warning?: boolean
}

export type Rule = (config: Config) => Finding[]

export interface Warning {
  path: Path
  message: string
}
