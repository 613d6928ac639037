/**
 * A power cut while a database is at work: what was acknowledged as flushed is there, each transaction is there whole or not at all, and
 * none without all before it. What the cut left is sound as it is, and recovery changes nothing of it, whether it is cut short or not.
 */

import { openVolume } from '@cowherd/db'
import { fuzzCodecs as codecs, Random } from '@cowherd/fuzz'
import { describe, expect, test } from 'vitest'
import { referee } from '@cowherd/referee'
import { cutTransactions, databaseStates, databaseStatesPerFsck, firstState, seed, timeoutMs } from './budget.ts'
import { cut } from './cut.ts'
import {
  commit,
  devicesOf,
  differenceOf,
  faultsOn,
  keysOn,
  newDisks,
  openRun,
  TransactionLog,
  type RunShape,
} from './database-run.ts'
import type { Image } from './image.ts'
import { btreesOf, PLAIN, randomChanges } from './random-changes.ts'
import { Recording, withoutFlushes, type Recorded } from './recording.ts'
import { faultsOf } from './testing.ts'

const MIB = 2 ** 20
const KIB = 2 ** 10
const BTREES = btreesOf(PLAIN)
/** Flushes that are left out, one at a time, and states tried until the next. */
const FLUSHES_TRIED = 12
const STATES_WITHOUT = 10

const SHAPES: Readonly<Record<string, RunShape>> = {
  'small nodes and blocks': { devices: 1, sizeBytes: 16 * MIB, nodeBytes: 64 * KIB, blockBytes: 512, copies: 1 },
  'blocks of 4 KiB': { devices: 1, sizeBytes: 48 * MIB, nodeBytes: 128 * KIB, blockBytes: 4096, copies: 1 },
  'three devices, two copies': { devices: 3, sizeBytes: 16 * MIB, nodeBytes: 64 * KIB, blockBytes: 4096, copies: 2 },
}

/** What was promised when. */
interface Kept {
  /** How many commands had returned then. */
  readonly point: number
  /** How many transactions are there from then on, whatever happens. */
  readonly count: number
}

class Workload {
  readonly recording: Recording
  readonly log: TransactionLog
  private readonly random: Random
  private readonly promises: Kept[] = []
  /** How many commands had returned when each transaction began. */
  private readonly begun: number[] = []
  private readonly seqs: number[] = []

  constructor(shape: RunShape, name: number) {
    const disks = newDisks(shape, seed, false)
    this.random = new Random(seed, name)
    this.recording = new Recording(disks)
    this.log = new TransactionLog(devicesOf(disks), BTREES)
  }

  /** Works from a start to a shutdown, with a crash of the process and a recovery in between. */
  run(): void {
    this.work(cutTransactions, 0, false)
    this.work(cutTransactions, 1, true)
  }

  /** The fewest and the most transactions that may be found after a cut in command `point`. */
  bounds(point: number): [least: number, most: number] {
    const kept = this.promises.filter((each) => each.point <= point).map(({ count }) => count)
    return [Math.max(0, ...kept), this.begun.filter((begun) => begun <= point).length]
  }

  private work(transactions: number, opening: number, isShutDown: boolean): void {
    const { recording, log, random } = this
    const { commands } = recording
    const devices = recording.devices.map((device) => ({ ...device, close: () => undefined }))
    const db = openRun(devices, seed, opening)
    for (let i = 0; i < transactions; i++) {
      const changes = randomChanges(random, log.model, PLAIN, log.count + 1)
      this.begun.push(commands.length)
      const durability = random.chance(0.1) ? 'flushed' : random.chance(0.2) ? 'journaled' : 'memory'
      this.seqs.push(commit(db, changes, { durability }))
      log.add(changes)
      if (random.chance(0.02)) db.writeBack()
      const flushed = this.seqs.findLastIndex((seq) => seq <= db.flushedSeq) + 1
      if (durability === 'flushed') expect(flushed).toBe(log.count)
      this.promises.push({ point: commands.length, count: flushed })
    }
    db.flush()
    if (isShutDown) db.close()
    else db.abandon()
    this.promises.push({ point: commands.length, count: log.count })
  }
}

/** Recovers the volume on the disks and shuts it down. Returns what was done. */
function recover(images: readonly Image[], ...chance: readonly number[]): Recording {
  const recording = new Recording(images)
  openRun(recording.devices, seed, ...chance).close()
  return recording
}

/** The disks when all has been done. */
function whole(recording: Recorded): Image[] {
  return cut(recording, recording.commands.length, new Random(0))
}

const isClean = (images: readonly Image[]): boolean => openVolume(devicesOf(images), { codecs }).superblock.clean

