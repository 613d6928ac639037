/**
 * A power cut while a device is added, or is made larger, leaves the volume as it was, or as it was to become; both are sound, and the change
 * can be made again.
 */

import { addDevice, readSuperblock, resizeDevice, type ChangeOptions } from '@cowherd/db'
import { fsDatabaseParts } from '@cowherd/fs'
import { fuzzCodecs as codecs, Random } from '@cowherd/fuzz'
import type { WritableBlockDevice } from '@cowherd/shim'
import { describe, expect, test } from 'vitest'
import { statesPerPoint, timeoutMs } from './budget.ts'
import { devicesOf, faultsOn } from './database-run.ts'
import { emptyFileSystem, FullLife, readAll } from './full-life.ts'
import { Image } from './image.ts'
import { Recording } from './recording.ts'
import { faultsOf, forEachState } from './testing.ts'

const MIB = 2 ** 20
/** The commands are few, and each of them counts. */
const STATES_PER_POINT = Math.ceil(statesPerPoint / 5)

const options = (seed: number): ChangeOptions => {
  const random = new Random(seed)
  return {
    ...{ ...fsDatabaseParts, codecs, nowSeconds: () => 1_800_000_100n },
    random: (target) => void random.fill(target),
  }
}

/** Disks with some files on them. */
function volume(devices: number, sizeBytes: number, isShutDown: boolean): Image[] {
  const images = emptyFileSystem({ devices, sizeBytes })
  const life = new FullLife(devicesOf(images), { sizeBytes }, 3)
  life.fill(0.8)
  for (let step = 0; step < 50; step++) life.step(0.1)
  life.fs.sync()
  if (isShutDown) life.fs.close()
  else life.db.abandon()
  return images
}

/** Whether there is a superblock on a disk. */
function isOfVolume(image: Image): boolean {
  try {
    readSuperblock(image.device('disk'), codecs)
    return true
  } catch {
    return false
  }
}

const add = (devices: readonly WritableBlockDevice[]): number =>
  addDevice(devices.slice(0, -1), { device: devices[devices.length - 1], blockBytes: 4096, label: 'new' }, options(7))

describe('a device is added to a volume', () => {
  test.each<[string, number, boolean]>([
    ['of one device', 1, true],
    ['of two devices', 2, true],
    ['that was not shut down', 1, false],
  ])('%s', { timeout: timeoutMs }, async (_, count, isShutDown) => {
    const old = volume(count, 48 * MIB, isShutDown)
    // something was on the new one
    const fresh = emptyFileSystem({ sizeBytes: 64 * MIB }, 2)
    const recording = new Recording([...old, ...fresh])
    add(recording.devices)

    const outcomes = new Set<string>()
    const mayBeForeign = (images: readonly Image[]): boolean => {
      const [first, last] = [images[0], images[count]].map((image) => readSuperblock(image.device('disk'), codecs))
      return Buffer.compare(first.uuid, last.uuid) !== 0
    }
    await forEachState(
      recording,
      async ({ images, isSampled, isWhole }) => {
        const isNew = isOfVolume(images[count]) && !mayBeForeign(images)
        outcomes.add(isNew ? 'new' : 'old')
        if (isWhole) expect(isNew).toBe(true)
        const present = isNew ? images : images.slice(0, -1)
        expect(faultsOn(devicesOf(present), true)).toEqual([])
        if (isSampled) expect(await faultsOf(present)).toBe('')
        if (!isSampled) return
        if (!isNew) {
          add(devicesOf(images))
          expect(faultsOn(devicesOf(images))).toEqual([])
        }
        readAll(devicesOf(images))
        expect(faultsOn(devicesOf(images))).toEqual([])
      },
      STATES_PER_POINT,
    )
    expect([...outcomes].sort()).toEqual(['new', 'old'])
  })
})

test.each([1, 2])('a device of %d grows', { timeout: timeoutMs }, async (count) => {
  const small = volume(count, 48 * MIB, true)
  const grown = small.map((image) => {
    const larger = Image.empty(72 * MIB)
    const bytes = new Uint8Array(image.size)
    image.read(bytes, 0)
    larger.write(bytes, 0)
    return larger
  })
  const recording = new Recording(grown)
  resizeDevice(recording.devices, '0', undefined, options(7))
  const outcomes = new Set<number>()
  await forEachState(
    recording,
    async ({ images, isSampled }) => {
      expect(faultsOn(devicesOf(images), true)).toEqual([])
      const seqs = images.map((image) => readSuperblock(image.device('disk'), codecs))
      const newest = seqs.reduce((a, b) => (b.seq > a.seq ? b : a))
      outcomes.add(newest.members[0].bucketCount)
      if (!isSampled) return
      expect(await faultsOf(images)).toBe('')
      resizeDevice(devicesOf(images), '0', undefined, options(8))
      readAll(devicesOf(images))
      expect(faultsOn(devicesOf(images))).toEqual([])
    },
    STATES_PER_POINT,
  )
  expect([...outcomes].sort()).toEqual([384, 576])
})
