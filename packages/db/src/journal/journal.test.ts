import { nativeCodecs, type DeviceError } from '@cowherd/shim'
import { describe, expect, test } from 'vitest'
import { SPOS_MAX } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import { BTREE_PTR_V2_TYPE } from '../btree/btree-ptr.ts'
import { Cipher } from '../encryption.ts'
import { JournalError } from '../errors.ts'
import { IntegritySeal } from '../integrity-seal.ts'
import { IntegrityCheck } from '../integrity.ts'
import { Key } from '../key.ts'
import { Disk } from '../testing/disk.ts'
import { keyOf } from '../testing/keys.ts'
import { JournalScanner, type FoundEntry, type JournalDevice } from './journal-scan.ts'
import { selectEntries } from './journal-select.ts'
import { seqsGivenUp, startAfterCrash, startAfterShutdown, type JournalStart } from './journal-start.ts'
import { Journal, type JournalOptions } from './journal.ts'
import { JSET_ENTRY_NAMES, Jset, JsetEntryType, walkKeys, walkRecords } from './jset-layout.ts'
import { LOG_RECORD_BYTES, RECORD_HEADER_BYTES } from './open-entry.ts'
import type { LiveRoot } from './state-records.ts'

const codecs = nativeCodecs()
const uuidWord = 0x894e8d054600b315n
const blockBytes = 512
const BUCKET_SECTORS = 64
const BUCKET_BYTES = BUCKET_SECTORS * 512
const FIRST_BUCKET = 4
const KEY_RECORD_BYTES = RECORD_HEADER_BYTES + 40
/** Of the clean shutdown before. */
const SEQ_BEFORE = 10

interface Setting {
  disks?: readonly Disk[]
  buckets?: number
  replicas?: number
  required?: number
  start?: JournalStart
  key?: Uint8Array
  options?: Partial<JournalOptions>
  /** Disks with the journal preferred, by number. */
  preferred?: readonly number[]
  discard?: boolean
}

const newDisk = (buckets = 8, name = 'disk'): Disk => new Disk((FIRST_BUCKET + buckets) * BUCKET_BYTES, name)

function devicesOf(disks: readonly Disk[], buckets = 8): (JournalDevice & { device: Disk })[] {
  return disks.map((device, index) => {
    // the first half of the ring lies behind the second one
    const half = buckets >> 1
    const runs = [
      { start: FIRST_BUCKET + half, count: buckets - half },
      { start: FIRST_BUCKET, count: half },
    ]
    return { index, device, buckets: { runs, count: buckets }, bucketSectors: BUCKET_SECTORS }
  })
}

/** A journal, and what it said to the outside. */
function open(setting: Setting = {}) {
  const { disks = [newDisk(setting.buckets)], buckets = 8, replicas = 1, required = 1, preferred = [] } = setting
  const off = new Set<number>()
  const said: string[] = []
  const roots: LiveRoot[] = [{ btree: BtreeId.inodes, level: 0, pointer: pointerKey(1) }]
  const devices = devicesOf(disks, buckets)
  const cipher = setting.key === undefined ? undefined : new Cipher(codecs, setting.key)
  const journal = new Journal({
    start: setting.start ?? cleanStart(devices),
    devices: devices.map((each) => ({
      ...each,
      durability: 1,
      discard: setting.discard === true,
      isPreferred: preferred.includes(each.index),
      isWritable: () => !off.has(each.index),
    })),
    flushDevices: devices.map(({ index, device }) => ({ index, device, isWritable: () => !off.has(index) })),
    metadataReplicas: replicas,
    metadataReplicasRequired: required,
    blockBytes,
    version: 1037,
    uuidWord,
    seal: new IntegritySeal(codecs, cipher, 'crc32c'),
    mayNotFlush: true,
    live: { clocks: { read: 3, written: 4 }, roots: () => roots, keyVersion: () => 77n },
    nowSeconds: () => 1_700_000_000n,
    ensureReplicas: (set) => said.push(`replicas ${set.join()}`),
    onFlushed: (seq) => said.push(`flushed ${seq}`),
    onDeviceError: (device, error: DeviceError) => said.push(`device ${device}: ${error.code}`),
    ...setting.options,
  })
  return { journal, disks, devices, roots, said, off }
}

