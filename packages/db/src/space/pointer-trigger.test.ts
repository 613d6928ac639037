import { hexText } from '@cowherd/kernel-lib'
import { describe, expect, test } from 'vitest'
import { bpos, SPOS_MAX } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import { DataType } from '../data-types.ts'
import { KeyError } from '../errors.ts'
import { backpointer } from '../key-types/backpointer.ts'
import { Key, KEY_BYTES, KEY_POS_AT } from '../key.ts'
import { entryBytes, extentOf, nodePointerOf } from '../testing/extents.ts'
import { keyOf } from '../testing/keys.ts'
import { SpaceFixture } from '../testing/space-fixture.ts'
import { CounterName } from './counter-name.ts'

const name = new CounterName()
const LZ4 = 3
const INCOMPRESSIBLE = 5

const replicasUser = (devices: number[], required = 1): Uint32Array =>
  name.replicas(DataType.user, required, Uint8Array.from(devices), devices.length).slice()

/** Puts a generation and what goes with it on a bucket that is free. */
function setGen(fixture: SpaceFixture, device: number, bucket: number, gen: number): void {
  fixture.commit(({ space, updates }) => {
    const { new: now } = space.change(updates, device, bucket)
    now.gen = now.oldestGen = gen
  })
}

describe('a deleted extent with two copies (format chapter 4, 4.5.7)', () => {
  const SECTOR = 113 * 512
  const key = extentOf({ inode: 4104, offset: 9768, size: 40 }, [
    { compressed: 8, uncompressed: 40, compression: LZ4 },
    { device: 0, sector: SECTOR },
    { device: 1, sector: SECTOR },
  ])
  const fixture = new SpaceFixture()
  fixture.open.add('0:113').add('1:113')
  fixture.updates.seq = 23
  fixture.commit((each) => each.changeKey(undefined, key))
  const before = fixture.updates.copy()

  test('is there at first', () => {
    const bucket = fixture.bucket(0, 113)
    expect(bucket).toMatchObject({ dataType: DataType.user, dirtySectors: 8, journalSeqLo: 24, gen: 0 })
    expect(bucket).toMatchObject({ needDiscard: true, needIncGen: true, readTimeLo: 100, writeTimeLo: 1100 })
    expect(fixture.positions(BtreeId.backpointers)).toEqual([`0:${SECTOR * 1024}:0`, `1:${SECTOR * 1024}:0`])
    // floor(8 * 2^31 / 512), in front of it the list
    const inode = (0xffffn << 48n) | ((8n << 31n) / 512n)
    expect(fixture.positions(BtreeId.lru)).toEqual([`${inode}:113:0`, `${inode}:${(1n << 48n) + 113n}:0`])
  })

  test('leaves what the journal of the reference says', () => {
    fixture.updates.seq = 30
    fixture.commit((each) => each.changeKey(key, undefined))
    for (const device of [0, 1]) {
      expect(fixture.bucket(device, 113)).toMatchObject({
        ...{ dataType: DataType.needDiscard, dirtySectors: 0, journalSeqLo: 31, gen: 0, needIncGen: true },
      })
    }
    expect(fixture.positions(BtreeId.needDiscard)).toEqual(['0:113:0', '1:113:0'])
    expect(fixture.positions(BtreeId.backpointers)).toEqual([])
    expect(fixture.positions(BtreeId.lru)).toEqual([])
    const delta = (pos: Uint32Array): number[] => {
      const old = new Key()
      const there = before.get(BtreeId.accounting, pos, old)
      return fixture
        .counters(pos)
        .map((each, i) => each - (there ? Number(old.view.getBigInt64(KEY_BYTES + 8 * i, true)) : 0))
    }
    expect(delta(replicasUser([0, 1]))).toEqual([-16])
    expect(delta(name.snapshot(0xffffffff))).toEqual([-16])
    expect(delta(name.compression(LZ4))).toEqual([-1, -80, -16])
    expect(delta(name.inum(0, 4104))).toEqual([-1, -40, -16])
    for (const device of [0, 1]) {
      expect(delta(name.deviceDataType(device, DataType.user))).toEqual([-1, -8, -504])
      expect(delta(name.deviceDataType(device, DataType.needDiscard))).toEqual([1, 0, 0])
      expect(delta(name.deviceDataType(device, DataType.free))).toEqual([0, 0, 0])
    }
  })
})

