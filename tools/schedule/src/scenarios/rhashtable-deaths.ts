/**
 * Scenarios in which thread 0 dies while it changes or resizes a hashtable, at whichever step the test says. The other gets
 * everything done: nothing is lost, nothing is there twice, resizing comes to an end, and the room of what was freed is not read.
 */

import { ThreadRegistry } from '@cowherd/shim'
import type { Scenario } from '../scenario.ts'
import { checkKeys, hashing, prepareTable, type Hashing } from './hashing.ts'
import { firstId, must } from './room.ts'

/** Who dies does `act`, and who lives comes behind or at the same time. Of the keys `perhaps`, any may be there in the end. */
function death(
  before: readonly number[],
  after: readonly number[],
  perhaps: readonly number[],
  act: (view: Hashing) => void,
  live: (view: Hashing) => void,
): Scenario {
  return {
    prepare: (memory) => prepareTable(memory, 2, before),
    threads: [hashing(0, act), hashing(1, live)],
    died: (memory) => new ThreadRegistry({ buffer: memory, offset: 0 }).markDead(firstId),
    check: (memory) => checkKeys(memory, after, perhaps),
    timeouts: 12,
  }
}

function settles({ resize, rcu }: Hashing): void {
  for (let i = 0; i < 4; i++) {
    resize(8)
    rcu.quiescent()
  }
}

/** Looks everything up, puts one in, takes one out, all in the bucket that the other is at. */
function works(view: Hashing): void {
  const { find, table, object } = view
  for (const key of [2, 3]) must(find(key) !== 0, `key ${key} is found`)
  must(table.insert(object(9, 6)), 'inserted')
  must(find(6) !== 0, 'found')
  must(table.removeKey(3) !== 0, 'removed')
  must(find(3) === 0, 'not found')
  settles(view)
  must(find(2) !== 0 && find(6) !== 0, 'found after resizing')
}

const four = [1, 2, 3, 4]

export const scenarios: Readonly<Record<string, Scenario>> = {
  'dies inserting': death([1, 2, 3], [1, 2, 6], [7], ({ table, object }) => table.insert(object(8, 7)), works),
  'dies inserting where it grows': death(
    [1, 2, 3, 4],
    [1, 2, 4, 6],
    [7, 8],
    ({ table, object }) => {
      table.insert(object(10, 7))
      table.insert(object(11, 8))
    },
    works,
  ),
  'dies removing': death([1, 2, 3], [2, 6], [1], ({ table }) => table.removeKey(1), works),
  'dies replacing': death(
    [1, 2, 3],
    [1, 2, 6],
    [],
    ({ table, object, find }) => table.replace(find(1), object(8, 1)),
    works,
  ),
  'dies resizing': death(four, [1, 2, 4, 6], [], ({ resize }) => resize(8), works),
  'dies removing where it shrinks': death(
    [1, 2, 3, 4, 5, 7],
    [1, 2, 4, 6],
    [5, 7],
    ({ table, resize, rcu }) => {
      resize(8)
      rcu.quiescent()
      table.removeKey(5)
      table.removeKey(7)
      resize(8)
    },
    works,
  ),
}