function cleanStart(devices: readonly JournalDevice[]): JournalStart {
  const rings = new Map(devices.map(({ index }) => [index, { bucketIndex: 0, sectorsUsed: 0, seqs: undefined }]))
  return { nextSeq: SEQ_BEFORE + 1, lastSeq: SEQ_BEFORE + 1, rings, torn: [] }
}

const pointerKey = (seed: number): Key =>
  new Key().make(
    BTREE_PTR_V2_TYPE,
    SPOS_MAX,
    Uint8Array.from({ length: 48 }, (_, i) => (i < 8 ? 0 : seed)),
  )

/** A transaction of one key, named by its inode, and `bytes` of texts at most. Returns the key's place in the records. */
function commit(journal: Journal, inode: number, bytes = 0): number {
  const key = keyOf({ type: 8, inode })
  const texts = Math.floor(bytes / LOG_RECORD_BYTES)
  journal.reserve(KEY_RECORD_BYTES + texts * LOG_RECORD_BYTES)
  for (let i = 0; i < texts; i++) journal.recordLog('text')
  return journal.recordKey(BtreeId.inodes, 0, key.words, 0)
}

function scannerOf(disks: readonly Disk[], key?: Uint8Array, buckets = 8): JournalScanner {
  const cipher = key === undefined ? undefined : new Cipher(codecs, key)
  const notes: string[] = []
  const integrity = new IntegrityCheck(codecs, cipher)
  return new JournalScanner(devicesOf(disks, buckets), {
    ...{ uuidWord, blockBytes, integrity },
    note: (note) => notes.push(note),
  })
}

const text = ({ seq, lastSeq, noFlush, places }: FoundEntry): string =>
  `${seq}${noFlush ? ' noflush' : ` needs ${lastSeq}`} on ${places.map(({ device }) => device).join()}`

const listed = (disks: readonly Disk[]): string[] => scannerOf(disks).scan(true).map(text)

/** The inodes that a start after a crash would find, in order. */
function survivors(disks: readonly Disk[], key?: Uint8Array, buckets?: number): number[] {
  const scanner = scannerOf(disks, key, buckets)
  const inodes: number[] = []
  for (const entry of selectEntries(scanner.scan(), []).entries) {
    const { view, bytes } = scanner.readEntry(entry)
    walkRecords(view, Jset.size, bytes.length, ({ type, start, end }) => {
      if (type !== JsetEntryType.btreeKeys) return
      walkKeys(view, start, end, (at) => inodes.push(view.getUint32(at + 32, true)))
    })
  }
  return inodes
}

/** Start after a crash, as the volume would do it. */
function restart(disks: readonly Disk[], setting: Setting = {}) {
  const { buckets } = setting
  const found = scannerOf(disks, setting.key, buckets).scan()
  const selection = selectEntries(found, [])
  const { end } = seqsGivenUp(selection, [])
  const start = startAfterCrash(found, selection, end, devicesOf(disks, buckets), blockBytes)
  return open({ ...setting, disks, start })
}