describe('back pointers', () => {
  const valueAt = (fixture: SpaceFixture, device: number, offset: number): string => {
    const key = new Key()
    expect(fixture.updates.get(BtreeId.backpointers, bpos(device, offset), key)).toBe(true)
    expect(backpointer.check?.(key, { btree: BtreeId.backpointers, level: 0 }, fixture.shape)).toBeUndefined()
    return hexText(key.value)
  }

  test('are those of the format chapter (4.3.6)', () => {
    const fixture = new SpaceFixture()
    fixture.commit((each) => {
      each.changeKey(
        undefined,
        extentOf({ inode: 0x1002, offset: 128, size: 128 }, [{ device: 0, sector: 20 * 512 + 368 }]),
      )
      each.changeKey(
        undefined,
        extentOf({ inode: 4109, offset: 256, size: 96 }, [
          { compressed: 128, uncompressed: 128, offset: 32 },
          { device: 1, sector: 45 * 512 + 384 },
        ]),
      )
      each.changeKey(undefined, nodePointerOf(SPOS_MAX, [{ device: 1, sector: 8704 }]), BtreeId.backpointers, 1)
    })
    expect(valueAt(fixture, 0, 0xa5c000)).toBe('00000400c005000080000000ffffffff80000000000000000210000000000000')
    expect(valueAt(fixture, 1, 23986208)).toBe('000004200006000060000000ffffffff00010000000000000d10000000000000')
    // nodes of these devices have 256 sectors
    expect(valueAt(fixture, 1, 8912896)).toBe('0d0103000000000000010000ffffffffffffffffffffffffffffffffffffffff')
    expect(fixture.counters(name.btree(BtreeId.backpointers))).toEqual([256])
    expect(fixture.bucket(1, 17)).toMatchObject({ dataType: DataType.btree, dirtySectors: 256 })
  })

  test.each([false, true])('are left to a key that takes them over (it comes first: %s)', (isFirst) => {
    const fixture = new SpaceFixture()
    const entries = [
      { compressed: 64, uncompressed: 64 },
      { device: 0, sector: 5 * 512 },
    ] as const
    const whole = extentOf({ inode: 1, offset: 64, size: 64 }, entries)
    const front = extentOf({ inode: 1, offset: 16, size: 16 }, entries)
    const back = extentOf({ inode: 1, offset: 64, size: 32 }, [{ ...entries[0], offset: 32 }, entries[1]])
    fixture.commit((each) => each.changeKey(undefined, whole))
    fixture.commit((each) => {
      if (isFirst) each.changeKey(undefined, front)
      each.changeKey(whole, back)
      if (!isFirst) each.changeKey(undefined, front)
    })
    expect(fixture.positions(BtreeId.backpointers)).toEqual([`0:${5 * 512 * 1024}:0`, `0:${5 * 512 * 1024 + 32}:0`])
    expect(valueAt(fixture, 0, 5 * 512 * 1024).slice(24)).toBe('ffffffff10000000000000000100000000000000')
    expect(fixture.bucket(0, 5).dirtySectors).toBe(48)
    fixture.commit((each) => {
      each.changeKey(front, undefined)
      each.changeKey(back, undefined)
    })
    expect(fixture.positions(BtreeId.backpointers)).toEqual([])
    expect(fixture.bucket(0, 5)).toMatchObject({ gen: 1, dataType: DataType.needDiscard, needIncGen: false })
  })

  test('tell a root from the last node below it', () => {
    const fixture = new SpaceFixture()
    const places = (sector: number) => [{ device: 0, sector }]
    fixture.commit((each) => {
      each.changeKey(undefined, nodePointerOf(SPOS_MAX, places(5120)), BtreeId.extents, 1)
      each.changeKey(undefined, nodePointerOf(SPOS_MAX, places(5376)), BtreeId.extents, 2)
    })
    fixture.commit((each) => each.changeKey(nodePointerOf(SPOS_MAX, places(5120)), undefined, BtreeId.extents, 1))
    expect(fixture.positions(BtreeId.backpointers)).toEqual([`0:${5376 * 1024}:0`])
  })
})

