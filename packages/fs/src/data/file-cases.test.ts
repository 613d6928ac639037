/** What file data has to do in cases of its own: little data, full volumes, crashes halfway, devices that fail. */

import { BtreeId, POS_MIN, type Database } from '@cowherd/db'
import { Random } from '@cowherd/fuzz'
import { DeviceError } from '@cowherd/shim'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EXTENT } from '../extents/extent-key.ts'
import { loadInode, storeInode } from '../inode-versions.ts'
import { INLINE_DATA } from '../key-types/inline-data.ts'
import { REFLINK_P } from '../key-types/reflink-p.ts'
import { RESERVATION } from '../key-types/reservation.ts'
import { Subvolumes } from '../subvolumes.ts'
import { FileData } from './file-data.ts'
import { expectSame, FileRig, type Setting, type Twin } from '../testing/file-rig.ts'

const KIB = 1024
const MIB = 2 ** 20

const noise = (bytes: number, seed = 1): Uint8Array => new Random(seed).fill(new Uint8Array(bytes))

function rigWith(count: number, setting: Setting = {}): { rig: FileRig; twins: Twin[] } {
  const rig = new FileRig(setting)
  rig.makeFiles(count)
  return { rig, twins: rig.twins }
}

/** Type and range of each extent. */
const shape = (rig: FileRig, { ref }: Twin): [type: number, start: number, end: number][] =>
  rig.extents(ref).map((key) => [key.type, key.start, key.offset])

const code = (name: string): unknown => expect.objectContaining({ code: name })

function settle(rig: FileRig): void {
  rig.compare()
  rig.reopen('crash')
  rig.compare()
  rig.db.close()
  rig.compareClosed()
  expect(rig.faults()).toEqual([])
}

describe('little data', () => {
  test('lies in the key, until it is more', () => {
    const { rig, twins } = rigWith(1)
    const [twin] = twins
    for (const size of [1, 300, 1024]) {
      rig.write(twin, 0, noise(size, size))
      expect(shape(rig, twin)).toEqual([[INLINE_DATA, 0, 8]])
      rig.compare()
    }
    rig.write(twin, 1024, noise(1))
    expect(shape(rig, twin)).toEqual([[EXTENT, 0, 8]])
    rig.resize(twin, 500)
    expect(shape(rig, twin)).toEqual([[INLINE_DATA, 0, 8]])
    rig.resize(twin, 100_000)
    rig.write(twin, 4090, noise(10))
    expect(shape(rig, twin)).toEqual([[EXTENT, 0, 16]])
    rig.write(twin, 100_000, noise(5))
    rig.resize(twin, 0)
    expect(shape(rig, twin)).toEqual([])
    rig.write(twin, 8192, noise(5))
    expect(shape(rig, twin)).toEqual([[INLINE_DATA, 16, 24]])
    rig.write(twin, 8192 + 4096, noise(5000))
    expect(shape(rig, twin).map(([type]) => type)).toEqual([INLINE_DATA, EXTENT])
    settle(rig)
  })

  test('is at most half a small block', () => {
    const { rig, twins } = rigWith(2, { blockBytes: 512 })
    rig.write(twins[0], 0, noise(256))
    rig.write(twins[1], 0, noise(257))
    expect(shape(rig, twins[0])).toEqual([[INLINE_DATA, 0, 1]])
    expect(shape(rig, twins[1])).toEqual([[EXTENT, 0, 1]])
    settle(rig)
  })

  test('and some is shared as a copy', () => {
    const { rig, twins } = rigWith(2)
    rig.write(twins[0], 0, noise(1000))
    rig.copy(twins[0], 0, twins[1], 0, 5000)
    expect(shape(rig, twins[1])).toEqual([[INLINE_DATA, 0, 8]])
    settle(rig)
  })
})

