/**
 * A power cut while files are made, written, renamed and removed: what was acknowledged as synced is there, each transaction is there whole or
 * not at all, and none without all before it. What the cut left is sound as it is; recovery changes nothing of what users see, and
 * leaves nothing behind of files that had no name any more.
 */

import { Random } from '@cowherd/fuzz'
import { referee } from '@cowherd/referee'
import { describe, expect, test } from 'vitest'
import {
  entriesTorn,
  fileOperations,
  fileSystemStates,
  fileSystemStatesPerFsck,
  firstState,
  seed,
  timeoutMs,
} from './budget.ts'
import { cut } from './cut.ts'
import { devicesOf, differenceOf, faultsOn, keysOn, newDisks, type RunShape } from './database-run.ts'
import { isInterrupted, leftoversOn, openRunning, ROOT, treeOn, volumeOn } from './file-system-run.ts'
import { FileSystemWorkload, type Recognized } from './file-system-workload.ts'
import type { Image } from './image.ts'
import { Recording, withoutFlushes, type Command, type Recorded } from './recording.ts'
import { faultsOf } from './testing.ts'
import { treeDifference, type TreeState } from './tree-state.ts'

const MIB = 2 ** 20
const SECTOR = 512
const SLOW = { timeout: timeoutMs }
const KIB = 2 ** 10
/** What is left of a recovery that no time went by in. */
const NOW = 1_900_000_000
/** Flushes that are left out, one at a time, and states tried until the next. */
const FLUSHES_TRIED = 16
const STATES_WITHOUT = 8

const small = { devices: 1, sizeBytes: 64 * MIB, nodeBytes: 64 * KIB, blockBytes: 512, copies: 1 }
const usual = { ...small, nodeBytes: 128 * KIB, blockBytes: 4096 }
const SHAPES: Readonly<Record<string, RunShape>> = {
  'small nodes and blocks': small,
  'blocks of 4 KiB': usual,
  'three devices, two copies': { ...usual, devices: 3, nodeBytes: 64 * KIB, copies: 2, dataCopies: 2 },
  'little room': { ...usual, sizeBytes: 20 * MIB, nodeBytes: 64 * KIB },
  encrypted: { ...usual, isEncrypted: true },
  compressed: { ...usual, options: { compression: { type: 'lz4', level: 0 } } },
}

/** A filesystem that has worked: killed, started again, killed, started again and shut down. */
function worked(name: string): FileSystemWorkload {
  const number = Object.keys(SHAPES).indexOf(name)
  const shape = SHAPES[name]
  const workload = new FileSystemWorkload(newDisks(shape, seed, false), {
    ...{ blockBytes: shape.blockBytes, seeds: [seed, number] },
  })
  workload.run(fileOperations, 'crash')
  workload.run(fileOperations, 'crash')
  workload.run(fileOperations, 'shutdown')
  return workload
}

/** Recovers the volume on the disks and shuts it down. Returns what was done. */
function recover(images: readonly Image[], ...seeds: readonly number[]): Recording {
  const recording = new Recording(images)
  openRunning(recording.devices, { seeds: [seed, ...seeds], now: () => NOW }).fs.close()
  return recording
}

/** The disks when all has been done. */
function whole(recording: Recorded): Image[] {
  return cut(recording, recording.commands.length, new Random(0))
}

/** Looks at what a cut left as it is. */
function recognize(workload: FileSystemWorkload, images: readonly Image[], point: number): Recognized {
  expect(faultsOn(devicesOf(images), true)).toEqual([])
  return workload.recognize(treeOn(images), point)
}

function expectTree(images: readonly Image[], tree: TreeState, isAfterCut = false): void {
  expect(faultsOn(devicesOf(images), isAfterCut)).toEqual([])
  expect(treeDifference(treeOn(images), tree, ROOT)).toBeUndefined()
}