describe('pointers', () => {
  test('that stay as they are change nothing', () => {
    const fixture = new SpaceFixture()
    const old = nodePointerOf(bpos(5, 6, 7), [{ device: 0, sector: 1024 }])
    const now = nodePointerOf(bpos(5, 6, 7), [{ device: 0, sector: 1024 }])
    now.bytes[KEY_BYTES + 16] = 8 // sectors_written
    fixture.commit((each) => each.changeKey(undefined, old, BtreeId.inodes, 1))
    const before = fixture.state
    fixture.commit((each) => each.changeKey(old, now, BtreeId.inodes, 1))
    expect(fixture.state).toEqual(before)
  })

  test('of other keys are none', () => {
    const fixture = new SpaceFixture()
    const before = fixture.state
    fixture.commit((each) =>
      each.changeKey(keyOf({ type: 17, offset: 8, size: 8 }), keyOf({ type: 2, offset: 8, size: 8 })),
    )
    expect(fixture.state).toEqual(before)
  })

  test('that are cached count as such, and become so', () => {
    const fixture = new SpaceFixture()
    const key = (cached: boolean): Key =>
      extentOf({ inode: 1, offset: 8, size: 8 }, [
        { device: 0, sector: 1024, cached },
        { device: 1, sector: 1024 },
      ])
    fixture.commit((each) => each.changeKey(undefined, key(false)))
    expect(fixture.counters(replicasUser([0, 1]))).toEqual([16])
    fixture.clock = 7
    fixture.commit((each) => each.changeKey(key(false), key(true)))
    expect(fixture.bucket(0, 2)).toMatchObject({ dataType: DataType.cached, dirtySectors: 0, cachedSectors: 8, gen: 0 })
    expect(fixture.positions(BtreeId.backpointers)).toEqual([`1:${1024 * 1024}:0`])
    // the number of sectors is what it was, so the time is too
    expect(fixture.positions(BtreeId.lru)[0]).toBe('100:2:0')
    expect(fixture.counters(replicasUser([0, 1]))).toEqual([0])
    expect(fixture.counters(replicasUser([1]))).toEqual([8])
    expect(fixture.counters(name.cached(0))).toEqual([8])
    expect(fixture.counters(name.inum(0, 1))).toEqual([1, 8, 8])
  })

  test('that are stale count nowhere', () => {
    const fixture = new SpaceFixture()
    setGen(fixture, 0, 2, 3)
    const before = fixture.state
    const stale = { device: 0, sector: 1024, gen: 2, cached: true }
    const key = extentOf({ inode: 1, offset: 8, size: 8 }, [
      { compressed: 4, uncompressed: 8, compression: LZ4 },
      stale,
    ])
    fixture.commit((each) => each.changeKey(undefined, key))
    expect(fixture.bucket(0, 2)).toMatchObject({ dataType: DataType.free, cachedSectors: 0 })
    expect(fixture.counters(name.inum(0, 1))).toEqual([1, 8, 0])
    expect(fixture.counters(name.compression(LZ4))).toEqual([])
    fixture.commit((each) => each.changeKey(key, undefined))
    expect(fixture.state).toEqual(before)
  })

  test('to a device that is gone count without one', () => {
    const fixture = new SpaceFixture()
    const key = extentOf({ inode: 1, offset: 8, size: 8 }, [
      { device: 255, sector: 1024 },
      { device: 1, sector: 1024 },
    ])
    fixture.commit((each) => each.changeKey(undefined, key))
    expect(fixture.positions(BtreeId.backpointers)).toEqual([`1:${1024 * 1024}:0`])
    expect(fixture.counters(replicasUser([1, 255]))).toEqual([16])
    const lost = extentOf({ inode: 2, offset: 8, size: 8 }, [{ device: 9, sector: 1024 }])
    expect(() => fixture.commit((each) => each.changeKey(lost, undefined))).not.toThrow()
    expect(() => fixture.commit((each) => each.changeKey(undefined, lost))).toThrow(
      /extents.* 2:8:U32_MAX: ptr_to_invalid_device: 9/,
    )
  })

  test('count each run of a compression type once, of what is stored', () => {
    const fixture = new SpaceFixture()
    const key = extentOf({ inode: 1, offset: 40, size: 40, snapshot: 5 }, [
      { compressed: 8, uncompressed: 128, offset: 3, compression: LZ4 },
      { device: 0, sector: 1024 },
      { compressed: 40, uncompressed: 40, compression: INCOMPRESSIBLE },
      { device: 1, sector: 1024 },
    ])
    fixture.commit((each) => each.changeKey(undefined, key))
    expect(fixture.counters(name.compression(LZ4))).toEqual([1, 128, 8])
    expect(fixture.counters(name.compression(INCOMPRESSIBLE))).toEqual([1, 40, 40])
    expect(fixture.bucket(0, 2).dirtySectors).toBe(3) // ceil(40 * 8 / 128)
    expect(fixture.counters(name.snapshot(5))).toEqual([43])
    expect(fixture.counters(name.inum(0, 1))).toEqual([1, 40, 43])
  })

  test('of shared extents belong to no inode and no snapshot', () => {
    const fixture = new SpaceFixture()
    const value = new Uint8Array([...new Uint8Array(8), ...entryBytes([{ device: 0, sector: 1024 }])])
    const key = new Key().make(16, bpos(0, 8), value, 8)
    fixture.commit((each) => each.changeKey(undefined, key, BtreeId.reflink))
    expect(fixture.counters(name.inum(0, 0))).toEqual([1, 8, 8])
    const changed = new Key().make(16, bpos(0, 8), Uint8Array.from(value).fill(2, 0, 1), 8)
    const before = fixture.state
    fixture.commit((each) => each.changeKey(key, changed, BtreeId.reflink)) // the number of references
    expect(fixture.state).toEqual(before)
  })
})

