/** What is promised of disks holds in every state that is made, and every state that may be is made. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Random } from '@cowherd/fuzz'
import { describe, expect, test } from 'vitest'
import { cut, promises } from './cut.ts'
import { Image } from './image.ts'
import { Recording } from './recording.ts'

const SECTOR = 512
const STATES = 300

/** Sectors full of these numbers, one each. */
function sectors(...values: readonly number[]): Uint8Array {
  return Uint8Array.from({ length: values.length * SECTOR }, (_, i) => values[Math.floor(i / SECTOR)])
}

/** The first byte of each sector. */
function valuesOf(image: Image): string {
  const bytes = new Uint8Array(image.size)
  image.read(bytes, 0)
  return Array.from({ length: image.size / SECTOR }, (_, sector) => bytes[sector * SECTOR]).join('')
}

/** All that comes out at a point: what is on disk `disk`. */
function outcomes(recording: Recording, point: number, disk = 0): string[] {
  const all = Array.from({ length: STATES }, (_, i) => valuesOf(cut(recording, point, new Random(1, i))[disk]))
  return [...new Set(all)].sort()
}

function disks(count = 1, sectorCount = 2): Recording {
  return new Recording(Array.from({ length: count }, () => Image.empty(sectorCount * SECTOR)))
}

describe('after a cut', () => {
  test('what was written may be there by any sector', () => {
    const recording = disks()
    recording.devices[0].write(sectors(1, 1), 0)
    expect(outcomes(recording, 1)).toEqual(['00', '01', '10', '11'])
  })

  test('what was being written too', () => {
    const recording = disks()
    recording.devices[0].write(sectors(1, 1), 0)
    expect(outcomes(recording, 0)).toEqual(['00', '01', '10', '11'])
  })

  test('what was flushed is there', () => {
    const recording = disks()
    recording.devices[0].write(sectors(1, 1), 0)
    recording.devices[0].flush()
    recording.devices[0].write(sectors(2), 0)
    expect(outcomes(recording, 2)).toEqual(['11', '21'])
    expect(outcomes(recording, 3)).toEqual(['11', '21'])
    expect(outcomes(recording, 1)).toEqual(['00', '01', '10', '11']) // the flush had begun
  })

  test('an earlier write may be there where a later one is not, and the other way round', () => {
    const recording = disks()
    recording.devices[0].write(sectors(1), 0)
    recording.devices[0].write(sectors(1), SECTOR)
    expect(outcomes(recording, 2)).toEqual(['00', '01', '10', '11'])
  })

  test('of writes to one place any may be the last, but none before what was flushed', () => {
    const recording = disks()
    recording.devices[0].write(sectors(1), 0)
    recording.devices[0].flush()
    recording.devices[0].write(sectors(2), 0)
    recording.devices[0].write(sectors(3), 0)
    expect(outcomes(recording, 4)).toEqual(['10', '20', '30'])
  })

  test('what was written through is there, what came before it need not be', () => {
    const recording = disks()
    recording.devices[0].write(sectors(1), SECTOR)
    recording.devices[0].writeThrough(sectors(2), 0)
    expect(outcomes(recording, 2)).toEqual(['20', '21'])
    expect(outcomes(recording, 1)).toEqual(['00', '01', '20', '21'])
  })

  test('the flush of one disk says nothing of another', () => {
    const recording = disks(2)
    for (const device of recording.devices) device.write(sectors(1, 1), 0)
    recording.devices[0].flush()
    expect(outcomes(recording, 3, 0)).toEqual(['11'])
    expect(outcomes(recording, 3, 1)).toEqual(['00', '01', '10', '11'])
  })

  test('what was discarded may be anything, until it is written again', () => {
    const recording = disks()
    recording.devices[0].write(sectors(7, 7), 0)
    recording.devices[0].discard(0, SECTOR)
    recording.devices[0].flush()
    const found = outcomes(recording, 3)
    expect(found).toContain('77')
    expect(found).toContain('07')
    expect(found.length).toBeGreaterThan(10)
    recording.devices[0].write(sectors(1), 0)
    recording.devices[0].flush()
    expect(outcomes(recording, 5)).toEqual(['17'])
  })

  test('a seed gives the same again, and what was before stays as it was', () => {
    const recording = disks(1, 64)
    for (let i = 0; i < 32; i++) recording.devices[0].write(sectors(i % 10, i % 10), ((i * 7) % 63) * SECTOR)
    const again = () => valuesOf(cut(recording, 30, new Random(5))[0])
    expect(again()).toBe(again())
    expect(valuesOf(recording.before[0])).toBe('0'.repeat(64))
  })
})

test('points where something was promised', () => {
  const recording = disks()
  recording.devices[0].write(sectors(1), 0)
  recording.devices[0].writeThrough(sectors(1), 0)
  recording.devices[0].write(sectors(1), 0)
  recording.devices[0].flush()
  expect(promises(recording)).toEqual([0, 2, 4])
})

test('images: copies are their own, and files hold the same', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cowherd-image-'))
  try {
    const image = Image.empty(3 * 2 ** 20 + SECTOR)
    image.write(sectors(1, 2, 3), 2 ** 20 - SECTOR)
    image.write(sectors(9), image.size - SECTOR)
    const copy = image.copy()
    image.write(sectors(4), 2 ** 20)
    copy.write(sectors(5), 0)
    for (const [each, first, middle] of [[image, 0, 4] as const, [copy, 5, 2] as const]) {
      const path = join(folder, 'image')
      each.save(path)
      const bytes = readFileSync(path)
      expect([bytes.length, bytes[0], bytes[2 ** 20]]).toEqual([image.size, first, middle])
      expect([bytes[2 ** 20 - 1], bytes[2 ** 20 + SECTOR], bytes[image.size - 1]]).toEqual([1, 3, 9])
      expect(valuesOf(Image.load(path))).toBe(valuesOf(each))
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})