describe('entries', () => {
  test('are read back as they were recorded', () => {
    const { journal, disks, roots, said } = open()
    expect([journal.seq, journal.flushedSeq, journal.replayPin]).toEqual([11, 10, -1])
    journal.reserve(LOG_RECORD_BYTES + 2 * KEY_RECORD_BYTES + 16)
    journal.recordLog('a transaction whose name is too long to be kept')
    const key = keyOf({ type: 34, inode: 0, offset: 5, versionLo: 9, value: new Uint8Array(8).fill(3) })
    key.words[0] |= 0xff008000 // what isn't part of a key on disk
    const index = journal.recordKey(BtreeId.accounting, 0, key.words, 0)
    expect(index).toBe(6)
    journal.stampVersion(index)
    expect(journal.payloadWords[2 * index + 1]).toBe(6)
    const deleted = keyOf({ type: 0, inode: 42 })
    expect(journal.recordKey(BtreeId.inodes, 1, deleted.words, 0)).toBe(13)
    journal.flush()
    expect(said).toEqual(['replicas 0', 'flushed 11'])
    expect([journal.seq, journal.flushedSeq, journal.lastSeqOnDisk]).toEqual([12, 11, 11])

    const scanner = scannerOf(disks)
    const [entry] = scanner.scan()
    expect(entry).toMatchObject({ seq: 11n, lastSeq: 11n, noFlush: false, version: 1037 })
    expect(entry.places).toEqual([
      { device: 0, bucketIndex: 0, sector: (FIRST_BUCKET + 4) * BUCKET_SECTORS, checksumGood: true },
    ])
    const { view, bytes } = scanner.readEntry(entry)
    const records: string[] = []
    walkRecords(view, Jset.size, bytes.length, ({ type, btree, level, start, end }) => {
      const name = JSET_ENTRY_NAMES[type]
      records.push(`${name} ${btree} ${level}: ${end - start}`)
      if (type === JsetEntryType.log) {
        expect(new TextDecoder().decode(bytes.subarray(start, end))).toBe('a transaction whose name is too ')
      }
      if (btree === BtreeId.accounting) {
        expect([...new Uint32Array(bytes.slice(start, start + 16).buffer)]).toEqual([0x00220106, 6, 11, 0])
      }
      if (type === JsetEntryType.btreeRoot) {
        expect(bytes.slice(start, end)).toEqual(roots[0].pointer.bytes.slice(0, end - start))
      }
      if (type === JsetEntryType.usage) expect(view.getBigUint64(start, true)).toBe(77n)
      if (type === JsetEntryType.datetime) expect(view.getBigUint64(start, true)).toBe(1_700_000_000n)
      if (type === JsetEntryType.clock) expect(view.getBigUint64(start + 8, true)).toBe(view.getUint8(start) ? 4n : 3n)
    })
    expect(records).toEqual([
      'log 0 0: 32',
      'btree_keys 20 0: 48',
      'btree_keys 1 1: 40',
      'btree_root 1 0: 88',
      'datetime 0 0: 8',
      'usage 2 0: 8',
      'clock 0 0: 16',
      'clock 0 0: 16',
    ])
  })

  test('encrypted ones can be read with the key', () => {
    const key = Uint8Array.from({ length: 32 }, (_, i) => i)
    const { journal, disks } = open({ key })
    for (const inode of [1, 2, 3]) {
      commit(journal, inode, 800)
      journal.flush()
    }
    expect(survivors(disks, key)).toEqual([3])
    journal.pins.pin(journal.seq)
    for (const inode of [4, 5]) {
      commit(journal, inode, 800)
      journal.close()
    }
    journal.flush()
    expect(survivors(disks, key)).toEqual([4, 5])
    expect(Buffer.from(disks[0].bytes).includes('text')).toBe(false)
    expect(() => survivors(disks)).toThrow(JournalError)
  })

  test('a root that was recorded is not repeated', () => {
    const { journal, disks, roots } = open()
    roots[0] = { btree: BtreeId.inodes, level: 1, pointer: pointerKey(2) }
    roots.push({ btree: 40, level: 0, pointer: pointerKey(3) })
    journal.reserve(RECORD_HEADER_BYTES + 88)
    journal.recordRoot(BtreeId.inodes, 1, roots[0].pointer)
    journal.flush()
    const scanner = scannerOf(disks)
    const { view, bytes } = scanner.readEntry(scanner.scan()[0])
    const found: number[][] = []
    walkRecords(view, Jset.size, bytes.length, ({ type, btree, level }) => {
      if (type === JsetEntryType.btreeRoot) found.push([btree, level])
    })
    expect(found).toEqual([
      [BtreeId.inodes, 1],
      [40, 0],
    ])
  })

  test('hold what is reserved at once, and not a record more', () => {
    const { journal, roots } = open()
    const { capacityBytes } = journal
    // header; one root; time, key version and two clocks
    expect(capacityBytes).toBe(BUCKET_BYTES - 56 - 96 - 80)
    expect(() => journal.reserve(capacityBytes + 8)).toThrow(
      expect.objectContaining({ code: 'EINVAL', name: 'JournalError' }) as Error,
    )
    journal.reserve(KEY_RECORD_BYTES)
    const key = keyOf({ type: 8, inode: 1 })
    journal.recordKey(0, 0, key.words, 0)
    expect(() => journal.recordKey(0, 0, key.words, 0)).toThrow('more is recorded than was reserved')
    expect(() => journal.recordKey(0, 0, new Uint32Array(64), 0)).toThrow(RangeError)
    roots.push({ btree: 50, level: 0, pointer: pointerKey(1) })
    journal.reserve(RECORD_HEADER_BYTES + 88)
    journal.recordRoot(50, 0, roots[1].pointer)
    expect([journal.seq, journal.capacityBytes]).toEqual([11, capacityBytes - 96])
    journal.reserve(capacityBytes - 96)
    expect([journal.seq, journal.capacityBytes]).toEqual([12, capacityBytes - 96])
  })

  test('fill buckets to their end, lap after lap, and what is needed is there', () => {
    const { journal, disks } = open()
    for (let inode = 1; inode <= 3000; inode++) {
      const pin = journal.pins.pin(journal.seq)
      commit(journal, inode, 40 * (inode % 100))
      if (inode % 3 === 0) journal.close()
      if (inode % 50 === 0) journal.flush()
      journal.pins.release(pin)
    }
    journal.pins.pin(journal.seq)
    const last = [1, 2, 3, 4].map((i) => 5000 + i)
    for (const inode of last) commit(journal, inode, (BUCKET_BYTES * 3) / 4)
    journal.flush()
    expect(survivors(disks).slice(-4)).toEqual(last)
  })
})

