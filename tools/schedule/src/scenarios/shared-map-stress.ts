/** What real threads do with one `SharedMap` in the stress test: they count in it, and put in and take out what is theirs. */

import { SharedMap, type SharedMapDescriptor } from '@cowherd/rhashtable'
import { ThreadRegistry } from '@cowherd/shim'
import { parentPort, workerData } from 'node:worker_threads'

export const COUNTERS = 5

export interface MapStressData {
  readonly map: SharedMapDescriptor
  readonly id: number
  readonly rounds: number
}

/** The thread's whole life. */
export function run(): void {
  const { map: descriptor, id, rounds } = workerData as MapStressData
  new ThreadRegistry(descriptor.registry).enter(id)
  const map = new SharedMap<string, unknown>(descriptor)
  for (let round = 0; round < rounds; round++) {
    map.update(`counter ${round % COUNTERS}`, (count) => Number(count ?? 0) + 1)
    const own = `${id} ${round}`
    map.set(own, { round, text: 'x'.repeat(round % 50) })
    const value = map.get(own) as { round: number } | undefined
    if (value?.round !== round) throw new Error(`violated: ${own} is lost`)
    if (round >= 100 && !map.delete(`${id} ${round - 100}`)) throw new Error(`violated: nothing to delete`)
    if (round % 500 === 0) for (const key of map.keys()) map.has(key)
  }
  for (let round = Math.max(0, rounds - 100); round < rounds; round++) map.delete(`${id} ${round}`)
  parentPort?.postMessage('done')
}
