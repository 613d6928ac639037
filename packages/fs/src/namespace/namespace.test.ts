/**
 * Random calls on a filesystem and on its model, over one subvolume and over several that share what they began with. Names collide in their
 * hashes: every rule of the hash tables is used. Then the judges look at the volume, shut down and with the power cut.
 */

import { openDatabase } from '@cowherd/db'
import { fuzzCodecs as codecs, Random } from '@cowherd/fuzz'
import { writableMemoryStore } from '@cowherd/store'
import { describe, expect, test } from 'vitest'
import { fsDatabaseParts } from '../database-parts.ts'
import type { Time } from '../file-system-writer.ts'
import { collidingNames } from '../testing/colliding-names.ts'
import { takeSnapshot } from '../testing/take-snapshot.ts'
import { TreeDriver } from '../testing/tree-driver.ts'
import { BIRTH_SECONDS, blankDisk, cutPower, judge, openDisk } from '../testing/volumes.ts'

const isSoak = process.env['COWHERD_SOAK'] === '1'
const STEPS = isSoak ? 20_000 : 600
const COMPARED_EVERY = isSoak ? 500 : 60
const SEEDS = Array.from({ length: isSoak ? 20 : 3 }, (_, i) => (isSoak ? Date.now() % 1_000_000 : 0) + i)
const NAMES = [...collidingNames(), 'a', 'b', 'lost+found', 'x'.repeat(255)]
const SLOW = isSoak ? 3_600_000 : 120_000

class Run {
  readonly disk: Uint8Array
  readonly driver: TreeDriver
  private seconds = BIRTH_SECONDS
  private readonly now = (): Time => ({ seconds: this.seconds, nanoseconds: 0 })

  constructor(seed: number, strHash: 'crc32c' | 'siphash' = 'crc32c') {
    this.disk = blankDisk({ options: { strHash } })
    const random = new Random(seed)
    const setTime = (seconds: number): void => {
      this.seconds = seconds
    }
    this.driver = new TreeDriver(openDisk(this.disk, this.now), random, NAMES, BIRTH_SECONDS, setTime)
  }

  private get hasSnapshots(): boolean {
    return this.driver.trees.length > 1
  }

  steps(count: number): void {
    for (let i = 1; i <= count; i++) {
      this.driver.step()
      if (i % COMPARED_EVERY === 0) this.driver.compare()
    }
  }

  /** As after a power cut that comes when all is on stable storage. */
  async cutPower(): Promise<void> {
    this.driver.fs.sync()
    const cut = cutPower(this.disk)
    await judge(cut, true, this.hasSnapshots)
    const { fs } = this.driver
    this.driver.fs = openDisk(cut, this.now)
    this.driver.compareNamed()
    this.driver.fs.close()
    this.driver.fs = fs
    await judge(cut)
  }

  /** Shuts down. */
  async close(withReferee: boolean): Promise<void> {
    this.driver.fs.close()
    this.driver.forgetAll()
    await judge(this.disk, withReferee, this.hasSnapshots)
  }

  reopen(): void {
    this.driver.fs = openDisk(this.disk, this.now)
    this.driver.compare()
  }

  async takeSnapshot(source: number, id: number, name: string): Promise<void> {
    await this.close(false)
    const db = openDatabase([writableMemoryStore(this.disk, 'disk')], {
      ...fsDatabaseParts,
      ...{ codecs, random: (target) => void new Random(9).fill(target) },
    })
    const tree = this.driver.trees[source - 1]
    const directory = tree.root
    takeSnapshot(db, { source, id, directory: this.driver.ref(directory), name })
    db.close()
    this.driver.addSnapshot(tree, id, directory, name)
    this.reopen()
  }
}

describe.each(SEEDS)('seed %d', (seed) => {
  test('one subvolume', { timeout: SLOW }, async () => {
    const run = new Run(seed)
    run.steps(STEPS)
    await run.cutPower()
    run.steps(STEPS / 4)
    await run.close(true)
    run.reopen()
    run.steps(STEPS / 4)
    await run.close(true)
  })

  test('two subvolumes, then three', { timeout: SLOW }, async () => {
    const run = new Run(seed + 100)
    run.steps(STEPS / 4)
    await run.takeSnapshot(1, 2, 'snapshot-2')
    run.steps(STEPS / 2)
    await run.cutPower()
    await run.takeSnapshot(2, 3, 'snapshot-3')
    run.steps(STEPS / 2)
    await run.cutPower()
    await run.close(true)
    run.reopen()
  })
})

test('names hashed as Linux does by itself', { timeout: SLOW }, async () => {
  const run = new Run(1, 'siphash')
  run.steps(STEPS / 2)
  await run.close(true)
  run.reopen()
  expect(run.driver.trees).toHaveLength(1)
})