describe('what is flushed', () => {
  test('the first entry, and those that somebody wants; others are not', () => {
    const { journal, disks, said } = open()
    const pin = journal.pins.pin(journal.seq)
    for (const inode of [1, 2, 3]) {
      commit(journal, inode)
      journal.close()
      journal.close()
    }
    expect(listed(disks)).toEqual(['11 needs 11 on 0', '12 noflush on 0', '13 noflush on 0'])
    expect([journal.flushedSeq, journal.seq]).toEqual([11, 14])
    expect(survivors(disks)).toEqual([1])
    commit(journal, 4)
    journal.flush()
    expect(survivors(disks)).toEqual([1, 2, 3, 4])
    journal.flush()
    expect(journal.seq).toBe(15)
    expect(said).toEqual(['replicas 0', 'flushed 11', 'flushed 14'])
    expect(disks[0].log.map((line) => line.split(' ')[0])).toEqual([
      ...['flush', 'through'], // 11
      ...['write', 'write'],
      ...['flush', 'through'], // 14
    ])
    journal.pins.release(pin)
  })

  test('an empty entry, if the newest ones were not', () => {
    const { journal, disks } = open()
    journal.pins.pin(journal.seq)
    commit(journal, 1)
    journal.flush()
    commit(journal, 2)
    journal.close()
    journal.flush()
    expect(listed(disks)).toEqual(['11 needs 11 on 0', '12 noflush on 0', '13 needs 11 on 0'])
    expect(survivors(disks.map((disk) => disk.afterCut()))).toEqual([1, 2])
  })

  test('always, on a volume without the feature', () => {
    const { journal, disks } = open({ options: { mayNotFlush: false } })
    for (const inode of [1, 2]) {
      commit(journal, inode)
      journal.close()
    }
    expect(listed(disks)).toEqual(['11 needs 11 on 0', '12 needs 12 on 0'])
  })

  test('after a cut what was flushed is there, and nothing that came later', () => {
    const { journal, disks } = open()
    journal.pins.pin(journal.seq)
    let flushed = 0
    for (let inode = 1; inode <= 40; inode++) {
      commit(journal, inode, 400)
      if (inode % 7 === 0) {
        journal.flush()
        flushed = inode
      } else journal.close()
      if (flushed === 0 && inode === 1) flushed = 1
      for (const reaches of [() => false, () => true, (write: number) => write % 2 === 0]) {
        const after = survivors(disks.map((disk) => disk.afterCut(reaches)))
        expect(after).toEqual(Array.from({ length: flushed }, (_, i) => i + 1))
      }
    }
  })

  test('before it, all devices of the volume', () => {
    const other = newDisk(8, 'other')
    const order: string[] = []
    const tell = (disk: Disk, name: string) =>
      Object.assign(Object.create(disk) as Disk, {
        flush: () => order.push(`flush ${name}`),
        writeThrough: (bytes: Uint8Array, offset: number) => {
          order.push(`write ${name}`)
          disk.writeThrough(bytes, offset)
        },
      })
    const disk = tell(newDisk(), 'journal')
    const { journal } = open({
      disks: [disk],
      options: {
        flushDevices: [
          { index: 0, device: disk, isWritable: () => true },
          { index: 1, device: tell(other, 'other'), isWritable: () => true },
          { index: 2, device: tell(other, 'off'), isWritable: () => false },
        ],
        ensureReplicas: () => order.push('superblock'),
        onFlushed: () => order.push('done'),
      },
    })
    commit(journal, 1)
    journal.flush()
    expect(order).toEqual(['superblock', 'flush journal', 'flush other', 'write journal', 'done'])
  })
})