describe('extents', () => {
  test('of what is appended in small pieces become one', () => {
    const { rig, twins } = rigWith(1)
    for (let i = 0; i < 32; i++) rig.write(twins[0], i * 4096, noise(4096, i))
    expect(shape(rig, twins[0])).toEqual([
      [EXTENT, 0, 128],
      [EXTENT, 128, 256],
    ])
    settle(rig)
  })

  test('holes stay holes', () => {
    const { rig, twins } = rigWith(1)
    rig.write(twins[0], 4 * MIB + 10, noise(2000))
    rig.write(twins[0], MIB, noise(8192))
    rig.resize(twins[0], 8 * MIB)
    expect(shape(rig, twins[0])).toEqual([
      [EXTENT, 2048, 2064],
      [EXTENT, 8192, 8200],
    ])
    settle(rig)
  })

  test('of a file whose content is put when it is made', () => {
    const { rig, twins } = rigWith(2)
    twins.forEach(({ ref: { inodeHi: numberHi, inodeLo: numberLo } }, i) => {
      const inode = rig.fs.newInode()
      twins[i].bytes = noise(1000 + 4000 * i)
      rig.db.write((updates) => {
        loadInode(updates, rig.db.snapshots, { numberHi, numberLo }, 0xffffffff, inode)
        rig.data.fill(updates, inode, twins[i].bytes)
        storeInode(updates, inode)
      })
      rig.data.done()
    })
    expect(shape(rig, twins[0])).toEqual([[INLINE_DATA, 0, 8]])
    expect(shape(rig, twins[1])).toEqual([[EXTENT, 0, 16]])
    settle(rig)
  })

  test('one write of many megabytes', () => {
    const { rig, twins } = rigWith(1)
    rig.write(twins[0], 77, noise(9 * MIB))
    rig.write(twins[0], 2 * MIB, noise(3 * MIB + 5, 2))
    settle(rig)
  })
})

describe('who reads while others write', () => {
  test('sees what was written', () => {
    const { rig, twins } = rigWith(1)
    const [twin] = twins
    rig.write(twin, 0, noise(100 * KIB))
    const file = rig.fs.open(twin.ref)
    const read = (): Uint8Array => {
      const target = new Uint8Array(file.size)
      file.readFully(0, target)
      return target
    }
    const random = new Random(5)
    for (let i = 0; i < 40; i++) {
      expectSame(read(), twin.bytes, 'an open file')
      const place = random.below(twin.bytes.length + 10_000)
      if (random.chance(0.3)) rig.resize(twin, place)
      else rig.write(twin, place, noise(1 + random.below(20_000), i))
      expect(file.size).toBe(twin.bytes.length)
    }
    rig.copy(twin, 0, twin, MIB, 8192)
    expect(file.seekData(twin.bytes.length - 8192)).toBe(twin.bytes.length - 8192)
    expectSame(read(), twin.bytes, 'an open file')
  })
})

describe('promises of space', () => {
  test('fill holes, and reach behind the end', () => {
    const { rig, twins } = rigWith(1)
    const [twin] = twins
    rig.write(twin, 8192, noise(4096))
    rig.allocate(twin, 100, 100 * KIB, 'allocate-keep-size')
    expect(twin.bytes.length).toBe(12_288)
    expect(shape(rig, twin)).toEqual([
      [RESERVATION, 0, 16],
      [EXTENT, 16, 24],
      [RESERVATION, 24, 208],
    ])
    expect(rig.db.usage.promisedSectors).toBe(200)
    rig.allocate(twin, 200 * KIB, 10, 'allocate')
    rig.write(twin, 0, noise(100 * KIB, 3))
    expect(rig.db.usage.promisedSectors).toBe(8 + 8)
    rig.allocate(twin, 5000, 50_000, 'zero-range')
    rig.compare()
    rig.resize(twin, 0)
    expect(rig.db.usage.promisedSectors).toBe(0)
    settle(rig)
  })

  test('are for as many copies as the file is to have', () => {
    const { rig, twins } = rigWith(1, { devices: 2, options: { dataReplicas: 2, metadataReplicas: 2 } })
    rig.allocate(twins[0], 0, 64 * KIB, 'allocate')
    expect(rig.db.usage.promisedSectors).toBe(256)
    settle(rig)
  })
})

describe('sharing', () => {
  test('takes no space, and comes to an end', () => {
    const { rig, twins } = rigWith(3)
    const [source, first, second] = twins
    rig.write(source, 0, noise(3 * MIB))
    const used = rig.db.usage.copiesSectors(4)
    rig.copy(source, 0, first, 0, 4 * MIB)
    rig.copy(first, MIB, second, 64 * KIB, MIB)
    expect(rig.db.usage.copiesSectors(4)).toBe(used)
    expect(shape(rig, first).every(([type]) => type === REFLINK_P)).toBe(true)
    rig.write(first, 100_000, noise(5000, 2))
    rig.write(source, 0, noise(2 * MIB, 3))
    rig.compare()
    expect(rig.faults()).toEqual([])
    for (const twin of twins) rig.resize(twin, 0)
    expect(rig.db.cursor(BtreeId.reflink).seek(POS_MIN)).toBe(false)
    expect(rig.db.usage.copiesSectors(4)).toBe(0)
    settle(rig)
  })

  test('within a file, of its end, and of what lies askew', () => {
    const { rig, twins } = rigWith(2)
    rig.write(twins[0], 0, noise(100_001))
    rig.copy(twins[0], 0, twins[0], 128 * KIB, 64 * KIB)
    rig.copy(twins[0], 64 * KIB, twins[1], 0, 200_000)
    rig.copy(twins[0], 1000, twins[1], 30_000, 50_000)
    expect(() => rig.data.copyRange(twins[0].ref, 0, twins[0].ref, 4096, 8192)).toThrow(code('EINVAL'))
    expect(rig.data.copyRange(twins[0].ref, 1 << 30, twins[1].ref, 0, 100)).toBe(0)
    settle(rig)
  })
})

