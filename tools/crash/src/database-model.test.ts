/** A database holds what a sorted list would hold, through any row of transactions, shutdowns and crashes of the process. */

import {
  bpos,
  BtreeId,
  compareBpos,
  Key,
  KEY_POS_AT,
  POS_MIN,
  type Database,
  type Durability,
  VolumeError,
} from '@cowherd/db'
import { Random } from '@cowherd/fuzz'
import { referee } from '@cowherd/referee'
import { valueText } from '@cowherd/verify'
import { describe, expect, test } from 'vitest'
import { modelSteps, seed, timeoutMs } from './budget.ts'
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
import { KeyModel, type Change } from './key-model.ts'
import { faultsOf } from './testing.ts'
import { btreesOf, randomChanges, SNAPSHOTS, VARIED } from './random-changes.ts'

const MIB = 2 ** 20
const KIB = 2 ** 10
const WHITEOUT = 1

type Transaction = Parameters<Parameters<Database['write']>[0]>[0]

const SHAPES: Readonly<Record<string, RunShape>> = {
  'small nodes and blocks': { devices: 1, sizeBytes: 24 * MIB, nodeBytes: 64 * KIB, blockBytes: 512, copies: 1 },
  'blocks of 4 KiB': { devices: 1, sizeBytes: 48 * MIB, nodeBytes: 128 * KIB, blockBytes: 4096, copies: 1 },
  'large nodes': { devices: 1, sizeBytes: 64 * MIB, nodeBytes: 256 * KIB, blockBytes: 4096, copies: 1 },
  'three devices, one copy': { devices: 3, sizeBytes: 24 * MIB, nodeBytes: 64 * KIB, blockBytes: 4096, copies: 1 },
  'three devices, two copies': { devices: 3, sizeBytes: 24 * MIB, nodeBytes: 64 * KIB, blockBytes: 512, copies: 2 },
  encrypted: { devices: 1, sizeBytes: 24 * MIB, nodeBytes: 64 * KIB, blockBytes: 4096, copies: 1, isEncrypted: true },
}

const BTREES = btreesOf(VARIED)

class ModelRun {
  private readonly random: Random
  private readonly images: Image[]
  private readonly log: TransactionLog
  private db: Database
  /** How many transactions are on stable storage at least. */
  private flushed = 0
  private opened = 0

  constructor(shape: RunShape, name: number) {
    this.random = new Random(seed, name)
    this.images = newDisks(shape, seed, true)
    this.log = new TransactionLog(devicesOf(this.images), BTREES)
    this.db = this.open()
  }

  step(): void {
    const { random } = this
    const roll = random.below(100)
    if (roll < 80) this.write()
    else if (roll < 84) this.refuse()
    else if (roll < 92) this.read()
    else if (roll < 95) this.flush()
    else if (roll < 97) this.db.writeBack()
    else this.reopen()
  }

  finish(): void {
    this.shutDown()
  }

  private open(): Database {
    return openRun(devicesOf(this.images), seed, this.opened++)
  }

  private write(): void {
    const { random, log } = this
    const changes = randomChanges(random, log.model, VARIED, log.count + 1)
    const durability: Durability = random.chance(0.1) ? 'flushed' : random.chance(0.2) ? 'journaled' : 'memory'
    commit(this.db, changes, { durability })
    log.add(changes)
    if (durability === 'flushed') this.flushed = log.count
  }

  private flush(): void {
    this.db.flush()
    this.flushed = this.log.count
  }

  /** Transactions that throw leave nothing. */
  private refuse(): void {
    const { random, log } = this
    const changes = randomChanges(random, log.model, VARIED, log.count + 1)
    if (random.chance(0.5)) {
      tentatively(this.db, (tx) => put(tx, changes))
      return
    }
    const wrong = new Key().make(31, POS_MIN, new Uint8Array(8))
    expect(() => commit(this.db, [...changes, { btree: BtreeId.quotas, pos: POS_MIN, key: wrong }])).toThrow(/quotas/)
  }

  /** Looks up at random, inside a transaction and outside. */
  private read(): void {
    const { random, log, db } = this
    const { model } = log
    const kind = random.pick(VARIED)
    const changes = randomChanges(random, model, [kind], log.count + 1)
    const changed = model.copy()
    changed.apply(changes)
    const rows = changed.rowsOf(kind.btree)
    const places = Array.from({ length: 10 }, () =>
      rows.length > 0 && random.chance(0.5) ? random.pick(rows).pos : kind.place(random),
    )
    for (const pos of places) checkCursor(db, model, kind.btree, pos)
    if (kind.btree <= BtreeId.xattrs) this.readSnapshot(kind.btree)
    tentatively(db, (tx) => {
      const key = new Key()
      put(tx, changes)
      for (const pos of places) {
        expect(tx.get(kind.btree, pos, key) ? valueText(key) : undefined).toBe(changed.at(kind.btree, pos)?.text)
        expectRow(tx.peek(kind.btree, pos, key) ? key : undefined, changed.first(kind.btree, pos))
        expectRow(tx.peekBack(kind.btree, pos, key) ? key : undefined, changed.last(kind.btree, pos))
      }
    })
  }

  private readSnapshot(btree: number): void {
    const id = this.random.pick([SNAPSHOTS.root, ...SNAPSHOTS.leaves])
    const cursor = this.db.snapshotCursor(btree, id)
    const rows = this.log.model.view(btree, new Set([id, SNAPSHOTS.root]), WHITEOUT)
    let at = 0
    for (let found = cursor.seek(POS_MIN); found; found = cursor.next()) expectRow(cursor.key, rows.at(at++))
    expect(at).toBe(rows.length)
  }