describe('pins', () => {
  test('say from where on the journal is needed', () => {
    const { journal, disks } = open()
    const pins = [1, 2, 3].map((inode) => {
      const pin = journal.pins.pin(journal.seq)
      commit(journal, inode)
      journal.flush()
      return pin
    })
    expect(journal.lastSeqOnDisk).toBe(11)
    journal.pins.release(pins[0])
    expect(() => journal.pins.pin(10)).toThrow(RangeError)
    commit(journal, 4)
    journal.flush()
    expect(journal.lastSeqOnDisk).toBe(12)
    expect(survivors(disks)).toEqual([2, 3, 4])
    expect(() => journal.pins.pin(11)).toThrow(RangeError)
  })

  test('what is left at the shutdown is an error', () => {
    const { journal } = open()
    const pin = journal.pins.pin(journal.seq)
    commit(journal, 1)
    expect(() => journal.writeEmptyFlush()).toThrow('entry 11 is still needed')
    journal.pins.release(pin)
    expect(journal.writeEmptyFlush().journalSeq).toBe(12)
  })
})

describe('the shutdown', () => {
  test('leaves an entry without keys, and says where to go on', () => {
    const { journal, disks, devices } = open({ disks: [newDisk(), newDisk()], replicas: 2 })
    commit(journal, 1, 3000)
    const end = journal.writeEmptyFlush()
    expect(listed(disks)).toEqual(['11 needs 11 on 0,1', '12 needs 12 on 0,1'])
    expect(survivors(disks)).toEqual([])
    expect(end.journalSeq).toBe(12)
    expect(end.positions).toEqual([0, 1].map((device) => ({ device, bucketIndex: 0, sectorsUsed: 7 + 1 })))
    const types: string[] = []
    const view = new DataView(end.records.buffer, end.records.byteOffset)
    expect(walkRecords(view, 0, end.records.length, ({ type }) => types.push(JSET_ENTRY_NAMES[type]))).toBeUndefined()
    expect(types).toEqual(['usage', 'clock', 'clock', 'btree_root'])

    const members = end.positions.map(
      ({ bucketIndex, sectorsUsed }) =>
        ({ lastJournalBucket: bucketIndex, lastJournalBucketSectors: sectorsUsed }) as never,
    )
    const start = startAfterShutdown(12, members, devices, blockBytes)
    expect([start.nextSeq, start.lastSeq]).toEqual([13, 13])
    const next = open({ disks, start, replicas: 2 })
    commit(next.journal, 2)
    next.journal.flush()
    expect(listed(disks)).toEqual(['11 needs 11 on 0,1', '12 needs 12 on 0,1', '13 needs 13 on 0,1'])
  })

  test.each([
    [0, 0, 0, 64], // a new volume: the second bucket is the first
    [5, 3, 20, 20],
    [5, 3, 64, 64],
    [5, 8, 0, 64],
    [5, 3, 65, 64],
  ])(
    'entry %d, bucket %d, sector %d: goes on at %d',
    (seq, lastJournalBucket, lastJournalBucketSectors, sectorsUsed) => {
      const members = [{ lastJournalBucket, lastJournalBucketSectors } as never]
      const { rings } = startAfterShutdown(seq, members, devicesOf([newDisk()]), blockBytes)
      const isHint = sectorsUsed === lastJournalBucketSectors
      expect(rings.get(0)).toEqual({ bucketIndex: isHint ? lastJournalBucket : 0, sectorsUsed, seqs: undefined })
    },
  )
})