describe('a full volume', () => {
  function fill(rig: FileRig, twin: Twin): void {
    for (let piece = MIB; piece >= 4096; piece /= 2) {
      try {
        for (;;) rig.write(twin, twin.bytes.length, noise(piece, twin.bytes.length + 1))
      } catch (error) {
        expect(error).toEqual(code('ENOSPC'))
      }
    }
  }

  test('takes no more, but what is there can be changed', () => {
    const { rig, twins } = rigWith(3, { bytes: 32 * MIB })
    const [promised, big, other] = twins
    rig.allocate(promised, 0, MIB, 'allocate')
    fill(rig, big)
    expect(big.bytes.length).toBeGreaterThan(12 * MIB)
    const inode = rig.fs.newInode()
    rig.fs.getattr(other.ref, inode)
    const before = inode.ctimeNanoseconds
    expect(() => rig.write(other, 0, noise(8192))).toThrow(code('ENOSPC'))
    expect(() => rig.allocate(other, 0, MIB, 'allocate')).toThrow(code('ENOSPC'))
    rig.fs.getattr(other.ref, inode)
    expect([inode.size, inode.sectors, inode.ctimeNanoseconds]).toEqual([0, 0, before])

    rig.write(big, 64 * KIB, noise(128 * KIB, 9))
    rig.write(promised, 100, noise(500 * KIB, 9))
    rig.resize(big, big.bytes.length - 100)
    rig.allocate(other, 0, 8 * MIB, 'zero-range')
    expect(shape(rig, other)).toEqual([])
    rig.compare()
    rig.resize(big, 0)
    rig.write(other, 0, noise(MIB))
    settle(rig)
  })

  test('what can be compressed counts as if it could not', () => {
    const { rig, twins } = rigWith(1, { bytes: 32 * MIB, options: { compression: { type: 'lz4', level: 0 } } })
    rig.write(twins[0], 0, new Uint8Array(10 * MIB))
    rig.write(twins[0], 10 * MIB, new Uint8Array(10 * MIB))
    rig.write(twins[0], 0, new Uint8Array(15 * MIB))
    settle(rig)
  })
})

describe('limits', () => {
  test('no file is larger than there are exact numbers for', () => {
    const { rig, twins } = rigWith(1)
    const { ref } = twins[0]
    expect(() => rig.data.write(ref, 2 ** 53 - 10, noise(5))).toThrow(code('EFBIG'))
    expect(() => rig.data.resize(ref, 2 ** 53)).toThrow(code('EFBIG'))
    expect(() => rig.data.allocate(ref, 2 ** 53 - 10, 5, 'allocate')).toThrow(code('EFBIG'))
    expect(() => rig.data.allocate(ref, 0, 0, 'allocate')).toThrow(code('EINVAL'))
    rig.data.resize(ref, 2 ** 53 - 2 ** 20)
    rig.data.write(ref, 2 ** 52, noise(100))
    rig.data.allocate(ref, 2 ** 52 + 4096, 2 ** 40, 'punch-hole')
    rig.resize(twins[0], 5)
    settle(rig)
  })

  test('only regular files, only where it may be written', () => {
    const { rig } = rigWith(1)
    expect(() => rig.data.write(rig.fs.root, 0, noise(5))).toThrow(code('EISDIR'))
    const readOnly = { view: (id: number) => ({ ...new Subvolumes(rig.db, rig.fs.times).view(id), readOnly: true }) }
    const data = new FileData(rig.db, readOnly, rig.fs.times, { touch: () => undefined })
    expect(() => data.write(rig.twins[0].ref, 0, noise(5))).toThrow(code('EROFS'))
  })
})

