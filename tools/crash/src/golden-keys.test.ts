/**
 * Volumes that Linux made, as databases: opened for writing, clean or not, changed key by key at random so that they stay what they are, killed
 * and shut down. In the end nothing but those keys has changed, and the real fsck finds nothing to say.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BtreeId, Key, openDatabase, openVolume, POS_MIN, type Database } from '@cowherd/db'
import { fixture, fixtureNames } from '@cowherd/fixtures'
import { fsDatabaseParts } from '@cowherd/fs'
import { fuzzCodecs as codecs, Random } from '@cowherd/fuzz'
import { referee } from '@cowherd/referee'
import { dumpKeys, verifyVolume } from '@cowherd/verify'
import { describe, expect, test } from 'vitest'
import { goldenSteps, isSoak, seed, timeoutMs } from './budget.ts'
import { devicesOf } from './database-run.ts'
import { Image } from './image.ts'
import { KeyModel } from './key-model.ts'
import { btreesOf, PLAIN, randomChanges } from './random-changes.ts'

/** The same, where the volumes have nothing: far behind their inodes, and their ids of users. */
const FAR = 1 << 20
const KINDS = PLAIN.map((kind) => ({
  ...kind,
  place: (random: Random) => {
    const pos = kind.place(random)
    pos[1] += FAR
    return pos
  },
}))

/** What files are made of; each of these keys is written again as it is. */
const CONTENT = [BtreeId.extents, BtreeId.inodes, BtreeId.dirents, BtreeId.xattrs, BtreeId.reflink]
/** What only tells of other keys, and what the start of a volume has done. */
const DERIVED: ReadonlySet<number> = new Set([
  ...[BtreeId.alloc, BtreeId.freespace, BtreeId.needDiscard, BtreeId.lru, BtreeId.bucketGens],
  ...[BtreeId.backpointers, BtreeId.accounting, BtreeId.rebalanceWork, BtreeId.deletedInodes, BtreeId.loggedOps],
])
/** The driver that made this one left what fsck complains of: format chapter 5, 5.7.7. */
const FAULTY = 'snapshots'
const SAMPLE = ['default', 'encrypted', 'reflink', 'replicas', 'unclean']

interface Golden {
  readonly images: readonly Image[]
  readonly passphrase: string | undefined
}

async function load(name: string): Promise<Golden> {
  const { devices, passphrase } = fixture(name)
  const images = devices.map((path) => Image.load(path))
  if (name !== FAULTY) return { images, passphrase }
  return await inFiles(images, async (paths) => {
    await referee.bcachefs(['fsck', '-y', ...paths])
    return { images: paths.map((path) => Image.load(path)), passphrase }
  })
}

async function inFiles<T>(images: readonly Image[], use: (paths: readonly string[]) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'cowherd-crash-'))
  try {
    const paths = images.map((image, i) => {
      const path = join(folder, `${i}.img`)
      image.save(path)
      return path
    })
    return await use(paths)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function optionsOf({ passphrase }: Golden) {
  const typed = passphrase === undefined ? undefined : new TextEncoder().encode(passphrase)
  return { codecs, keyTypes: fsDatabaseParts.keyTypes, passphrase: () => typed, note: () => undefined }
}

function open(golden: Golden, ...chance: readonly number[]): Database {
  const random = new Random(...chance)
  return openDatabase(devicesOf(golden.images), {
    ...optionsOf(golden),
    ...fsDatabaseParts,
    cacheBytes: 4 << 20,
    random: (target) => void random.fill(target),
  })
}

function contentOf(golden: Golden): Map<string, string> {
  const keys = dumpKeys(openVolume(devicesOf(golden.images), optionsOf(golden)))
  for (const name of keys.keys()) if (DERIVED.has(Number(name.split(':', 1)[0]))) keys.delete(name)
  return keys
}

/** Some of the keys that files are made of, at random. */
function someKeys(db: Database, random: Random, count: number): { btree: number; key: Key }[] {
  const found: { btree: number; key: Key }[] = []
  for (const btree of CONTENT) {
    const cursor = db.cursor(btree)
    for (let more = cursor.seek(POS_MIN); more; more = cursor.next()) {
      if (cursor.key.offset >= FAR || !random.chance(0.2)) continue
      const key = new Key()
      key.set(cursor.key.words, 0)
      found.push({ btree, key })
    }
  }
  return Array.from({ length: found.length === 0 ? 0 : count }, () => random.pick(found))
}

describe.skipIf(!referee.available())('keys of a volume that Linux made', () => {
  test.each(fixtureNames().filter((name) => isSoak || SAMPLE.includes(name)))(
    '%s',
    { timeout: timeoutMs },
    async (name) => {
      const golden = await load(name)
      const random = new Random(seed, fixtureNames().indexOf(name))
      const model = new KeyModel()
      open(golden, seed, 0).close() // what its start has to do is done
      const expected = contentOf(golden)

      for (let opening = 1; opening <= 3; opening++) {
        const db = open(golden, seed, opening)
        const touched = someKeys(db, random, goldenSteps)
        for (let step = 0; step < goldenSteps; step++) {
          const changes = randomChanges(random, model, KINDS, step + 1)
          const again = touched.slice(step, step + 1)
          db.write((tx) => {
            for (const { btree, pos, key } of changes) {
              if (key === undefined) tx.remove(btree, pos)
              else tx.put(btree, key)
            }
            for (const { btree, key } of again) tx.put(btree, key)
          })
          model.apply(changes)
          if (random.chance(0.02)) db.writeBack()
        }
        db.flush()
        if (opening === 2) db.abandon()
        else db.close()
      }

      for (const [pos, text] of model.dump(btreesOf(KINDS))) expected.set(pos, text)
      expect([...contentOf(golden)].sort()).toEqual([...expected].sort())
      const { passphrase } = golden
      expect(verifyVolume(devicesOf(golden.images), optionsOf(golden))).toEqual([])
      const verdict = await inFiles(golden.images, (paths) =>
        referee.fsck(paths, passphrase === undefined ? {} : { input: `${passphrase}\n` }),
      )
      expect(verdict).toMatchObject({ complaints: [], clean: true })
    },
  )
})