describe('space', () => {
  const large = BUCKET_BYTES / 2

  test('when it is low, what is pinned can be found and released', () => {
    const { journal } = open()
    const pins = new Map<number, number>()
    let transactions = 0
    for (let round = 0; round < 100; round++) {
      if (journal.isLow) {
        const target = journal.reclaimTarget()
        expect(target).toBeGreaterThan(0)
        expect(target).toBeLessThan(journal.seq)
        for (const [pin, seq] of pins) {
          if (seq > target) continue
          journal.pins.release(pin)
          pins.delete(pin)
        }
        expect(journal.isLow).toBe(false)
      }
      pins.set(journal.pins.pin(journal.seq), journal.seq)
      commit(journal, round, large)
      transactions++
    }
    expect(transactions).toBe(100)
    // how many entries are held is bounded by the ring
    expect(pins.size).toBeLessThan(8)
  })

  test('without that the journal is full, halts, and leaves what was promised', () => {
    const { journal, disks } = open()
    journal.pins.pin(journal.seq)
    let inode = 0
    let wasLow = 0
    const fill = (): void => {
      for (;;) {
        if (journal.isLow) wasLow++
        commit(journal, ++inode, large)
        journal.flush()
      }
    }
    expect(fill).toThrow(expect.objectContaining({ code: 'ENOSPC' }) as Error)
    expect(wasLow).toBeGreaterThan(1)
    expect(journal.isHalted).toBe(true)
    for (const call of [() => journal.flush(), () => journal.close(), () => journal.reserve(8)]) {
      expect(call).toThrow('the journal is full')
    }
    expect(() => journal.writeEmptyFlush()).toThrow(JournalError)
    const kept = survivors(disks.map((disk) => disk.afterCut()))
    expect(kept).toEqual(Array.from({ length: inode - 1 }, (_, i) => i + 1))
    expect(kept.length).toBe(6 + 1)
  })

  test('one bucket is kept for the entry that frees the others', () => {
    const { journal, disks } = open()
    const pin = journal.pins.pin(journal.seq)
    for (let inode = 1; inode <= 7; inode++) {
      commit(journal, inode, large)
      journal.flush()
    }
    journal.pins.release(pin)
    commit(journal, 8, large)
    journal.close() // flushed, as there is no room to do without
    expect(journal.flushedSeq).toBe(18)
    expect(survivors(disks)).toEqual([8])
    for (let inode = 9; inode <= 14; inode++) {
      commit(journal, inode, large)
      journal.flush()
    }
    expect(survivors(disks)).toEqual([14])
  })

  test('entries are flushed when that would free much', () => {
    const { journal } = open()
    for (let inode = 1; inode <= 100; inode++) {
      commit(journal, inode, large)
      journal.close()
    }
    expect(journal.isLow).toBe(false)
    expect(journal.seq - journal.flushedSeq).toBeLessThan(6)
  })

  test('a great many entries are low space too', () => {
    const { journal } = open({ buckets: 1024 })
    const pin = journal.pins.pin(journal.seq)
    let entries = 0
    while (!journal.isLow) {
      commit(journal, 1)
      journal.close()
      entries++
    }
    expect(entries).toBe(24577)
    expect(journal.reclaimTarget()).toBe(journal.seq - 16384)
    journal.pins.release(pin)
    expect(journal.isLow).toBe(false)
  })

  test('buckets that are free are discarded, if the device wants that; failing does not matter', () => {
    const { journal, disks } = open({ discard: true })
    const discards = () => disks[0].log.filter((line) => line.startsWith('discard'))
    for (let inode = 1; inode <= 3; inode++) {
      commit(journal, inode, large)
      journal.flush()
    }
    // the buckets of index 0 and 1 lie in the middle of the device
    const at = (index: number) => `discard ${(FIRST_BUCKET + 4 + index) * BUCKET_BYTES}+${BUCKET_BYTES}`
    expect(discards()).toEqual([at(0), at(1)])
    disks[0].failsDiscards = true
    commit(journal, 4, large)
    journal.flush()
    expect(discards()).toHaveLength(3)
    expect(survivors(disks)).toEqual([4])
  })
})

