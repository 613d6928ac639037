#!/usr/bin/env node
/**
 * cowherd-fuzz: breaks volumes until told to stop, and says which seed and case did what must not happen. Writes nothing.
 *
 *     npm run fuzz -- --minutes 30
 *     npm run fuzz -- --seed 4711 --case 1234
 *
 * Exits with 1 if anything was found.
 */

import { parseArgs } from 'node:util'
import { fixtureNames } from '@cowherd/fixtures'
import { run, type CaseFinding } from './run.ts'

const HELP = `usage: npm run fuzz -- [--minutes N] [--seed N] [--case N] [--volumes NAME,NAME...]

Breaks golden volumes in every way it knows, and looks at everything in them.

  --minutes N   how long to go on (default 1)
  --seed N      repeats a run (default: a new one each time)
  --case N      runs that case of the seed only
  --volumes     golden volumes to start from (default: all)
  --small       the volumes that the test in CI starts from
`
const ROUND = 2000

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '1' },
      seed: { type: 'string' },
      case: { type: 'string' },
      volumes: { type: 'string' },
      small: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) {
    process.stdout.write(HELP)
    return 0
  }
  const seed = number(values.seed ?? String(Date.now() % 2 ** 32), 'seed')
  const specimens = values.small ? undefined : (values.volumes?.split(',') ?? fixtureNames())
  const options = { seed, specimens, onFinding: (finding: CaseFinding) => report(finding, values) }
  if (values.case !== undefined) {
    const only = number(values.case, 'case')
    const { findings } = await run({ ...options, from: only, to: only + 1 })
    return findings.length === 0 ? 0 : 1
  }
  const endMs = performance.now() + number(values.minutes, 'minutes') * 60_000
  process.stderr.write(`seed ${seed}\n`)
  let cases = 0
  let volumes = 0
  let findings = 0
  const started = performance.now()
  while (performance.now() < endMs) {
    const result = await run({ ...options, from: cases, to: cases + ROUND, untilMs: endMs - performance.now() })
    cases += ROUND
    volumes += result.volumes
    findings += result.findings.length
    const rate = Math.round((cases / (performance.now() - started)) * 1000)
    process.stderr.write(`${cases} cases, ${volumes} volumes, ${rate} a second, ${findings} findings\n`)
  }
  return findings === 0 ? 0 : 1
}

function report(
  { seed, case: number, steps, problem }: CaseFinding,
  values: { volumes?: string; small?: boolean },
): void {
  const base = values.small === true ? ' --small' : values.volumes === undefined ? '' : ` --volumes ${values.volumes}`
  process.stdout.write(`--seed ${seed} --case ${number}${base}\n  ${steps.join('\n  ')}\n${problem.slice(0, 2000)}\n\n`)
}

function number(text: string, name: string): number {
  const value = Number(text)
  if (Number.isFinite(value) && value >= 0) return value
  throw new Error(`--${name} takes a number, not '${text}'`)
}

process.exitCode = await main()