/** Looks at what a cut left as it is. Returns the keys. */
function recognize(workload: Workload, images: readonly Image[], point: number): Map<string, string> {
  const [least, most] = workload.bounds(point)
  expect(faultsOn(devicesOf(images), true)).toEqual([])
  const keys = keysOn(devicesOf(images), BTREES)
  workload.log.recognize(keys, BTREES, least, most)
  return keys
}

/** Images that the real fsck has looked at. */
let judged = 0
const JUDGED_MIN = 200

/** Looks at what a cut left, and whether recovery keeps it. The real fsck does so meanwhile. */
async function look(workload: Workload, images: readonly Image[], point: number, random: Random, isSampled: boolean) {
  const keys = recognize(workload, images, point)
  const ofCut = isSampled ? faultsOf(images) : ''

  const expectSame = (state: readonly Image[], isAfterCut = false): void => {
    expect(faultsOn(devicesOf(state), isAfterCut)).toEqual([])
    expect(differenceOf(keysOn(devicesOf(state), BTREES), keys)).toBeUndefined()
  }
  const recovery = recover(images, 2)
  const recovered = whole(recovery)
  expectSame(recovered)
  expect(isClean(recovered)).toBe(true)
  const ofRecovered = isSampled ? faultsOf(recovered) : ''

  // cut while it was recovered
  const torn = cut(recovery, random.below(recovery.commands.length + 1), random)
  expectSame(torn, true)
  const again = whole(recover(torn, 3))
  expectSame(again)
  // what could not be discarded before it was known to be on stable storage, the next start discards; then there is nothing left to do
  const settled = whole(recover(again, 4))
  expectSame(settled)
  const all = keysOn(devicesOf(settled))
  expect(differenceOf(keysOn(devicesOf(whole(recover(settled, 5)))), all)).toBeUndefined()
  expect([await ofCut, await ofRecovered]).toEqual(['', ''])
  if (isSampled) judged += 2
}

/** Looks at states of a workload, as `recorded` has it. What is thrown is told with the numbers that make the state again. */
async function forStates(workload: Workload, recorded: Recorded, states: number): Promise<void> {
  for (let number = firstState; number < states; number++) {
    const random = new Random(seed, number)
    const point = random.below(recorded.commands.length + 1)
    const images = cut(recorded, point, random)
    const isSampled = number % databaseStatesPerFsck === 0 && referee.available()
    try {
      await look(workload, images, point, random, isSampled)
    } catch (error) {
      throw new Error(`seed ${seed}, state ${number}, cut in command ${point} of ${recorded.commands.length}`, {
        cause: error,
      })
    }
  }
}

describe('a power cut while a database is at work', () => {
  test.each(Object.keys(SHAPES))('%s', { timeout: timeoutMs }, async (name) => {
    const workload = new Workload(SHAPES[name], Object.keys(SHAPES).indexOf(name))
    workload.run()
    await forStates(workload, workload.recording, databaseStates)
  })

  test.skipIf(!referee.available())(`leaves nothing for the real fsck, in ${JUDGED_MIN} images and more`, () => {
    expect(judged).toBeGreaterThanOrEqual(JUDGED_MIN)
  })

  test('is noticed if nobody flushes', { timeout: timeoutMs }, async () => {
    const workload = new Workload(SHAPES['blocks of 4 KiB'], 1)
    workload.run()
    const { recording } = workload
    const flushes = recording.commands.filter(({ kind }) => kind === 'flush').map((_, i) => i)
    await expect(forStates(workload, withoutFlushes(recording, ...flushes), 20)).rejects.toThrow(/^seed \d+, state \d+/)
  })

  test('is noticed if one flush is forgotten', { timeout: timeoutMs }, () => {
    const workload = new Workload(SHAPES['blocks of 4 KiB'], 1)
    workload.run()
    const { commands } = workload.recording
    const flushes = commands.flatMap(({ kind }, at) => (kind === 'flush' ? [at] : []))
    const isNoticed = (which: number, at: number): boolean => {
      const recorded = withoutFlushes(workload.recording, which)
      const next = flushes.at(which + 1) ?? commands.length
      for (let number = 0; number < STATES_WITHOUT; number++) {
        const random = new Random(seed, which, number)
        const point = at + random.below(next - at)
        try {
          recognize(workload, cut(recorded, point, random), point)
        } catch {
          return true
        }
      }
      return false
    }
    // Some of them are of no use in this run: nothing was written since the one before that matters.
    const noticed = flushes.slice(0, FLUSHES_TRIED).filter((at, which) => isNoticed(which, at))
    expect(noticed.length).toBeGreaterThan(FLUSHES_TRIED / 4)
  })
})
