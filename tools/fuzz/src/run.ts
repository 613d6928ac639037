/**
 * The loop: case after case, each from its own seed, under a clock. A case that takes too long is stopped and is a finding; so is
 * one that leaves far more memory behind than an undamaged volume takes.
 */

import { setImmediate } from 'node:timers/promises'
import * as v8 from 'node:v8'
import * as vm from 'node:vm'
import { Finding } from './oracle.ts'
import { Random } from './random.ts'
import { specimen } from './specimen.ts'
import { runStructureCase } from './structure-cases.ts'
import { runVolumeCase } from './volume-case.ts'

export interface RunOptions {
  readonly seed: number
  /** Numbers of the cases to run: [from, to). */
  readonly from: number
  readonly to: number
  /** Stops after this time even if cases are left. */
  readonly untilMs?: number | undefined
  /** Base images; the small ones if absent. */
  readonly specimens?: readonly string[] | undefined
  /** Called for each finding as it turns up. */
  readonly onFinding?: (finding: CaseFinding) => void
}

export interface CaseFinding {
  readonly seed: number
  readonly case: number
  readonly steps: readonly string[]
  readonly problem: string
}

export interface RunResult {
  readonly findings: readonly CaseFinding[]
  cases: number
  volumes: number
  /** Volumes that opened in spite of the damage. */
  opened: number
  ms: number
}

/** One case in so many is a whole volume: those cost a hundred times as much as the others. */
const VOLUME_EVERY = 6
/** Cases that share a clock, and what they may take together: a hundred times what they need on an idle machine. */
const BATCH = 16
const BATCH_MS_MAX = 30_000
/**
 * What a batch may leave behind, and how much garbage it may make. A superblock may claim 32 MiB, and there are three of each; memory of node
 * caches is given back late.
 */
const KEPT_MAX_BYTES = 300 << 20
const GARBAGE_MAX_BYTES = 4 * 2 ** 30

/** Volumes that cost little to look through and have, together, all that there is. */
const SMALL_SPECIMENS = [
  'compressed',
  'encrypted',
  'encrypted-nopass',
  'reflink',
  'replicas',
  'small-nodes',
  'snapshots',
  'tiered',
  'unclean-early',
]

export async function run(options: RunOptions): Promise<RunResult> {
  const names = options.specimens ?? SMALL_SPECIMENS
  const started = performance.now()
  const findings: CaseFinding[] = []
  const result: RunResult = { findings, cases: 0, volumes: 0, opened: 0, ms: 0 }
  const found = (finding: CaseFinding): void => {
    findings.push(finding)
    options.onFinding?.(finding)
  }
  for (const name of names) specimen(name)
  let current = options.from
  let steps: string[] = []
  const batch = (): void => {
    const end = Math.min(options.to, current + BATCH)
    for (; current < end; current++) {
      steps = []
      runCase(names, options.seed, current, steps, result)
    }
  }
  while (current < options.to && performance.now() - started < (options.untilMs ?? Infinity)) {
    // Node gives back the memory of its decoders only when it comes to rest.
    await setImmediate()
    const memory = memoryBytes()
    try {
      withinTime(batch)
      checkGrowth(memory)
    } catch (error) {
      found({ seed: options.seed, case: current, steps, problem: problemText(error) })
      current++
    }
  }
  result.ms = performance.now() - started
  return result
}

function runCase(names: readonly string[], seed: number, number: number, steps: string[], result: RunResult): void {
  const random = new Random(seed, number)
  const base = specimen(random.pick(names))
  result.cases++
  if (number % VOLUME_EVERY !== 0) {
    runStructureCase(base, random, steps)
    return
  }
  result.volumes++
  const report = { steps, examination: undefined }
  runVolumeCase(base, random, report)
  countOpened(report, result)
}

function countOpened({ examination }: { examination: { opened: boolean } | undefined }, result: RunResult): void {
  if (examination?.opened === true) result.opened++
}

function problemText(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause instanceof Error ? error.cause : error
  const isOurs = error instanceof Finding && error.cause === undefined
  return isOurs ? error.message : `${error.message}\n${cause.stack ?? ''}`
}

function checkGrowth(before: number): void {
  const growth = memoryBytes() - before
  if (growth <= KEPT_MAX_BYTES) return
  if (growth > GARBAGE_MAX_BYTES) throw new Finding(`${growth >> 20} MiB were allocated`)
  collectGarbage()
  const kept = memoryBytes() - before
  if (kept > KEPT_MAX_BYTES) throw new Finding(`${kept >> 20} MiB more memory in use than before`)
}

/** Node lets its collector be called if asked while it runs. */
function collectGarbage(): void {
  v8.setFlagsFromString('--expose-gc')
  vm.runInNewContext('gc()')
}

function memoryBytes(): number {
  const { used_heap_size, external_memory } = v8.getHeapStatistics()
  return used_heap_size + external_memory
}

declare global {
  var cowherdFuzzBatch: (() => void) | undefined
}

const script = new vm.Script('cowherdFuzzBatch()')

/** Runs `batch`, and stops it in the middle of whatever it does when it takes too long. */
function withinTime(batch: () => void): void {
  globalThis.cowherdFuzzBatch = batch
  script.runInThisContext({ timeout: BATCH_MS_MAX })
}