  private reopen(): void {
    const { random } = this
    if (random.chance(0.4)) this.shutDown()
    else this.crash()
    this.db = this.open()
    expect(faultsOn(devicesOf(this.images))).toEqual([])
    expect(differenceOf(keysOn(devicesOf(this.images), BTREES), this.log.model.dump(BTREES))).toBeUndefined()
  }

  private shutDown(): void {
    this.db.close()
    this.flushed = this.log.count
    expect(faultsOn(devicesOf(this.images))).toEqual([])
    expect(differenceOf(keysOn(devicesOf(this.images), BTREES), this.log.model.dump(BTREES))).toBeUndefined()
  }

  /** The process ends; what it had handed to the disks is there. */
  private crash(): void {
    const { log } = this
    this.db.abandon()
    expect(faultsOn(devicesOf(this.images))).toEqual([])
    log.cutTo(log.recognize(keysOn(devicesOf(this.images), BTREES), BTREES, this.flushed))
    this.flushed = log.count
  }
}

/** Runs `look` in a transaction that comes to nothing. */
function tentatively(db: Database, look: (tx: Transaction) => void): void {
  const given = new Error('given up')
  try {
    db.write((tx) => {
      look(tx)
      throw given
    })
  } catch (error) {
    if (error !== given) throw error
  }
}

function put(tx: Transaction, changes: readonly Change[]): void {
  for (const { btree, pos, key } of changes) {
    if (key === undefined) tx.remove(btree, pos)
    else tx.put(btree, key)
  }
}

function checkCursor(db: Database, model: KeyModel, btree: number, pos: Uint32Array): void {
  const cursor = db.cursor(btree)
  const rows = model.rowsOf(btree)
  const first = model.first(btree, pos)
  let at = first === undefined ? rows.length : rows.indexOf(first)
  let found = cursor.seek(pos)
  for (let steps = 0; steps < 5; steps++, at++) {
    expectRow(found ? cursor.key : undefined, rows.at(at))
    if (!found) break
    found = cursor.next()
  }
  const last = model.last(btree, pos)
  at = last === undefined ? -1 : rows.indexOf(last)
  found = cursor.seekBack(pos)
  for (let steps = 0; steps < 5; steps++, at--) {
    expectRow(found ? cursor.key : undefined, at < 0 ? undefined : rows[at])
    if (!found) break
    found = cursor.previous()
  }
}

function expectRow(key: Key | undefined, row: { pos: Uint32Array; text: string } | undefined): void {
  expect(key === undefined ? undefined : valueText(key)).toBe(row?.text)
  if (key !== undefined && row !== undefined) expect(compareBpos(key.words, KEY_POS_AT, row.pos, 0)).toBe(0)
}

describe('a database beside its model', () => {
  test.each(Object.keys(SHAPES))('%s', { timeout: timeoutMs }, (name) => {
    const run = new ModelRun(SHAPES[name], Object.keys(SHAPES).indexOf(name))
    for (let step = 0; step < modelSteps; step++) {
      try {
        run.step()
      } catch (error) {
        throw new Error(`seed ${seed}, step ${step}`, { cause: error })
      }
    }
    run.finish()
  })
})

describe('a full volume', () => {
  const shape: RunShape = { devices: 1, sizeBytes: 16 * MIB, nodeBytes: 64 * KIB, blockBytes: 4096, copies: 1 }
  const QUOTA = 13
  const KEYS_AT_ONCE = 8
  /** Transactions that fit for sure: 1.5 MiB of keys. Nodes that were filled in order are half empty. */
  const LEAST = 100

  /** Keys of nearly 2 KiB each, from number `first` on. */
  const large = (first: number): Change[] =>
    Array.from({ length: KEYS_AT_ONCE }, (_, i) => {
      const pos = bpos(0, first + i)
      return { btree: BtreeId.quotas, pos, key: new Key().make(QUOTA, pos, new Uint8Array(1900).fill(first)) }
    })

  /** Adds keys until there is no room. Returns how many transactions that took. */
  function fill(db: Database, model: KeyModel): number {
    for (let count = 0; ; count++) {
      const changes = large(count * KEYS_AT_ONCE)
      try {
        commit(db, changes)
      } catch (error) {
        if (!(error instanceof VolumeError && error.code === 'ENOSPC')) throw error
        return count
      }
      model.apply(changes)
    }
  }

  test('says so, can be emptied, and filled again', { timeout: timeoutMs }, async () => {
    const images = newDisks(shape, seed, false)
    const model = new KeyModel()
    const expectSame = async (): Promise<void> => {
      expect(faultsOn(devicesOf(images))).toEqual([])
      if (referee.available()) expect(await faultsOf(images)).toBe('')
      const keys = keysOn(devicesOf(images), [BtreeId.quotas])
      expect(differenceOf(keys, model.dump([BtreeId.quotas]))).toBeUndefined()
    }
    let before = LEAST
    for (let round = 0; round < 3; round++) {
      let db = openRun(devicesOf(images), seed, round)
      const count = fill(db, model)
      expect(count).toBeGreaterThan(before * 0.9)
      before = count
      if (round === 1) {
        db.flush()
        db.abandon()
      } else db.close()
      await expectSame()
      db = openRun(devicesOf(images), seed, round, 1)
      for (let i = 0; i < count; i++) {
        const changes = large(i * KEYS_AT_ONCE).map((change) => ({ ...change, key: undefined }))
        commit(db, changes, { frees: true })
        model.apply(changes)
      }
      db.close()
      await expectSame()
    }
  })
})
