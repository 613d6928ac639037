/**
 * A volume goes from hand to hand: made and written by us, mounted and written by Linux, written by us again, with the real fsck in between.
 * What each wrote is there in the end.
 */

import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { bpos, Key, makeVolume, openDatabase, type Database, type KeyType } from '@cowherd/db'
import { addFirstKeys, fsKeyTypes } from '@cowherd/fs'
import { Random } from '@cowherd/fuzz'
import { referee } from '@cowherd/referee'
import { nativeCodecs } from '@cowherd/shim'
import { openWritableStore } from '@cowherd/store'
import { afterAll, describe, expect, test } from 'vitest'

const MIB = 2 ** 20
const codecs = nativeCodecs()
const source = new Random(1)
const random = (target: Uint8Array): void => void source.fill(target)
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cowherd-interop-'))
afterAll(() => fs.rmSync(folder, { recursive: true }))

/** A btree and a key type of our own, which Linux doesn't know. */
const OWN_BTREE = 21
const own: KeyType = { number: 40, name: 'own', minValueBytes: 8 }

function blankVolume(name: string, devices: number): string[] {
  const paths = Array.from({ length: devices }, (_, i) => path.join(folder, `${name}.${i}.img`))
  const stores = paths.map((each) => {
    fs.writeFileSync(each, '')
    fs.truncateSync(each, 96 * MIB)
    return openWritableStore(each)
  })
  makeVolume(
    stores.map((device) => ({ device, blockBytes: 4096 })),
    {
      ...{ codecs, random, nowNs: 1_750_000_000_000_000_000n },
      options: { metadataReplicas: Math.min(devices, 2) },
      fill: (builder) => addFirstKeys(builder, { codecs, random, strHash: 'siphash' }),
    },
  )
  for (const store of stores) store.close()
  return paths
}

function open(paths: readonly string[]): Database {
  const devices = paths.map((each) => openWritableStore(each))
  return openDatabase(devices, { codecs, random, keyTypes: [...fsKeyTypes, own] })
}

function put(db: Database, round: number, keys: number): void {
  const key = new Key()
  const value = new Uint8Array(40).fill(round)
  for (let i = 0; i < keys; i++) {
    db.write((tx) => {
      tx.put(OWN_BTREE, key.make(own.number, bpos(round, (i * 7919) % keys), value))
      if (i % 3 === 0 && round > 1) tx.remove(OWN_BTREE, bpos(round - 1, i))
    })
  }
}

function count(db: Database): number {
  const cursor = db.cursor(OWN_BTREE)
  let keys = 0
  for (let found = cursor.seek(bpos(0, 0)); found; found = cursor.next()) keys++
  return keys
}

async function isFaultless(paths: readonly string[]): Promise<void> {
  const { code, complaints, stdout, stderr } = await referee.fsck(paths)
  expect(code === 0 && complaints.length === 0 ? '' : stdout + stderr).toBe('')
}

/** Has Linux mount each volume, write to it, and list what it wrote: one machine for all. */
async function linuxWrites(volumes: Readonly<Record<string, readonly string[]>>, round: string): Promise<string[]> {
  const disks: Record<string, string> = {}
  const jobs = Object.entries(volumes).map(([name, paths]) => {
    paths.forEach((each, i) => (disks[`${name}${i}`] = each))
    const devices = paths.map((_, i) => `/disk/${name}${i}`).join(':')
    const script = `set -e
      mount -t bcachefs ${devices} $MNT
      mkdir -p $MNT/dir
      for i in 1 2 3 4 5 6 7 8 9; do head -c 70000 /dev/urandom > $MNT/dir/${round}$i; done
      sync; ls $MNT/dir | wc -l; umount $MNT`
    return { name, script }
  })
  const result = await referee.vm({ disks, jobs })
  return jobs.map(({ name }) => {
    const { code, output, kernelLog } = result.jobs[name]
    expect(code, output + kernelLog).toBe(0)
    expect(kernelLog).not.toMatch(/error|inconsist|fixing/i)
    return output.trim()
  })
}

describe.skipIf(!referee.available())('a volume goes', () => {
  test('from us to Linux, back to us, to Linux and to us', { timeout: 600_000 }, async () => {
    const volumes = { one: blankVolume('one', 1), two: blankVolume('two', 2) }
    const each = async (turn: (paths: readonly string[]) => void): Promise<void> => {
      for (const paths of Object.values(volumes)) {
        turn(paths)
        await isFaultless(paths)
      }
    }
    await each((paths) => {
      const db = open(paths)
      put(db, 1, 5000)
      db.close()
    })
    expect(await linuxWrites(volumes, 'a')).toEqual(['9', '9'])
    await each((paths) => {
      const db = open(paths)
      expect(count(db)).toBe(5000)
      put(db, 2, 3000)
      db.flush()
      db.abandon()
    })
    expect(await linuxWrites(volumes, 'b')).toEqual(['18', '18'])
    await each((paths) => {
      const db = open(paths)
      expect(count(db)).toBe(5000 + 3000 - 1000)
      put(db, 3, 2000)
      db.close()
    })
  })
})
