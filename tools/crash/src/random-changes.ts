/**
 * Transactions at random: keys of many btrees, all of them such as may be on a volume, at few enough places that they are overwritten and
 * removed often. What files are made of is not among it: keys are right one by one, and say nothing together.
 */

import { bpos, bposText, BtreeId, compareBpos, hasSnapshots, Key } from '@cowherd/db'
import { FileType, Inode } from '@cowherd/fs'
import type { Random } from '@cowherd/fuzz'
import type { Change, KeyModel } from './key-model.ts'

/** Btrees of nobody's. The real tools don't take them from a journal. */
const OWN_BTREES = [30, 40] as const
/** Where each transaction leaves its number: a place that is not taken else. */
const COUNTER = { btree: BtreeId.quotas, pos: bpos(2, 1 << 30) } as const
const COUNTER_BYTES = 32
/** Snapshots of the volumes that tests make: a root, with two leaves below. */
export const SNAPSHOTS = { root: 0xffffffff, leaves: [0xfffffffe, 0xfffffffd] } as const

const Type = {
  whiteout: 1,
  cookie: 3,
  inodeGeneration: 9,
  dirent: 10,
  xattr: 11,
  quota: 13,
  inlineData: 17,
  set: 25,
} as const
/** Of those that are free in a new volume: it has a root, and lost+found. */
const FIRST_INODE = 4098
const EXTENT_SECTORS = 8

/** How keys of a btree are made. */
interface Kind {
  readonly btree: number
  readonly place: (random: Random) => Uint32Array
  readonly fill: (key: Key, pos: Uint32Array, random: Random) => void
}

const anySnapshot = (random: Random): number => random.pick([SNAPSHOTS.root, ...SNAPSHOTS.leaves])
const bytes = (random: Random, length: number): Uint8Array => random.fill(new Uint8Array(length))

/** Bytes of a value: few, mostly. */
const sizes = (random: Random, least: number): number => least + 8 * random.below(random.chance(0.05) ? 200 : 20)

/** Kinds that the real fsck has nothing to say of, whatever is there. Values are longer than they need be, as those of newer versions. */
export const PLAIN: readonly Kind[] = [
  {
    btree: BtreeId.quotas,
    place: (random) => bpos(random.below(3), random.below(500)),
    fill: (key, pos, random) => key.make(Type.quota, pos, bytes(random, sizes(random, 32))),
  },
  {
    btree: BtreeId.inodes,
    place: (random) => bpos(0, FIRST_INODE + 100 + random.below(1000), SNAPSHOTS.root),
    fill: (key, pos, random) => key.make(Type.inodeGeneration, pos, bytes(random, sizes(random, 8))),
  },
]

