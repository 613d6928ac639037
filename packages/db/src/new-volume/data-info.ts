/**
 * What follows from the extents of a volume that is being built: the sectors of buckets, back pointers, and counters. What
 * `space/pointer-trigger.ts` does with one extent after another is done here with all of them at once. Format chapter 4, 4.4 and 4.5.2.
 */

import { BPOS_WORDS, copyBpos } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import { DataType } from '../data-types.ts'
import { entriesStart, ExtentPointers } from '../extent-entries.ts'
import { AccountingType } from '../key-types/accounting.ts'
import { makeBackpointer } from '../key-types/backpointer.ts'
import { Key, KEY_BYTES, KEY_POS_AT } from '../key.ts'
import type { Counters } from './alloc-info.ts'
import type { DeviceSpace } from './device-space.ts'
import { KeyHeap } from './key-heap.ts'

export interface DataInfo {
  readonly backpointers: KeyHeap
  /** The sets of devices that hold file data, each in order. */
  readonly deviceSets: readonly (readonly number[])[]
}

/** Of an unpacked key. */
const BACKPOINTER_BYTES = 72

/** `extents`: sorted, of plain data. Counts what they have in `spaces` and `counters`. Throws KeyError for malformed ones. */
export function followExtents(extents: KeyHeap, spaces: readonly DeviceSpace[], counters: Counters): DataInfo {
  const backpointers = new KeyHeap()
  const [key, made] = [new Key(), new Key()]
  const pointers = new ExtentPointers()
  const from = {
    btree: BtreeId.extents,
    level: 0,
    dataType: DataType.user,
    pos: new Uint32Array(BPOS_WORDS),
    sectors: 0,
  }
  const sets = new Map<string, { readonly devices: number[]; sectors: number }>()
  const ofSnapshots = new Map<number, number>()
  backpointers.reserve(extents.count, extents.count * BACKPOINTER_BYTES)
  for (let i = 0; i < extents.count; i++) {
    extents.copy(i, key)
    if (entriesStart(key.type) < 0) continue
    const copies = pointers.decode(key, KEY_BYTES)
    const { size } = key
    copyBpos(from.pos, key.words, KEY_POS_AT)
    from.sectors = size
    for (let j = 0; j < copies; j++) {
      const space = spaces[pointers.device[j]]
      space.countData(pointers.sector[j], size)
      backpointers.add(makeBackpointer(made, pointers.device[j], pointers.sector[j], space.of.bucketSectors, from))
    }
    const stored = size * copies
    const name = copies === 1 ? String(pointers.device[0]) : pointers.device.subarray(0, copies).toSorted().join()
    const set = sets.get(name)
    if (set === undefined) sets.set(name, { devices: name.split(',').map(Number), sectors: stored })
    else set.sectors += stored
    ofSnapshots.set(key.snapshot, (ofSnapshots.get(key.snapshot) ?? 0) + stored)
    counters.addExtent(key.inodeHi, key.inodeLo, size, stored)
  }
  for (const { devices, sectors } of sets.values()) {
    counters.add(AccountingType.replicas, [DataType.user, devices.length, 1, ...devices], sectors)
  }
  for (const [snapshot, sectors] of ofSnapshots) {
    const bytes = [0, 8, 16, 24].map((shift) => (snapshot >>> shift) & 0xff)
    counters.add(AccountingType.snapshot, bytes, sectors)
  }
  return { backpointers, deviceSets: Array.from(sets.values(), ({ devices }) => devices) }
}
