import { describe, expect, test, vi } from 'vitest'
import fc from 'fast-check'
import { BtreeId } from '@cowherd/db'
import { openFileSystem } from './file-system.ts'
import { NodeRef } from './node-ref.ts'
import type { ByteRange, OpenFile } from './open-file.ts'
import { MemoryVolume, TOP, patternByte } from './testing/memory-volume.ts'

const FILE = 5000
const REF = NodeRef.of(1, 0, FILE)

function volumeWith(size: number, mode = 0o100644): MemoryVolume {
  return new MemoryVolume()
    .putSubvolume(1, TOP, 4096)
    .putInode(4096, { mode: 0o40755 })
    .putInode(FILE, { mode, size: BigInt(size) })
}

function open(volume: MemoryVolume): OpenFile {
  return openFileSystem(volume).open(REF, 'the file')
}

function whole(file: OpenFile): Uint8Array {
  const target = new Uint8Array(file.size).fill(0xee)
  expect(file.read(0, target)).toBe(file.size)
  return target
}

/** Far quicker than comparing element by element. */
function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

function reflinkP(index: number): Uint8Array {
  const value = new Uint8Array(16)
  new DataView(value.buffer).setBigUint64(0, BigInt(index), true)
  return value
}

function shared(number: number): Uint8Array {
  const value = new Uint8Array(16)
  new DataView(value.buffer).setUint32(8, number, true)
  return value
}

test('extents, holes, reservations, inline data', () => {
  const volume = volumeWith(64 * 512)
    .putExtent(FILE, 8, 8, 1)
    .put(BtreeId.extents, { type: 7, inode: FILE, offset: 24, snapshot: TOP, size: 8, value: '00000000 01000000' })
    .put(BtreeId.extents, { type: 17, inode: FILE, offset: 40, snapshot: TOP, size: 8, value: '4c61616161616100' })
    .putExtent(FILE + 1, 48, 8, 2)
  const bytes = whole(open(volume))
  const expected = new Uint8Array(64 * 512)
  for (let i = 0; i < 8 * 512; i++) expected[i] = patternByte(1, i)
  expected.set([0x4c, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61], 32 * 512)
  expect(same(bytes, expected)).toBe(true)
})

test('a closed file can not be read, and the next one takes its memory', () => {
  const volume = volumeWith(16 * 512)
    .putExtent(FILE, 8, 8, 1)
    .putExtent(FILE, 16, 8, 2)
  volume.putInode(FILE + 1, { mode: 0o100644, size: 4096n }).putExtent(FILE + 1, 8, 8, 3)
  const cursors = vi.spyOn(volume, 'snapshotCursor')
  const fs = openFileSystem(volume)
  const [first, other] = [fs.open(REF), fs.open(NodeRef.of(1, 0, FILE + 1))]
  const both = [whole(first), whole(other)]
  const before = cursors.mock.calls.length
  first.close()
  first.close()
  const again = fs.open(NodeRef.of(1, 0, FILE + 1))
  expect(cursors.mock.calls.length).toBe(before)
  expect(same(whole(again), both[1])).toBe(true)
  expect(() => first.read(0, new Uint8Array(1))).toThrow('the file is closed')
  expect(() => first.seekData(0)).toThrow('the file is closed')
  expect(same(whole(other), both[1])).toBe(true) // which is still open, and has a cursor of its own
  expect(same(whole(fs.open(REF)), both[0])).toBe(true)
})

test('bytes at and past the end are never returned', () => {
  const file = open(volumeWith(1000).putExtent(FILE, 8, 8, 1))
  expect(file.read(990, new Uint8Array(100))).toBe(10)
  expect(file.read(1000, new Uint8Array(100))).toBe(0)
  expect(file.read(5000, new Uint8Array(100))).toBe(0)
  expect(file.read(0, new Uint8Array(0))).toBe(0)
})