/** Kinds with snapshots, and others from which something follows in a filesystem. */
export const VARIED: readonly Kind[] = [
  ...PLAIN,
  ...OWN_BTREES.map((btree): Kind => ({
    btree,
    place: (random) => bpos(random.below(4), random.below(400), random.below(3)),
    fill: (key, pos, random) => key.make(Type.cookie, pos, bytes(random, sizes(random, 8))),
  })),
  {
    btree: BtreeId.inodes,
    place: (random) => bpos(0, FIRST_INODE + random.below(100), anySnapshot(random)),
    fill: (key, pos, random) => {
      const inode = new Inode()
      inode.numberLo = pos[1]
      inode.snapshot = pos[0]
      inode.mode = FileType.regular | random.below(0o1000)
      random.fill(inode.hashSeed)
      inode.encode(key)
    },
  },
  {
    btree: BtreeId.dirents,
    // hashes are spread over all 64 bits
    place: (random) =>
      bpos(FIRST_INODE + random.below(3), BigInt(random.below(60)) * 0x0333_3333_3333_3333n, anySnapshot(random)),
    fill: (key, pos, random) => {
      const name = bytes(random, 1 + random.below(60)).map((byte) => 97 + (byte % 26))
      const value = new Uint8Array(9 + name.length)
      new DataView(value.buffer).setUint32(0, FIRST_INODE + 10 + random.below(100), true)
      value[8] = 8 // a regular file
      value.set(name, 9)
      key.make(Type.dirent, pos, value)
    },
  },
  {
    btree: BtreeId.xattrs,
    place: (random) => bpos(FIRST_INODE + random.below(10), random.below(10) * 0x1_0000_0001, anySnapshot(random)),
    fill: (key, pos, random) => {
      const [nameLength, length] = [1 + random.below(20), random.below(200)]
      const value = new Uint8Array(4 + nameLength + length).fill(97)
      new DataView(value.buffer).setUint32(0, (nameLength << 8) | (length << 16), true)
      key.make(Type.xattr, pos, value)
    },
  },
  {
    btree: BtreeId.extents,
    place: (random) =>
      bpos(FIRST_INODE + random.below(10), EXTENT_SECTORS * (1 + random.below(20)), anySnapshot(random)),
    fill: (key, pos, random) => key.make(Type.inlineData, pos, bytes(random, random.below(300)), EXTENT_SECTORS),
  },
  {
    btree: BtreeId.deletedInodes,
    place: (random) => bpos(0, FIRST_INODE + random.below(100), anySnapshot(random)),
    fill: (key, pos) => key.make(Type.set, pos, new Uint8Array(0)),
  },
  {
    btree: BtreeId.subvolumeChildren,
    place: (random) => bpos(1 + random.below(5), 1 + random.below(50)),
    fill: (key, pos) => key.make(Type.set, pos, new Uint8Array(0)),
  },
]

export const btreesOf = (kinds: readonly Kind[]): number[] =>
  [...new Set(kinds.map(({ btree }) => btree))].sort((a, b) => a - b)

/** The changes of a transaction: up to `max`, and its number. No two are at one place. */
export function randomChanges(
  random: Random,
  model: KeyModel,
  kinds: readonly Kind[],
  number: number,
  max = 20,
): Change[] {
  const changes = new Map<string, Change>()
  for (let left = 1 + random.below(max); left > 0; left--) {
    const change = randomChange(random, model, random.pick(kinds))
    changes.set(`${change.btree}:${change.pos.join()}`, change)
  }
  const value = new Uint8Array(COUNTER_BYTES)
  new DataView(value.buffer).setUint32(0, number, true)
  return [...changes.values(), { ...COUNTER, key: new Key().make(Type.quota, COUNTER.pos, value) }]
}

/** Whether what is at a position is not for changing at random: the number, and the directories of a new volume. */
function isKept(btree: number, pos: Uint32Array): boolean {
  if (btree === BtreeId.inodes) return pos[1] < FIRST_INODE
  return btree === COUNTER.btree && compareBpos(pos, 0, COUNTER.pos, 0) === 0
}

/** A key at a new place or over one that is there, one removed, a whiteout, or the removal of what isn't there. */
function randomChange(random: Random, model: KeyModel, { btree, place, fill }: Kind): Change {
  const rows = model.rowsOf(btree)
  const old = rows.length > 0 && random.chance(0.4) ? random.pick(rows).pos : undefined
  const isOld = old !== undefined && !isKept(btree, old)
  const pos = isOld ? old : place(random)
  if (random.chance(isOld ? 0.5 : 0.05)) return { btree, pos, key: undefined }
  const key = new Key()
  if (hasSnapshots(btree) && random.chance(0.15)) key.make(Type.whiteout, pos, new Uint8Array(0))
  else fill(key, pos, random)
  return { btree, pos, key }
}

/** The number of the last transaction whose changes are on a volume, by what `dumpKeys` gives; 0 if there is none. */
export function lastTransaction(keys: ReadonlyMap<string, string>): number {
  const text = keys.get(`${COUNTER.btree}:${bposText(COUNTER.pos)}`)
  if (text === undefined) return 0
  const [, , hex] = text.split(' ')
  return parseInt(hex.slice(6, 8) + hex.slice(4, 6) + hex.slice(2, 4) + hex.slice(0, 2), 16)
}
