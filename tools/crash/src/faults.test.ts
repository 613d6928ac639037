/**
 * Devices that fail while a database is at work. The volume turns read only with an error that says why; what was flushed is there
 * afterwards, and nothing of what was not whole. With copies on another device it goes on.
 */

import { bpos, Key, VolumeError, type Database } from '@cowherd/db'
import { Random } from '@cowherd/fuzz'
import { DeviceError, type WritableBlockDevice } from '@cowherd/shim'
import { describe, expect, test } from 'vitest'
import { seed } from './budget.ts'
import { devicesOf, faultsOn, keysOn, newDisks, openRun, type RunShape } from './database-run.ts'
import { failing, FAILURES, type Failure } from './failing.ts'
import type { Image } from './image.ts'

const OWN_BTREE = 21
const COOKIE = 3
const MIB = 2 ** 20
const TRANSACTIONS = 400
const FLUSH_EVERY = 20

const shapeOf = (devices: number): RunShape => ({
  ...{ devices, sizeBytes: 32 * MIB, nodeBytes: 64 << 10, blockBytes: 4096, copies: Math.min(devices, 2) },
})

/** Puts one key in each transaction. Returns how many were flushed, and what ended it. */
function work(db: Database, random: Random): { flushed: number; done: number; error: unknown } {
  const key = new Key()
  let flushed = 0
  let done = 0
  try {
    for (; done < TRANSACTIONS; done++) {
      const value = new Uint8Array(8 + 8 * random.below(100)).fill(done)
      db.write((tx) => tx.put(OWN_BTREE, key.make(COOKIE, bpos(1, done), value)))
      if (done % FLUSH_EVERY !== FLUSH_EVERY - 1) continue
      db.flush()
      flushed = done + 1
    }
    db.close()
    return { flushed: TRANSACTIONS, done, error: undefined }
  } catch (error) {
    return { flushed, done, error }
  }
}

/** Undefined if the devices fail before the database is open. */
function openFailing(devices: readonly WritableBlockDevice[]): Database | undefined {
  try {
    return openRun(devices, seed)
  } catch (error) {
    expect(error).toBeInstanceOf(DeviceError)
    return undefined
  }
}

/** The numbers of the transactions that are there. */
function found(images: readonly Image[]): number {
  return keysOn(devicesOf(images), [OWN_BTREE]).size
}

describe.each(FAILURES)('a device fails: %s', (failure: Failure) => {
  test('on one device the volume turns read only, and what was flushed is there', () => {
    for (let commands = 5; commands < 400; commands = Math.ceil(commands * 1.5)) {
      const random = new Random(seed, commands)
      const images = newDisks(shapeOf(1), seed, false)
      const db = openFailing([failing(devicesOf(images)[0], failure, commands)])
      if (db === undefined) continue
      const { flushed, error } = work(db, random)
      if (error !== undefined) {
        expect(error, `after ${commands} commands`).toBeInstanceOf(VolumeError)
        // closed, if it failed while it was shut down
        expect(() => db.write((tx) => tx.remove(OWN_BTREE, bpos(1, 1)))).toThrow(/read only|closed/)
        expect(() => db.flush()).toThrow(/read only|closed/)
        db.close()
      }
      expect(found(images), `after ${commands} commands`).toBeGreaterThanOrEqual(flushed)
      expect(faultsOn(devicesOf(images)), `after ${commands} commands`).toEqual([])
      const again = openRun(devicesOf(images), seed, 2)
      again.close()
      expect(faultsOn(devicesOf(images)), `recovered after ${commands} commands`).toEqual([])
    }
  })

  test('with a copy on another device it goes on', () => {
    for (let commands = 5; commands < 400; commands = Math.ceil(commands * 1.5)) {
      const where = `after ${commands} commands`
      const random = new Random(seed, commands)
      const images = newDisks({ ...shapeOf(2), dataCopies: 2 }, seed, false)
      const [first, second] = devicesOf(images)
      const db = openFailing([failing(first, failure, commands), second])
      if (db === undefined) continue
      const { flushed, error } = work(db, random)
      expect(error, where).toBeUndefined()
      expect(flushed, where).toBe(TRANSACTIONS)
      expect(found(images), where).toBe(TRANSACTIONS)
    }
  })
})