test('shared data: one key over several, inline, missing', () => {
  const volume = volumeWith(40 * 512)
    .put(BtreeId.extents, { type: 15, inode: FILE, offset: 24, snapshot: TOP, size: 24, value: reflinkP(104) })
    .put(BtreeId.extents, { type: 15, inode: FILE, offset: 32, snapshot: TOP, size: 8, value: reflinkP(200) })
    .put(BtreeId.extents, { type: 15, inode: FILE, offset: 40, snapshot: TOP, size: 8, value: reflinkP(300) })
    .put(BtreeId.reflink, { type: 16, offset: 116, size: 16, value: shared(1) })
    .put(BtreeId.reflink, { type: 16, offset: 132, size: 16, value: shared(2) })
    .put(BtreeId.reflink, { type: 19, offset: 208, size: 8, value: '0100000000000000 6869000000000000' })
  const file = open(volume)
  const target = new Uint8Array(40 * 512)
  expect(file.read(0, target)).toBe(32 * 512)
  const pattern = Uint8Array.from({ length: 24 * 512 }, (_, i) =>
    i < 12 * 512 ? patternByte(1, 4 * 512 + i) : patternByte(2, i - 12 * 512),
  )
  expect(same(target.subarray(0, 24 * 512), pattern)).toBe(true)
  expect(target.subarray(24 * 512, 24 * 512 + 4)).toEqual(Uint8Array.of(0x68, 0x69, 0, 0))
  expect(() => file.read(32 * 512, target)).toThrow('the file: refers to shared sector 300, which is missing')
})

test('what can be read before the damage is read', () => {
  const volume = volumeWith(32 * 512)
    .putExtent(FILE, 8, 8, 1)
    .put(BtreeId.extents, { type: 2, inode: FILE, offset: 16, snapshot: TOP, size: 8 })
    .putExtent(FILE, 24, 8, 2)
    .putExtent(FILE, 32, 8, 3)
  volume.damaged.add(2)
  const file = open(volume)
  const target = new Uint8Array(32 * 512)
  expect(file.read(0, target)).toBe(8 * 512)
  expect(() => file.read(8 * 512, target)).toThrow('lost')
  expect(() => file.read(20 * 512, target)).toThrow('damaged')
  expect(file.read(24 * 512, target)).toBe(8 * 512)
  // all or nothing
  expect(() => file.readFully(0, target)).toThrow('lost')
  expect(file.readFully(0, target.subarray(0, 8 * 512))).toBe(8 * 512)
  expect(file.readFully(28 * 512, target)).toBe(4 * 512)
  expect(file.readFully(40 * 512, target)).toBe(0)
})

test('overlapping extents and keys of unknown types are damage', () => {
  const overlapping = open(
    volumeWith(16 * 512)
      .putExtent(FILE, 8, 8, 1)
      .putExtent(FILE, 12, 8, 2),
  )
  const target = new Uint8Array(16 * 512)
  expect(overlapping.read(0, target)).toBe(8 * 512)
  const unknown = open(
    volumeWith(512).put(BtreeId.extents, { type: 99, inode: FILE, offset: 8, snapshot: TOP, size: 8 }),
  )
  expect(() => unknown.read(0, target)).toThrow('unknown type 99')
})

test('only regular files are opened', () => {
  expect(() => open(volumeWith(0, 0o40755))).toThrow(expect.objectContaining({ code: 'EISDIR' }))
  expect(() => open(volumeWith(0, 0o10644))).toThrow(expect.objectContaining({ code: 'EINVAL' }))
})