describe('a crash while a file is cut', () => {
  /** The database, which is there for so many transactions only. */
  function dying(db: Database, transactions: number): Database {
    let left = transactions
    const write: Database['write'] = (change, options) => {
      if (left-- === 0) throw new Error('a crash, as the test wants it')
      return db.write(change, options)
    }
    return new Proxy(db, {
      get: (target, name): unknown => {
        const value: unknown = name === 'write' ? write : Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }

  test.each([1, 2, 4])('after %i transactions', (transactions) => {
    const { rig, twins } = rigWith(1)
    const [twin] = twins
    for (let i = 0; i < 300; i++) rig.write(twin, i * 8192, noise(4096, i))
    const { db } = rig
    const data = new FileData(dying(db, transactions), new Subvolumes(db, rig.fs.times), rig.fs.times, {
      touch: () => undefined,
    })
    expect(() => data.resize(twin.ref, 8192 * 20 + 100)).toThrow('a crash')
    twin.bytes = twin.bytes.slice(0, 8192 * 20 + 100)
    rig.reopen('crash')
    rig.compare()
    expect(shape(rig, twin).length).toBe(21)
    settle(rig)
  })
})

describe('devices that fail', () => {
  test('a bad block is not made worse', () => {
    const { rig, twins } = rigWith(1)
    rig.write(twins[0], 0, noise(128 * KIB))
    rig.disks[0].set(
      new Uint8Array(16),
      rig.disks[0].findIndex((_, i) => isAt(rig.disks[0], twins[0].bytes, i)),
    )
    expect(() => rig.data.write(twins[0].ref, 100, noise(10))).toThrow(code('EIO'))
    rig.write(twins[0], 0, noise(64 * KIB, 4))
    settle(rig)
  })

  test('the other copy is used', () => {
    const rig = new FileRig({ devices: 3, options: { dataReplicas: 2, metadataReplicas: 2 } })
    rig.makeFiles(1)
    rig.write(rig.twins[0], 0, noise(MIB))
    let isBroken = false
    rig.wrap = (device) => ({
      ...device,
      write: (source, offset) => {
        if (isBroken && device.name === 'disk 1' && source.length >= 64 * KIB) {
          throw new DeviceError('EIO', device.name, 'failed for a test')
        }
        device.write(source, offset)
      },
    })
    rig.reopen('clean')
    isBroken = true
    for (let i = 0; i < 8; i++) rig.write(rig.twins[0], i * 300 * KIB, noise(300 * KIB, i))
    isBroken = false
    settle(rig)
  })
})

function isAt(disk: Uint8Array, bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < 64; i++) if (disk[at + i] !== bytes[i]) return false
  return true
}

describe('as a property', () => {
  const place = fc.oneof(
    fc.nat(40),
    fc.nat(20_000),
    fc.nat(20).map((block) => block * 4096),
  )
  const change = fc.oneof(
    fc.record({ what: fc.constant('write' as const), place, length: place, seed: fc.nat(1000) }),
    fc.record({ what: fc.constant('resize' as const), place }),
    fc.record({
      what: fc.constantFrom('allocate', 'allocate-keep-size', 'punch-hole', 'zero-range', 'zero-range-keep-size'),
      place,
      length: place,
    }),
    fc.record({ what: fc.constant('copy' as const), from: place, place, length: place }),
  )

  test.each<[string, Setting]>([
    ['blocks of 4 KiB', {}],
    ['blocks of 512 bytes, without checksum', { blockBytes: 512, options: { dataChecksum: 'none' } }],
    ['lz4', { options: { compression: { type: 'lz4', level: 0 } } }],
  ])('any changes: %s', (_, setting) => {
    const { rig } = rigWith(0, setting)
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 25 }), (changes) => {
        rig.makeFiles(1)
        const twin = rig.twins[rig.twins.length - 1]
        for (const each of changes) {
          if (each.what === 'write') rig.write(twin, each.place, noise(each.length, each.seed))
          else if (each.what === 'resize') rig.resize(twin, each.place)
          else if (each.what !== 'copy') rig.allocate(twin, each.place, each.length + 1, each.what)
          else if (Math.abs(each.from - each.place) >= each.length) {
            rig.copy(twin, each.from, twin, each.place, each.length)
          }
        }
        const kept = rig.twins
        rig.twins = [twin]
        rig.compare()
        rig.twins = kept
      }),
      { numRuns: 60 },
    )
    settle(rig)
  })
})