/** Looks at what a cut left, and whether recovery keeps it. The real fsck does so meanwhile. */
async function look(
  workload: FileSystemWorkload,
  images: readonly Image[],
  point: number,
  random: Random,
  isSampled: boolean,
): Promise<void> {
  const { tree } = recognize(workload, images, point)
  const ofCut = isSampled && !isInterrupted(images) ? faultsOf(images) : ''

  const recovery = recover(images, 2)
  const recovered = whole(recovery)
  expectTree(recovered, tree)
  expect(volumeOn(recovered).superblock.clean).toBe(true)
  expect(leftoversOn(recovered, tree)).toEqual([])
  const ofRecovered = isSampled ? faultsOf(recovered) : ''

  // cut while it was recovered
  const torn = cut(recovery, random.below(recovery.commands.length + 1), random)
  expectTree(torn, tree, true)
  const again = whole(recover(torn, 3))
  expectTree(again, tree)
  expect(leftoversOn(again, tree)).toEqual([])
  // what could not be discarded before it was known to be on stable storage, the next start discards; then there is nothing left to do
  const settled = whole(recover(again, 4))
  expectTree(settled, tree)
  const all = keysOn(devicesOf(settled))
  expect(differenceOf(keysOn(devicesOf(whole(recover(settled, 5)))), all)).toBeUndefined()
  expect([await ofCut, await ofRecovered]).toEqual(['', ''])
}

/**
 * Looks at states of a workload, as `recorded` has it, cut in the commands that `pointOf` tells; left out: anywhere, and the real fsck sees some of
 * them. What is thrown is told with the numbers that make the state again.
 */
async function forStates(
  workload: FileSystemWorkload,
  recorded: Recorded,
  states: number,
  pointOf?: (number: number) => number,
): Promise<void> {
  for (let number = firstState; number < states; number++) {
    const random = new Random(seed, number)
    const point = pointOf?.(number) ?? Math.min(workload.somePoint(random), recorded.commands.length)
    const images = cut(recorded, point, random)
    const isJudged = pointOf !== undefined || number % fileSystemStatesPerFsck === 0
    const isSampled = isJudged && referee.available()
    try {
      await look(workload, images, point, random, isSampled)
    } catch (error) {
      throw new Error(`seed ${seed}, state ${number}, cut in command ${point} of ${recorded.commands.length}`, {
        cause: error,
      })
    }
  }
}

/** Whether a command writes the first sector of an entry whose rest was written by the one before. */
function isHeadOf(command: Command, before: Command | undefined): boolean {
  if (command.kind !== 'write through' || before?.kind !== 'write through') return false
  return command.bytes.length === SECTOR && before.offset === command.offset + SECTOR
}

describe('a power cut while files are changed', () => {
  test.each(Object.keys(SHAPES))('%s', { timeout: timeoutMs }, async (name) => {
    const workload = worked(name)
    await forStates(workload, workload.recording, fileSystemStates)
  })

  test.each(['blocks of 4 KiB', 'encrypted'])('while the journal lets older entries go: %s', SLOW, async (name) => {
    const workload = worked(name)
    const { commands } = workload.recording
    const heads = commands.flatMap((command, at) => (isHeadOf(command, commands.at(at - 1)) ? [at] : []))
    expect(heads.length).toBeGreaterThan(1)
    // in the rest, between the two, in the head
    const points = heads.flatMap((at) => [at - 1, at - 1, at - 1, at, at])
    await forStates(workload, workload.recording, Math.min(points.length, entriesTorn), (number) => points[number])
  })

  test('is noticed if nobody flushes', { timeout: timeoutMs }, async () => {
    const workload = worked('blocks of 4 KiB')
    const { recording } = workload
    const flushes = recording.commands.filter(({ kind }) => kind === 'flush').map((_, i) => i)
    await expect(forStates(workload, withoutFlushes(recording, ...flushes), 20)).rejects.toThrow(/^seed \d+, state \d+/)
  })

  test('is noticed if one flush is forgotten', { timeout: timeoutMs }, () => {
    const workload = worked('blocks of 4 KiB')
    const { commands } = workload.recording
    const flushes = commands.flatMap(({ kind }, at) => (kind === 'flush' ? [at] : []))
    const isNoticed = (which: number): boolean => {
      const recorded = withoutFlushes(workload.recording, which)
      // behind the entry, which is one further in front now
      const from = flushes[which] + 1
      const to = flushes.at(which + 1) ?? commands.length
      for (let number = 0; number < STATES_WITHOUT; number++) {
        const random = new Random(seed, which, number)
        const point = from + random.below(to - from)
        try {
          workload.recognize(treeOn(cut(recorded, point, random)), point)
        } catch {
          return true
        }
      }
      return false
    }
    // Those for the sake of a journal entry. Some are of no use in this run: what was written before isn't needed any more.
    const ofEntries = flushes.flatMap((at, which) => (commands.at(at + 1)?.kind === 'write through' ? [which] : []))
    const tried = ofEntries.slice(0, FLUSHES_TRIED)
    expect(tried.filter(isNoticed).length).toBeGreaterThan(tried.length / 3)
  })
})