describe('several devices', () => {
  const three = () => [newDisk(8, 'a'), newDisk(8, 'b'), newDisk(8, 'c')]

  test('have as many copies as are wanted, the preferred ones first', () => {
    const { journal, disks, said } = open({ disks: three(), replicas: 2, preferred: [2] })
    commit(journal, 1)
    journal.flush()
    expect(listed(disks)).toEqual(['11 needs 11 on 0,2'])
    expect(said).toEqual(['replicas 0,2', 'flushed 11'])
    for (const lost of [0, 1, 2]) {
      expect(survivors(disks.map((disk, index) => (index === lost ? newDisk() : disk)))).toEqual([1])
    }
  })

  test('share the entries of one copy', () => {
    const { journal, disks } = open({ disks: three() })
    journal.pins.pin(journal.seq)
    const inodes = Array.from({ length: 12 }, (_, i) => i + 1)
    for (const inode of inodes) {
      commit(journal, inode, BUCKET_BYTES / 2)
      journal.close()
    }
    journal.flush()
    expect(survivors(disks)).toEqual(inodes)
    expect(
      new Set(
        scannerOf(disks)
          .scan(true)
          .map(({ places }) => places[0].device),
      ),
    ).toEqual(new Set([0, 1, 2]))
  })

  test('a device that fails to write: the others have the entry', () => {
    const { journal, disks, said } = open({ disks: three().slice(1), replicas: 2 })
    disks[0].failsWrites = true
    commit(journal, 1)
    journal.flush()
    expect(said).toEqual(['replicas 0,1', 'device 0: EIO', 'replicas 1', 'flushed 11'])
    expect(listed(disks)).toEqual(['11 needs 11 on 1'])
    disks[0].failsWrites = false
    commit(journal, 2)
    journal.flush()
    // not behind the hole, where nobody would find it
    expect(scannerOf(disks).scan(true)[1].places[0]).toMatchObject({ device: 0, bucketIndex: 1 })
  })

  test('if no chosen device can write it, others do', () => {
    const { journal, disks, said, off } = open({ disks: three() })
    disks[0].failsWrites = true
    disks[1].failsWrites = true
    commit(journal, 1)
    journal.flush()
    expect(said).toEqual(['replicas 0', 'device 0: EIO', 'replicas 1', 'device 1: EIO', 'replicas 2', 'flushed 11'])
    off.add(0).add(1)
    commit(journal, 2)
    journal.close()
    expect(listed(disks)).toEqual(['11 needs 11 on 2', '12 noflush on 2'])
    off.add(2)
    commit(journal, 3)
    expect(() => journal.close()).toThrow(expect.objectContaining({ code: 'EIO' }) as Error)
    expect(journal.isHalted).toBe(true)
  })

  test('a device that fails to flush is told before the entry is written, and gets none', () => {
    const disks = three()
    const seen: string[] = []
    const { journal } = open({
      disks,
      replicas: 2,
      options: { onDeviceError: (device) => seen.push(`${device}: ${disks[1].log.length + disks[2].log.length}`) },
    })
    disks[0].failsFlushes = true
    commit(journal, 1)
    journal.flush()
    expect(seen).toEqual(['0: 0'])
    expect(listed(disks)).toEqual(['11 needs 11 on 1'])
  })

  test('what a failed flush may have lost is not built upon', () => {
    const { journal, disks } = open({ disks: three() })
    commit(journal, 1)
    journal.flush()
    journal.pins.pin(journal.seq)
    commit(journal, 2)
    journal.close()
    expect(listed(disks)[1]).toBe('12 noflush on 0')
    disks[0].failsFlushes = true
    commit(journal, 3)
    expect(() => journal.flush()).toThrow('entries before it may be lost')
    expect(journal.isHalted).toBe(true)
    expect(survivors(disks.map((disk) => disk.afterCut()))).toEqual([1])
  })

  test('nor on what is on a device that was switched off', () => {
    const { journal, off } = open({ disks: three() })
    commit(journal, 1)
    journal.flush()
    commit(journal, 2)
    journal.close()
    off.add(0)
    expect(() => journal.flush()).toThrow('entries before it may be lost')
  })

  test('with two copies one device may go', () => {
    const { journal, disks, off } = open({ disks: three(), replicas: 2 })
    journal.pins.pin(journal.seq)
    for (const inode of [1, 2]) {
      commit(journal, inode)
      journal.close()
    }
    off.add(0)
    commit(journal, 3)
    journal.flush()
    expect(survivors([newDisk(), disks[1], disks[2]])).toEqual([1, 2, 3])
  })

  test('fewer copies than must be are none', () => {
    const { journal, off } = open({ disks: three().slice(1), replicas: 2, required: 2 })
    off.add(1)
    commit(journal, 1)
    expect(() => journal.flush()).toThrow('2 copies must be')
  })

  test('a single device that fails is the end', () => {
    for (const kind of ['failsWrites', 'failsFlushes'] as const) {
      const { journal, disks, said } = open()
      disks[0][kind] = true
      commit(journal, 1)
      expect(() => journal.flush()).toThrow(expect.objectContaining({ code: 'EIO', name: 'JournalError' }) as Error)
      expect(said).toEqual(['replicas 0', 'device 0: EIO'])
      disks[0][kind] = false
      expect(() => journal.flush()).toThrow(JournalError)
    }
  })

  test('a superblock that can not be written, and an answer to a failed device, halt the journal', () => {
    const failing = () => {
      throw new JournalError('EIO', 'superblock', 'no')
    }
    for (const options of [{ ensureReplicas: failing }, { onDeviceError: failing }]) {
      const { journal, disks } = open({ disks: three(), options })
      disks[2].failsFlushes = true
      commit(journal, 1)
      expect(() => journal.flush()).toThrow('superblock: no')
      expect(journal.isHalted).toBe(true)
      expect(listed(disks)).toEqual([])
    }
  })
})

