/** `routes[].submit`: how the jobs of a route are kept. */
import { z } from 'zod'
import { duration, oneOrMore, sealingSecret } from './values.ts'

export const JOB_CLASSES = ['interactive', 'default', 'batch'] as const

const MAX_KEYS = 8

export const Submit = z.strictObject({
  resultTtl: duration('1s', '7d').prefault('1h').describe('How long a result may be fetched; then RESULT_EXPIRED.'),
  durability: z
    .enum(['applied', 'replicated'])
    .prefault('applied')
    .describe(
      'When a job counts as accepted. applied: the store has it; replicated: a replica of Redis has it too (WAIT 1), ' +
        'so that it survives the loss of the master.',
    ),
  credentialKey: oneOrMore(sealingSecret(), MAX_KEYS)
    .optional()
    .transform((keys) => keys ?? [])
    .describe(
      `Seals the caller's credential that a job keeps until it runs. Of several (at most ${MAX_KEYS}) the first seals ` +
        'and all open, so that keys can be rotated.',
    ),
})

export type JobClass = (typeof JOB_CLASSES)[number]
export type Submit = z.output<typeof Submit>

/** What holds where a route takes jobs and says nothing of them. */
export const DEFAULT_SUBMIT: Readonly<Submit> = Object.freeze(Submit.parse({}))
