/**
 * What must hold for any volume, damaged or made to deceive: it opens or it doesn't, what can be read is read, and what can't ends in
 * an error of a known family with a message of one line. Nothing hangs, nothing grows without end.
 *
 * The seed is always the same, so that a change can't fail by chance; the soak takes a new one and ten times as many cases.
 * COWHERD_FUZZ_SEED and COWHERD_FUZZ_CASES say otherwise. `npm run fuzz -- --minutes 30` goes on for longer.
 */

import { expect, test } from 'vitest'
import { run } from './run.ts'

const SOAK = process.env['COWHERD_SOAK'] === '1'
const CASES = SOAK ? 200_000 : 20_000
const SEED = SOAK ? Date.now() % 2 ** 32 : 1
const MINUTES_MAX = SOAK ? 120 : 20

test(
  'no damage to a volume is met with anything but results and typed errors',
  { timeout: MINUTES_MAX * 60_000 },
  async () => {
    const seed = Number(process.env['COWHERD_FUZZ_SEED'] ?? SEED)
    const cases = Number(process.env['COWHERD_FUZZ_CASES'] ?? CASES)
    const { findings, volumes, opened, ms } = await run({ seed, from: 0, to: cases })
    const rate = Math.round((cases / ms) * 1000)
    console.log(`seed ${seed}: ${cases} cases, ${volumes} of them volumes (${opened} opened), ${rate} a second`)
    const repeat = findings.map((finding) => ({
      repeat: `npm run fuzz -- --small --seed ${seed} --case ${finding.case}`,
      ...finding,
    }))
    expect(repeat).toEqual([])
  },
)
