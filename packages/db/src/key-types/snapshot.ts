/** Key type `snapshot`: a node of the trees of snapshots, at (0, id). Format chapter 5, 5.7.2. */

import { array, bits32, struct, u32, u64 } from '@cowherd/kernel-lib'
import { KEY_WORDS, type Key } from '../key.ts'
import type { KeyType } from '../key-type.ts'
import { plainNumber } from './plain.ts'

export const SnapshotValue = struct({
  flags: bits32({ deleted: [0, 1], subvolume: [1, 2] }),
  parent: u32, // 0 = root of a tree, else greater than the id
  children: array(u32, 2), // both smaller than the id, the greater first
  subvolume: u32,
  tree: u32,
  depth: u32,
  skip: array(u32, 3), // ancestors, ascending
  createdLo: u64,
  createdHi: u64,
})

const AT = SnapshotValue.offsets
const FLAGS = KEY_WORDS
const PARENT = KEY_WORDS + AT.parent / 4
const CHILDREN = KEY_WORDS + AT.children / 4
const SKIP = KEY_WORDS + AT.skip / 4

export const snapshot: KeyType = {
  number: 22,
  name: 'snapshot',
  minValueBytes: 24,
  check(key) {
    const { words } = key
    const id = key.offsetLo
    if (key.inodeHi !== 0 || key.inodeLo !== 0 || key.offsetHi !== 0 || id === 0) return 'snapshot_pos_bad'
    const parent = words[PARENT]
    if (parent !== 0 && parent <= id) return `snapshot_parent_bad: ${parent} of ${id}`
    const first = words[CHILDREN]
    const second = words[CHILDREN + 1]
    if (first < second) return `snapshot_children_not_normalized: ${first}, ${second}`
    if (first !== 0 && first === second) return `snapshot_child_duplicate: ${first}`
    if (first >= id) return `snapshot_child_bad: ${first} of ${id}`
    if (key.valueBytes <= AT.skip) return undefined
    const skips = [word(key, SKIP), word(key, SKIP + 1), word(key, SKIP + 2)]
    if (skips[0] > skips[1] || skips[1] > skips[2]) return `snapshot_skiplist_not_normalized: ${skips.join(', ')}`
    const bad = skips.find((skip) => skip !== 0 && skip < parent)
    return bad === undefined ? undefined : `snapshot_skiplist_bad: ${bad}, parent ${parent}`
  },
  print(key) {
    const { words } = key
    const flags = words[FLAGS]
    const text =
      `is_subvol ${(flags >>> 1) & 1} deleted ${flags & 1} parent ${column(words[PARENT])}` +
      ` children ${column(words[CHILDREN])} ${column(words[CHILDREN + 1])}` +
      ` subvol ${words[KEY_WORDS + AT.subvolume / 4]} tree ${words[KEY_WORDS + AT.tree / 4]}`
    if (key.valueBytes <= AT.depth) return text
    const depth = word(key, KEY_WORDS + AT.depth / 4)
    return `${text} depth ${depth} skiplist ${word(key, SKIP)} ${word(key, SKIP + 1)} ${word(key, SKIP + 2)}`
  },
  describe(key) {
    const { flags, subvolume, createdLo, createdHi: _, ...value } = SnapshotValue.readPadded(key.value)
    return {
      is_subvol: flags.subvolume === 1,
      deleted: flags.deleted === 1,
      ...value,
      subvol: subvolume,
      btime: plainNumber(createdLo),
    }
  },
}

/** A word of the value, 0 where an older, shorter value ends before it. */
function word(key: Key, at: number): number {
  return at < key.u64s * 2 ? key.words[at] : 0
}

function column(value: number): string {
  return `${value}`.padStart(10)
}
