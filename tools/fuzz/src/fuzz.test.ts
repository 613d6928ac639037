/**
 * What must hold for any volume, damaged or made to deceive: it opens or it doesn't, what can be read is read, and what can't ends in
 * an error of a known family with a message of one line. Nothing hangs, nothing grows without end.
 *
 * COWHERD_FUZZ_SEED repeats a run, COWHERD_FUZZ_CASES makes it shorter or longer. `npm run fuzz -- --minutes 30` goes on for longer.
 */

import { expect, test } from 'vitest'
import { run } from './run.ts'

const CASES = 20_000
const MINUTES_MAX = 20

test(
  'no damage to a volume is met with anything but results and typed errors',
  { timeout: MINUTES_MAX * 60_000 },
  () => {
    const seed = Number(process.env['COWHERD_FUZZ_SEED'] ?? Date.now() % 2 ** 32)
    const cases = Number(process.env['COWHERD_FUZZ_CASES'] ?? CASES)
    const { findings, volumes, opened, ms } = run({ seed, from: 0, to: cases })
    const rate = Math.round((cases / ms) * 1000)
    console.log(`seed ${seed}: ${cases} cases, ${volumes} of them volumes (${opened} opened), ${rate} a second`)
    const repeat = findings.map((finding) => ({
      repeat: `npm run fuzz -- --small --seed ${seed} --case ${finding.case}`,
      ...finding,
    }))
    expect(repeat).toEqual([])
  },
)