describe('any layout', () => {
  const pieces = fc.array(
    fc.record({
      kind: fc.constantFrom('hole', 'extent', 'reservation', 'inline', 'reflink'),
      sectors: fc.integer({ min: 1, max: 12 }),
    }),
    { maxLength: 12 },
  )
  const layouts = fc.record({ pieces, cutBytes: fc.nat(3000), startSector: fc.constantFrom(0, 3, 0x1_0000_0005) })

  function build({ pieces: list, cutBytes, startSector }: typeof layouts extends fc.Arbitrary<infer T> ? T : never): {
    file: OpenFile
    base: number
    model: Uint8Array
    data: boolean[]
  } {
    const total = list.reduce((sum, piece) => sum + piece.sectors, 0)
    const length = Math.max(0, total * 512 - cutBytes)
    const base = startSector * 512
    const volume = volumeWith(base + length)
    const model = new Uint8Array(total * 512)
    const data: boolean[] = []
    let sector = 0
    list.forEach(({ kind, sectors }, number) => {
      const end = startSector + sector + sectors
      const at = { inode: FILE, offset: end, snapshot: TOP, size: sectors }
      const fill = (byte: (i: number) => number): void => {
        for (let i = 0; i < sectors * 512; i++) model[sector * 512 + i] = byte(i)
      }
      if (kind === 'extent') {
        volume.putExtent(FILE, end, sectors, number)
        fill((i) => patternByte(number, i))
      } else if (kind === 'reservation') {
        volume.put(BtreeId.extents, { ...at, type: 7, value: '00000000 01000000' })
      } else if (kind === 'inline') {
        volume.put(BtreeId.extents, { ...at, type: 17, value: '0102030405060708' })
        fill((i) => (i < 8 ? i + 1 : 0))
      } else if (kind === 'reflink') {
        // Two shared extents with the boundary inside, and room around them.
        const middle = 100 * (number + 1) + Math.ceil(sectors / 2)
        volume
          .put(BtreeId.extents, { ...at, type: 15, value: reflinkP(100 * (number + 1)) })
          .put(BtreeId.reflink, {
            type: 16,
            offset: middle,
            size: middle - 100 * (number + 1) + 3,
            value: shared(number),
          })
          .put(BtreeId.reflink, { type: 16, offset: middle + 20, size: 20, value: shared(number + 50) })
        const half = Math.ceil(sectors / 2) * 512
        fill((i) => (i < half ? patternByte(number, i + 3 * 512) : patternByte(number + 50, i - half)))
      }
      for (let i = 0; i < sectors; i++) data.push(kind !== 'hole' && kind !== 'reservation')
      sector += sectors
    })
    return { file: open(volume), base, model: model.slice(0, length), data: data.slice(0, Math.ceil(length / 512)) }
  }

  test('reads in any order and size give the same bytes', () => {
    const reads = fc.array(fc.tuple(fc.nat(50000), fc.nat(9000)), { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(layouts, reads, (layout, places) => {
        const { file, base, model } = build(layout)
        for (const [at, length] of places) {
          const target = new Uint8Array(length).fill(0xee)
          const count = file.read(base + at, target)
          expect(count).toBe(Math.max(0, Math.min(length, model.length - at)))
          expect(same(target.subarray(0, count), model.subarray(at, at + count))).toBe(true)
        }
        let offset = 0
        const piece = new Uint8Array(700)
        while (offset < model.length) {
          const count = file.read(base + offset, piece)
          expect(same(piece.subarray(0, count), model.subarray(offset, offset + count))).toBe(true)
          offset += count
        }
      }),
    )
  })

  test('data and holes are where they were put', () => {
    fc.assert(
      fc.property(layouts, (layout) => {
        const { file, base, model, data } = build(layout)
        const found = new Array<boolean>(data.length).fill(false)
        const range: ByteRange = { start: 0, end: 0 }
        for (let at = 0; file.nextData(at, range); at = range.end) {
          expect(range.end).toBeGreaterThan(range.start)
          expect(range.start).toBeGreaterThanOrEqual(base)
          for (let byte = range.start; byte < range.end; byte += 512) found[(byte - base) / 512] = true
        }
        expect(found).toEqual(data)
        data.forEach((isData, sector) => {
          const at = base + sector * 512 + Math.min(100, model.length - sector * 512 - 1)
          if (isData) expect(file.seekData(at)).toBe(at)
          else expect(file.seekHole(at)).toBe(at)
        })
        expect(file.seekHole(base + model.length)).toBe(base + model.length)
      }),
    )
  })
})
