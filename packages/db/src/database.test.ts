import { fuzzCodecs as codecs, Random } from '@cowherd/fuzz'
import { DeviceError } from '@cowherd/shim'
import { writableMemoryStore } from '@cowherd/store'
import { describe, expect, test } from 'vitest'
import { bpos } from './bpos.ts'
import { openDatabase, type Database } from './database.ts'
import { writeEntry, type EntryOutcome, type EntryThread, type EntryWrite } from './journal/entry-write.ts'
import { Key } from './key.ts'
import { makeVolume } from './new-volume/make-volume.ts'
import { openVolume } from './volume.ts'

const MIB = 2 ** 20
const BTREE = 30
const COOKIE = 3

function blank(count = 1, nodeBytes = 128 << 10, bytes = 64 * MIB): Uint8Array[] {
  const disks = Array.from({ length: count }, () => new Uint8Array(bytes))
  const random = new Random(7)
  makeVolume(
    disks.map((disk, i) => ({
      device: writableMemoryStore(disk, `disk ${i}`),
      blockBytes: 4096,
      bucketBytes: nodeBytes * 2,
    })),
    {
      ...{ codecs, nowNs: 1n, btreeNodeBytes: nodeBytes },
      random: (target) => void random.fill(target),
      options: { metadataReplicas: Math.min(count, 2) },
      fill: () => undefined,
    },
  )
  return disks
}

function open(disks: readonly Uint8Array[], journalThread?: EntryThread): Database {
  const random = new Random(8)
  return openDatabase(
    disks.map((disk, i) => writableMemoryStore(disk, `disk ${i}`)),
    {
      ...{ codecs, random: (target: Uint8Array) => void random.fill(target), nowSeconds: () => 5n },
      ...(journalThread === undefined ? {} : { journalThread }),
    },
  )
}

/** Writes an entry when the test wants it. */
class LazyThread implements EntryThread {
  private entry: EntryWrite | undefined
  private outcome: EntryOutcome | undefined

  get isBusy(): boolean {
    return this.entry !== undefined
  }

  start(entry: EntryWrite): void {
    expect(this.entry).toBeUndefined()
    this.entry = { ...entry, bytes: entry.bytes.slice() }
  }

  work(): void {
    if (this.entry === undefined) throw new Error('nothing to do')
    this.outcome = { written: writeEntry(this.entry, () => undefined), failures: [] }
    this.entry = undefined
  }

  fail(): void {
    const error = new DeviceError('EIO', 'disk 0', 'as the test wants it')
    this.outcome = { written: [], failures: [{ device: 0, step: 'flush', error }] }
    this.entry = undefined
  }

  poll(): EntryOutcome | undefined {
    const { outcome } = this
    this.outcome = undefined
    return outcome
  }

  wait(): EntryOutcome {
    if (this.outcome === undefined) this.work()
    return this.poll() ?? { written: [], failures: [] }
  }
}

function contents(disks: readonly Uint8Array[], btree = BTREE): Map<string, string> {
  const volume = openVolume(
    disks.map((disk, i) => writableMemoryStore(disk.slice(), `disk ${i}`)),
    { codecs },
  )
  const found = new Map<string, string>()
  const cursor = volume.cursor(btree)
  for (let more = cursor.seek(bpos(0, 0)); more; more = cursor.next()) {
    found.set(cursor.key.posText, [...cursor.key.value].join())
  }
  return found
}

const key = new Key()
const value = (n: number): Uint8Array => new Uint8Array(64).fill(n)

describe('a database', () => {
  test('keeps what was written through a clean shutdown', () => {
    const disks = blank()
    const db = open(disks)
    db.write((tx) => tx.put(BTREE, key.make(COOKIE, bpos(1, 2), value(3))))
    db.close()
    expect(contents(disks)).toEqual(new Map([['1:2:0', value(3).join()]]))
  })

  test('and what was flushed through a crash', () => {
    const disks = blank()
    const db = open(disks)
    db.write((tx) => tx.put(BTREE, key.make(COOKIE, bpos(1, 2), value(3))), { durability: 'flushed' })
    db.abandon()
    expect(contents(disks)).toEqual(new Map([['1:2:0', value(3).join()]]))
    const again = open(disks)
    again.write((tx) => tx.put(BTREE, key.make(COOKIE, bpos(1, 3), value(4))))
    again.close()
    expect(contents(disks).size).toBe(2)
  })

  test('flushes while it goes on, for several at once', () => {
    const disks = blank()
    const thread = new LazyThread()
    const db = open(disks, thread)
    const told: string[] = []
    const put = (n: number): void => void db.write((tx) => tx.put(BTREE, key.make(COOKIE, bpos(1, n), value(n))))
    put(1)
    db.flushLater((error) => told.push(`first ${error?.message ?? 'is there'}`))
    put(2)
    db.flushLater(() => told.push('second'))
    put(3)
    db.flushLater(() => told.push('third'))
    db.poll()
    expect(told).toEqual([])
    thread.work()
    db.poll()
    expect(told).toEqual(['first is there'])
    expect(thread.isBusy).toBe(true)
    thread.work()
    db.poll()
    expect(told).toEqual(['first is there', 'second', 'third'])
    put(4)
    db.flushLater(() => told.push('fourth'))
    db.flush() // does not begin before the other is done
    expect(told.at(-1)).toBe('fourth')
    db.flushLater(() => told.push('at once'))
    expect(told.at(-1)).toBe('at once')
    db.abandon()
    expect(contents(disks).size).toBe(4)
  })

  test('tells who waits that it failed', () => {
    const disks = blank()
    const thread = new LazyThread()
    const db = open(disks, thread)
    db.write((tx) => tx.put(BTREE, key.make(COOKIE, bpos(1, 1), value(1))))
    const told: (string | undefined)[] = []
    db.flushLater((error) => told.push(error?.code))
    thread.fail()
    db.poll()
    expect(told).toEqual(['EIO'])
    expect(() => db.write((tx) => tx.remove(BTREE, bpos(1, 1)))).toThrow('read only')
    db.abandon()
  })

  test('tells who waits that it failed when somebody else came upon that', () => {
    const disks = blank()
    const thread = new LazyThread()
    const db = open(disks, thread)
    const put = (n: number): void => void db.write((tx) => tx.put(BTREE, key.make(COOKIE, bpos(1, n), value(n))))
    put(1)
    const told: (string | undefined)[] = []
    db.flushLater((error) => told.push(error?.code))
    put(2)
    db.whenFlushed(db.flushedSeq + 2, (error) => told.push(error?.code))
    thread.fail()
    expect(() => db.flush()).toThrow()
    expect(told).toEqual(['EIO', 'EIO'])
    db.whenFlushed(db.flushedSeq + 2, (error) => told.push(error?.code))
    expect(told).toHaveLength(3)
    db.abandon()
  })

  test('many keys: nodes are split, and all are there', () => {
    const disks = blank()
    const db = open(disks)
    for (let i = 0; i < 20_000; i++) {
      const place = (i * 7919) % 20_000
      db.write((tx) => tx.put(BTREE, key.make(COOKIE, bpos(1, place), value(place % 256))))
    }
    db.close()
    const found = contents(disks)
    expect(found.size).toBe(20_000)
    expect(found.get('1:77:0')).toBe(value(77).join())
  })
})