describe('what the buckets contradict is refused, with nothing changed:', () => {
  const extent = (gen: number, cached = false): Key =>
    extentOf({ inode: 1, offset: 8, size: 8 }, [
      { device: 1, sector: 2048 },
      { device: 0, sector: 1024, gen, cached },
    ])

  test.each([
    ['a stale pointer', 5, extent(4), /stale_dirty_ptr: 0:2 gen 4, the bucket's is 5/],
    ['one newer than its bucket', 5, extent(6, true), /ptr_gen_newer_than_bucket_gen/],
    ['one much too old', 100, extent(3, true), /ptr_too_stale/],
    ['more than a key can have', 0, extentOf({ inode: 1, offset: 8, size: 8 }, []), /extent_ptrs_no_ptrs/],
    [
      'one behind the device',
      0,
      extentOf({ inode: 1, offset: 8, size: 8 }, [{ device: 0, sector: 768 * 512 }]),
      /ptr_after_last_bucket/,
    ],
  ])('%s', (_name, gen, key, message) => {
    const fixture = new SpaceFixture()
    setGen(fixture, 0, 2, gen)
    const before = fixture.state
    expect(() => fixture.commit((each) => each.changeKey(undefined, key))).toThrow(message)
    expect(() => fixture.commit((each) => each.changeKey(undefined, key))).toThrow(KeyError)
    expect(fixture.state).toEqual(before)
  })

  test('data in a bucket of nodes', () => {
    const fixture = new SpaceFixture()
    fixture.commit((each) => each.changeKey(undefined, nodePointerOf(SPOS_MAX, [{ device: 0, sector: 1024 }]), 1, 1))
    const before = fixture.state
    expect(() => fixture.commit((each) => each.changeKey(undefined, extent(0)))).toThrow(
      /ptr_bucket_data_type_mismatch: 0:2 holds btree, the pointer is for user/,
    )
    expect(fixture.state).toEqual(before)
  })

  test('fewer sectors than none', () => {
    const fixture = new SpaceFixture()
    const before = fixture.state
    expect(() => fixture.commit((each) => each.changeKey(extent(0), undefined))).toThrow(
      /1:4 can't have -8 sectors more/,
    )
    expect(fixture.state).toEqual(before)
  })
})

describe('a wish to be rewritten', () => {
  const key = (entries: Parameters<typeof extentOf>[1]): Key =>
    extentOf({ inode: 3, offset: 16, size: 16, snapshot: 9 }, entries)
  const fixture = (): SpaceFixture => {
    const made = new SpaceFixture()
    made.targets.set(0x103, new Set([1]))
    made.accepting.add(1)
    return made
  }

  test.each([
    [
      'compression',
      [
        { device: 0, sector: 1024 },
        { target: 0, compression: 3 },
      ],
      16,
    ],
    [
      'compression that is done',
      [
        { compressed: 4, uncompressed: 16, compression: 4 },
        { device: 0, sector: 1024 },
        { target: 0, compression: 0x13 },
      ],
      0,
    ],
    [
      'compression of what can not be',
      [
        { compressed: 16, uncompressed: 16, compression: 5 },
        { device: 0, sector: 1024 },
        { target: 0, compression: 1 },
      ],
      0,
    ],
    [
      'compression of nothing',
      [
        { device: 0, sector: 1024, unwritten: true },
        { target: 0, compression: 1 },
      ],
      0,
    ],
    [
      'another target',
      [
        { target: 0x103, compression: 0 },
        { device: 0, sector: 1024 },
        { device: 1, sector: 1024 },
      ],
      16,
    ],
    [
      'another target, which is full',
      [
        { target: 0x104, compression: 0 },
        { device: 0, sector: 1024 },
      ],
      0,
    ],
    [
      'both',
      [
        { target: 0x103, compression: 1 },
        { compressed: 8, uncompressed: 16, compression: 4 },
        { device: 0, sector: 1024 },
      ],
      16,
    ],
    [
      'cached copies',
      [
        { target: 0x103, compression: 1 },
        { device: 0, sector: 1024, cached: true },
      ],
      0,
    ],
  ] as const)('%s', (_name, entries, sectors) => {
    const each = fixture()
    each.commit(() => each.changeKey(undefined, key(entries)))
    expect(each.counters(name.rebalanceWork())).toEqual(sectors === 0 ? [] : [sectors])
    expect(each.positions(BtreeId.rebalanceWork)).toEqual(sectors === 0 ? [] : ['3:16:9'])
    each.commit(() => each.changeKey(key(entries), undefined))
    expect(each.counters(name.rebalanceWork())).toEqual(sectors === 0 ? [] : [0])
    expect(each.positions(BtreeId.rebalanceWork)).toEqual([])
  })
})

describe('pointers into stripes', () => {
  /** Two data blocks and a parity block of 512 sectors, without checksums, in bucket 3 of three devices. */
  const stripeKey = (): Key => {
    const pointers = entryBytes([0, 1, 2].map((device) => ({ device, sector: 3 * 512 })))
    const head = [0, 2, 0, 3, 1, 0, 0, 0]
    return new Key().make(14, bpos(0, 7), new Uint8Array([...head, ...pointers, 0, 0, 0, 0, 0, 0, 0, 0]))
  }
  const counts = (fixture: SpaceFixture): number[] => {
    const key = new Key()
    fixture.updates.get(BtreeId.stripes, bpos(0, 7), key)
    return [0, 2].map((at) => key.view.getUint16(KEY_BYTES + 32 + at, true))
  }
  const extent = (block: number, device: number): Key =>
    extentOf({ inode: 1, offset: 8, size: 8 }, [{ device, sector: 3 * 512 + 16, stripe: { index: 7, block } }])

  test('count in the stripe', () => {
    const fixture = new SpaceFixture({ devices: 3 })
    fixture.updates.put(BtreeId.stripes, stripeKey())
    fixture.commit(({ space, updates }) => {
      for (const device of [0, 1]) {
        const { new: now } = space.change(updates, device, 3)
        now.stripe = 7
        now.stripeRedundancy = 1
        now.dataType = now.derivedDataType(DataType.stripe)
      }
    })
    fixture.commit((each) => each.changeKey(undefined, extent(1, 1)))
    expect(fixture.bucket(1, 3)).toMatchObject({ dataType: DataType.stripe, stripeSectors: 8, dirtySectors: 0 })
    expect(counts(fixture)).toEqual([0, 8])
    expect(fixture.counters(replicasUser([0, 1, 2], 2))).toEqual([8])
    expect(fixture.counters(name.inum(0, 1))).toEqual([1, 8, 0])
    expect(fixture.positions(BtreeId.backpointers)).toHaveLength(1)
    fixture.commit((each) => each.changeKey(extent(1, 1), undefined))
    expect(counts(fixture)).toEqual([0, 0])
    expect(fixture.counters(replicasUser([0, 1, 2], 2))).toEqual([0])
  })

  test('are refused if the stripe is elsewhere, or not at all', () => {
    const fixture = new SpaceFixture({ devices: 3 })
    expect(() => fixture.commit((each) => each.changeKey(undefined, extent(1, 1)))).toThrow(/ptr_to_missing_stripe: 7/)
    fixture.updates.put(BtreeId.stripes, stripeKey())
    for (const wrong of [extent(0, 1), extent(2, 2)]) {
      expect(() => fixture.commit((each) => each.changeKey(undefined, wrong))).toThrow(/ptr_to_incorrect_stripe/)
    }
    expect(counts(fixture)).toEqual([0, 0])
  })
})

test('promises of space are counted by their copies', () => {
  const fixture = new SpaceFixture()
  const promise = (size: number, copies: number): Key =>
    keyOf({ type: 7, offset: 64, size, value: Uint8Array.of(0, 0, 0, 0, copies) })
  fixture.commit((each) => each.changeKey(undefined, promise(64, 2)))
  fixture.commit((each) => each.changeKey(promise(64, 2), promise(48, 1)))
  expect(fixture.counters(name.persistentReserved(2))).toEqual([0])
  expect(fixture.counters(name.persistentReserved(1))).toEqual([48])
})

test('counters are called as the format chapter says (4.8.1)', () => {
  const text = (pos: Uint32Array): string => {
    const key = new Key()
    key.words.set(pos, KEY_POS_AT)
    return key.posText
  }
  expect(text(name.deviceDataType(1, DataType.free))).toBe('0:0:259')
  expect(text(name.deviceDataType(0, DataType.sb))).toBe('0:0:65539')
  expect(text(name.persistentReserved(2))).toBe('0:0:513')
  expect(text(name.compression(3))).toBe('0:0:772')
  expect(text(name.btree(19))).toBe('0:0:4870')
  expect(text(name.inum(0, 4098))).toBe('0:0:1049096')
  expect(text(name.inum(0, 2 ** 30))).toBe('0:64:8')
  expect(text(name.snapshot(0xfffffffc))).toBe('0:255:4294966277')
  expect(text(name.replicas(DataType.user, 1, Uint8Array.of(1, 0), 2))).toBe('0:256:16909314')
  expect(text(name.replicas(DataType.btree, 1, Uint8Array.of(2), 1))).toBe('0:2:16843522')
  expect(text(name.cached(2))).toBe(text(name.replicas(DataType.cached, 1, Uint8Array.of(2), 1)))
  expect([...name.replicas(4, 1, Uint8Array.of(9, 1, 5, 3, 7, 0), 6)]).toEqual([0x01060402, 0x05030100, 0x0907, 0, 0])
})