describe('after a crash', () => {
  test('goes on behind what was found, with numbers that were never used', () => {
    const { journal, disks } = open()
    journal.pins.pin(journal.seq)
    for (const inode of [1, 2]) {
      commit(journal, inode)
      journal.flush()
    }
    commit(journal, 3)
    journal.close()
    const after = disks.map((disk) => disk.afterCut(() => true))
    const next = restart(after)
    expect([next.journal.seq, next.journal.flushedSeq, next.journal.lastSeqOnDisk]).toEqual([22, 21, 11])
    commit(next.journal, 4)
    next.journal.flush()
    expect(listed(after)).toEqual(['11 needs 11 on 0', '12 needs 11 on 0', '13 noflush on 0', '22 needs 11 on 0'])
    next.journal.pins.release(next.journal.replayPin)
    commit(next.journal, 5)
    next.journal.flush()
    expect(survivors(after)).toEqual([5])
  })

  test('a torn entry is written over, wherever the next one goes', () => {
    for (const first of [0, 1]) {
      const { journal, disks } = open({ disks: [newDisk(), newDisk()], preferred: [0] })
      journal.pins.pin(journal.seq)
      for (const inode of [1, 2]) {
        commit(journal, inode, 2000)
        journal.flush()
      }
      const [, place] = scannerOf(disks)
        .scan(true)
        .map((entry) => entry.places[0])
      disks[0].bytes[place.sector * 512 + 700] ^= 1
      const next = restart(disks, { preferred: [first] })
      commit(next.journal, 3)
      next.journal.flush()
      const found = scannerOf(disks).scan(true)
      expect(found.map(({ seq }) => seq)).toEqual([11n, 21n])
      expect(found.every(({ places }) => places[0].checksumGood)).toBe(true)
      const blacklist = [{ start: 12n, end: 21n }]
      expect(selectEntries(found, blacklist).entries.map(({ seq }) => seq)).toEqual([11n, 21n])
      expect(selectEntries(found, blacklist).notes).toEqual([])
      if (first === 0) expect(found[1].places[0].sector).toBe(place.sector)
    }
  })

  test('what is needed is not written over, however often it crashes', () => {
    let disks: readonly Disk[] = [newDisk()]
    let { journal } = open({ disks })
    const kept = journal.pins.pin(journal.seq)
    expect(kept).toBe(0)
    commit(journal, 1)
    journal.flush()
    const blacklist: { start: bigint; end: bigint }[] = []
    for (let crash = 0; crash < 5; crash++) {
      disks = disks.map((disk) => disk.afterCut())
      const found = scannerOf(disks).scan()
      const selection = selectEntries(found, blacklist)
      expect(selection.entries[0].seq).toBe(11n)
      const { start, end } = seqsGivenUp(selection, blacklist)
      blacklist.push({ start: BigInt(start), end: BigInt(end) })
      ;({ journal } = open({
        disks,
        start: startAfterCrash(found, selection, end, devicesOf(disks), blockBytes),
      }))
      commit(journal, 100 + crash, 5000)
      journal.flush()
      commit(journal, 200 + crash, 5000)
      journal.close()
    }
  })

  test('numbers that were given up stay so', () => {
    const selection = { newest: 12n, start: 13n }
    expect(seqsGivenUp(selection, [])).toEqual({ start: 13, end: 21 })
    expect(seqsGivenUp(selection, [{ start: 13n, end: 22n }])).toEqual({ start: 13, end: 22 })
    expect(seqsGivenUp(selection, [{ start: 3n, end: 5n }])).toEqual({ start: 13, end: 21 })
  })

  test('a device without any entry begins with its second bucket', () => {
    const { journal, disks } = open()
    commit(journal, 1)
    journal.flush()
    const both = [...disks, newDisk()]
    const { journal: next } = restart(both, { preferred: [1] })
    commit(next, 2)
    next.flush()
    expect(scannerOf(both).scan(true)[1].places).toMatchObject([{ device: 1, bucketIndex: 1 }])
  })
})

describe('what there has to be', () => {
  test('a device', () => {
    expect(() => open({ disks: [] })).toThrow(expect.objectContaining({ code: 'ENODEV' }) as Error)
  })
})
