/**
 * Btrees with keys that contradict each other: names that lead to other files, files that point back elsewhere, snapshots with other
 * parents, overlapping extents, longer and shorter values. Each key is well-formed enough to reach those who use it.
 */

import { BtreeId, compareBpos, KEY_BYTES } from '@cowherd/db'
import { fits, keysOfBtree, leafRoot, rewriteRoot } from './craft.ts'
import { touch, type Mutation, type Weighted } from './mutation.ts'
import { attempt } from './oracle.ts'
import { disturb, type Random } from './random.ts'
import type { Specimen } from './specimen.ts'

export const keyMutators: Weighted = [[1, rewriteKeys]]

/** Btrees that files are made of. */
const BTREES = [
  BtreeId.extents,
  BtreeId.inodes,
  BtreeId.inodes,
  BtreeId.dirents,
  BtreeId.dirents,
  BtreeId.xattrs,
  BtreeId.subvolumes,
  BtreeId.snapshots,
  BtreeId.reflink,
  BtreeId.accounting,
  BtreeId.alloc,
]
const SIZE_AT = 16
const SNAPSHOT_AT = 20
const OFFSET_AT = 24
const INODE_AT = 32
const U64S_MAX = 255

function rewriteKeys(mutation: Mutation): string {
  const { specimen, devices, random } = mutation
  const btree = random.pick(BTREES)
  const root = leafRoot(specimen, btree)
  if (root === undefined || !specimen.superblock.clean) return 'nothing: no leaf to rewrite'
  let keys: Uint8Array[] = []
  // Other mutators may have been here.
  if (!attempt(() => (keys = keysOfBtree(specimen, devices, btree))) || keys.length === 0) return 'nothing: no keys'
  touch(mutation, btree)
  mutation.contradicts = true
  const edits: string[] = []
  for (let n = random.few(12); n > 0; n--) edits.push(edit(keys, specimen, random))
  if (random.chance(0.9)) keys = sorted(keys)
  if (!fits(specimen, keys)) return 'nothing: too many keys'
  rewriteRoot(specimen, devices, root, keys)
  return `keys of btree ${btree}: ${[...new Set(edits)].join(', ')}`
}

/** Changes one key of the list, or the list. */
function edit(keys: Uint8Array[], { keys: pool }: Specimen, random: Random): string {
  const index = random.below(keys.length)
  const key = keys[index]
  const view = new DataView(key.buffer, key.byteOffset, key.length)
  const valueWords = (key.length - KEY_BYTES) / 4
  switch (random.below(9)) {
    case 0:
    case 1:
      if (valueWords > 0) {
        view.setUint32(KEY_BYTES + 4 * random.below(Math.min(valueWords, 16)), identifier(pool, random), true)
      }
      return 'a reference'
    case 2: {
      const width = random.pick([1, 1, 2, 4, 8])
      const length = key.length - KEY_BYTES
      if (length >= width) disturb(key, KEY_BYTES + random.below(Math.floor(length / width)) * width, width, random)
      return 'a field'
    }
    case 3:
      keys[index] = resized(key, random)
      return 'a length'
    case 4: {
      const copy = key.slice()
      move(copy, pool, random)
      keys.push(copy)
      return 'a copy'
    }
    case 5:
      move(key, pool, random)
      return 'a position'
    case 6:
      if (keys.length > 1) keys.splice(index, 1)
      return 'a deletion'
    case 7: {
      const other = random.pick(pool)
      const changed = new Uint8Array(KEY_BYTES + other.length - KEY_BYTES)
      changed.set(key.subarray(0, KEY_BYTES))
      changed.set(other.subarray(KEY_BYTES), KEY_BYTES)
      changed[0] = changed.length / 8
      changed[2] = other[2]
      keys[index] = changed
      return 'a type'
    }
    default:
      view.setUint32(SIZE_AT, random.chance(0.5) ? random.below(2000) : view.getUint32(SIZE_AT, true) * 2, true)
      return 'a size'
  }
}

/** A number that means something somewhere in the volume. */
function identifier(pool: readonly Uint8Array[], random: Random): number {
  if (random.chance(0.2)) return random.below(5)
  if (random.chance(0.1)) return random.pick([4096, 4097, 0xffffffff, 0xfffffffe])
  const key = random.pick(pool)
  const view = new DataView(key.buffer, key.byteOffset, key.length)
  return view.getUint32(random.pick([SNAPSHOT_AT, OFFSET_AT, INODE_AT]), true)
}

function move(key: Uint8Array, pool: readonly Uint8Array[], random: Random): void {
  const view = new DataView(key.buffer, key.byteOffset, key.length)
  const at = random.pick([SNAPSHOT_AT, OFFSET_AT, OFFSET_AT, INODE_AT])
  if (random.chance(0.5)) view.setUint32(at, identifier(pool, random), true)
  else view.setUint32(at, view.getUint32(at, true) + random.pick([1, -1, 8, -8]), true)
}

function resized(key: Uint8Array, random: Random): Uint8Array {
  const words = key.length / 8 + random.pick([1, -1, 2, -2, 20])
  const length = 8 * Math.max(KEY_BYTES / 8, Math.min(U64S_MAX, words))
  const changed = new Uint8Array(length)
  if (random.chance(0.5)) random.fill(changed)
  changed.set(key.subarray(0, length))
  changed[0] = length / 8
  return changed
}

/** In order of position, one at each. */
function sorted(keys: readonly Uint8Array[]): Uint8Array[] {
  const placed = keys.map((key) => ({ key, pos: new Uint32Array(key.slice(SNAPSHOT_AT, KEY_BYTES).buffer) }))
  placed.sort((a, b) => compareBpos(a.pos, 0, b.pos, 0))
  return placed.filter(({ pos }, i) => i === 0 || compareBpos(placed[i - 1].pos, 0, pos, 0) !== 0).map(({ key }) => key)
}
