/** One case: a real volume, changed by some mutators, looked at from top to bottom. */

import { examine, type Examination } from './examine.ts'
import { journalMutators, makeUnclean } from './mutate-journal.ts'
import { keyMutators } from './mutate-keys.ts'
import { nodeMutators, treeMutators } from './mutate-node.ts'
import { rawMutators } from './mutate-raw.ts'
import { superblockMutators } from './mutate-superblock.ts'
import { pickWeighted, type Mutation, type Weighted } from './mutation.ts'
import type { OverlayDevice } from './overlay-device.ts'
import type { Random } from './random.ts'
import { devicesOf, type Specimen } from './specimen.ts'

/** How much of the volume's size may be read in one case. */
const BUDGET_FACTOR = 3
const BUDGET_MORE = 32 << 20

/** The walk over files jumps about: with the least cache it would read most nodes again and again. */
const FILES_CACHE_BYTES = 4 << 20

const MODES = ['none', 'degraded', 'very_degraded'] as const

export interface CaseReport {
  /** What was done, for findings. */
  readonly steps: string[]
  examination: Examination | undefined
}

/** Runs the case that `random` makes of the specimen. Throws a Finding. `report` is filled as it goes. */
export function runVolumeCase(specimen: Specimen, random: Random, report: CaseReport): void {
  const devices = devicesOf(specimen)
  report.steps.push(specimen.name)
  const mutation: Mutation = { specimen, devices, random, touched: new Set<number>() }
  const families = familiesOf(specimen)
  for (let n = random.few(4); n > 0; n--) {
    const family: Weighted = random.pick(families)
    report.steps.push(pickWeighted(family, random)(mutation))
  }
  if (random.chance(0.05)) makeUnclean(mutation)
  const files = random.chance(mutation.contradicts === true ? 0.9 : 0.3)
  const given = arrange(devices, random)
  const budget = specimen.images.reduce((sum, { size }) => sum + size, 0) * BUDGET_FACTOR + BUDGET_MORE
  for (const device of devices) device.budget = budget
  report.examination = examine(given, {
    passphrase: random.chance(0.98) ? specimen.passphrase : undefined,
    missing: devices.length > 1 ? random.pick(MODES) : 'none',
    norecovery: random.chance(0.1),
    cacheBytes: files ? FILES_CACHE_BYTES : 0,
    printed: random.chance(0.05) ? undefined : mutation.touched,
    files,
    journal: random.chance(mutation.touched === undefined ? 0.2 : 0.02),
    keyCount: specimen.keyCount,
  })
}

/** Damage below the checksums, and above them: the second is the greater part. */
function familiesOf({ entries, superblock }: Specimen): Weighted[] {
  const families = [rawMutators, superblockMutators, nodeMutators, nodeMutators, treeMutators, keyMutators, keyMutators]
  if (entries.length > 0) families.push(journalMutators)
  if (!superblock.clean) families.push(journalMutators, journalMutators)
  return families
}

/** The devices as a user may give them: in any order, sometimes one missing, sometimes one twice. */
function arrange(devices: readonly OverlayDevice[], random: Random): OverlayDevice[] {
  const given = [...devices]
  if (given.length === 1) return given
  if (random.chance(0.2)) given.splice(random.below(given.length), 1)
  if (random.chance(0.05)) given.push(random.pick(given))
  if (random.chance(0.5)) given.reverse()
  return given
}
