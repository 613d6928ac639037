/**
 * A power cut while a volume is made over another one leaves the other one whole, the new one whole, or none that anyone takes for one.
 */

import { makeVolume, readSuperblock, SuperblockError } from '@cowherd/db'
import { fixture } from '@cowherd/fixtures'
import { addFirstKeys } from '@cowherd/fs'
import { fuzzCodecs as codecs, Random } from '@cowherd/fuzz'
import { expect, test } from 'vitest'
import { cut } from './cut.ts'
import { Image } from './image.ts'
import { Recording, withoutFlushes, type Recorded } from './recording.ts'
import { faultsOf, forEachState, namesOn } from './testing.ts'

const MIB = 2 ** 20

/** A new volume on the disks. `seed` makes its ids, so that two are told from each other. */
function format(recording: Recording, seed: number): void {
  const source = new Random(seed)
  const random = (target: Uint8Array): void => void source.fill(target)
  makeVolume(
    recording.devices.map((device) => ({ device, blockBytes: 512 })),
    {
      ...{ codecs, random, nowNs: 1_800_000_000_000_000_000n },
      options: { metadataReplicas: Math.min(2, recording.devices.length) },
      fill: (builder) => addFirstKeys(builder, { codecs, random, strHash: 'siphash' }),
    },
  )
}

/** The names of the volume on the disks, and whose it is; undefined if no superblock says that there is one. */
function found(images: readonly Image[]): { names: string; uuid: string } | undefined {
  const devices = images.map((image, disk) => image.device(`disk ${disk}`))
  try {
    const names = namesOn(devices)
    return { names, uuid: readSuperblock(devices[0], codecs).uuid.join() }
  } catch (error) {
    if (error instanceof SuperblockError) return undefined
    throw error
  }
}

const DISKS: Readonly<Record<string, () => Image[]>> = {
  'empty disks': () => [Image.empty(64 * MIB), Image.empty(64 * MIB)],
  'a volume': () => fixture('default').devices.map((path) => Image.load(path)),
  'two disks of a volume': () => fixture('replicas').devices.map((path) => Image.load(path)),
  'disks of the same tool': () => {
    const recording = new Recording([Image.empty(64 * MIB)])
    format(recording, 1)
    return [cut(recording, recording.commands.length, new Random(1))[0]]
  },
}

test.each(Object.keys(DISKS))('a cut in formatting %s: the old, the new, or none', async (name) => {
  const before = DISKS[name]()
  const old = found(before)
  const recording = new Recording(before)
  format(recording, 2)
  expect(found(cut(recording, recording.commands.length, new Random(1)))?.names).toBe('\nlost+found')
  const seen = await states(recording)
  expect(seen.none).toBeGreaterThan(0)
  expect(seen.new).toBeGreaterThan(0)
  if (old !== undefined) expect(seen.old).toBeGreaterThan(0)
})

test.each([
  ['what was there before, before it is overwritten', [0]],
  ['the new volume, before there are superblocks', [1, 2]],
])('it is noticed if nobody flushes %s', async (_, flushes) => {
  const recording = new Recording(DISKS['a volume']())
  format(recording, 2)
  await expect(states(withoutFlushes(recording, ...flushes))).rejects.toThrow(/^seed \d+, cut in command/)
})

/** Counts what all states are. Throws at one that isn't one of the three. */
async function states(recorded: Recorded): Promise<{ old: number; new: number; none: number }> {
  const { before, commands } = recorded
  const old = found(before)
  const whole = found(cut(recorded, commands.length, new Random(1)))
  const seen = { old: 0, new: 0, none: 0 }
  await forEachState(recorded, async ({ images, isWhole, isSampled }) => {
    const now = found(images)
    const kind = now === undefined ? 'none' : now.uuid === old?.uuid ? 'old' : 'new'
    seen[kind]++
    if (isWhole) expect(kind).toBe('new')
    if (kind !== 'none') expect(now).toEqual(kind === 'old' ? old : whole)
    if (kind !== 'none' && isSampled) expect(await faultsOf(images)).toBe('')
  })
  return seen
}
