/**
 * What a thread does in the test of many readers: it reads all of a volume's btrees, each in its own order, and tells what it saw.
 */

import { BtreeId, openSharedVolume, POS_MIN, bpos, type SharedVolume, type Volume } from '@cowherd/db'
import { nativeCodecs, ThreadRegistry, type SharedPlace } from '@cowherd/shim'
import { openStore } from '@cowherd/store'
import { parentPort, workerData } from 'node:worker_threads'

export interface ReaderData {
  readonly registry: SharedPlace
  readonly id: number
  readonly devices: readonly string[]
  readonly shared: SharedVolume
  readonly seed: number
  readonly rounds: number
}

/** By btree and level, or the number of a search: a sum over all that was found. */
export type Sight = Readonly<Record<string, number>>

const SEARCHES = 64

/** The thread's whole life. */
export function run(): void {
  const { registry, id, devices, shared, seed, rounds } = workerData as ReaderData
  new ThreadRegistry(registry).enter(id)
  const stores = devices.map((path) => openStore(path, { lock: false }))
  const volume = openSharedVolume(stores, shared, { codecs: nativeCodecs() })
  const sights: Sight[] = []
  for (let round = 0; round < rounds; round++) sights.push(look(volume, seed + round))
  volume.close()
  parentPort?.postMessage(sights)
}

/** Reads everything, in an order that `seed` chooses. */
export function look(volume: Volume, seed: number): Sight {
  const tasks: [string, () => number][] = []
  for (const btree of volume.btreeIds) {
    for (let level = volume.rootLevel(btree); level >= 0; level--) {
      tasks.push([`btree ${btree} level ${level}`, () => walk(volume, btree, level)])
    }
  }
  for (let i = 0; i < SEARCHES; i++) tasks.push([`search ${i}`, () => search(volume, i)])
  let state = seed | 1
  for (let i = tasks.length - 1; i > 0; i--) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    const j = (state >>> 8) % (i + 1)
    const task = tasks[i]
    tasks[i] = tasks[j]
    tasks[j] = task
  }
  return Object.fromEntries(tasks.map(([name, act]): [string, number] => [name, act()]).sort())
}

function walk(volume: Volume, btree: number, level: number): number {
  const cursor = volume.cursor(btree, level)
  let sum = 1
  for (let found = cursor.seek(POS_MIN); found; found = cursor.next())
    sum = added(sum, cursor.key.words, cursor.key.u64s * 2)
  return sum
}

function search(volume: Volume, i: number): number {
  let sum = 1
  for (const btree of [BtreeId.extents, BtreeId.inodes, BtreeId.dirents, BtreeId.alloc, BtreeId.backpointers]) {
    const cursor = volume.cursor(btree)
    if (cursor.seek(bpos((i * 7919) % 5000, (i * 104729) % 50000)))
      sum = added(sum, cursor.key.words, cursor.key.u64s * 2)
  }
  return sum
}

function added(sum: number, words: Uint32Array, count: number): number {
  for (let i = 0; i < count; i++) sum = (Math.imul(sum, 31) + words[i]) | 0
  return sum
}
