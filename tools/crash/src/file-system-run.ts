/** A filesystem at work in one process: its volume, opened on disks in memory, and what those disks hold after a cut. */

import { BtreeId, openDatabase, openVolume, POS_MIN, type Database, type EntryThread, type Volume } from '@cowherd/db'
import {
  fsDatabaseParts,
  fsKeyTypes,
  openFileSystem,
  ROOT_INODE,
  writableFileSystem,
  type WritableFileSystem,
} from '@cowherd/fs'
import { fuzzCodecs as codecs, Random } from '@cowherd/fuzz'
import type { WritableBlockDevice } from '@cowherd/shim'
import { devicesOf } from './database-run.ts'
import type { Image } from './image.ts'
import { readTree, type TreeState } from './tree-state.ts'

export interface OpenedFileSystem {
  readonly db: Database
  readonly fs: WritableFileSystem
}

export interface RunOptions {
  /** Of what is made by chance, never the same twice on the same disks. */
  readonly seeds: readonly number[]
  /** In seconds; what is made has whole seconds as times. */
  readonly now: () => number
  readonly journalThread?: EntryThread
}

/** Where the state of a tree begins. */
export const ROOT = `0:${ROOT_INODE}`
/** A small cache, so that nodes are given up and read again. */
const CACHE_BYTES = 1 << 20
/** Btrees whose keys belong to an inode, by the first part of their positions. */
const OF_INODES = [BtreeId.extents, BtreeId.dirents, BtreeId.xattrs]
const WHITEOUTS: readonly number[] = [1, 4]
const INODE_GENERATION = 9

/** Opens the filesystem on `devices`, with recovery. */
export function openRunning(
  devices: readonly WritableBlockDevice[],
  { seeds, now, journalThread }: RunOptions,
): OpenedFileSystem {
  const random = new Random(...seeds)
  const fill = (target: Uint8Array): void => void random.fill(target)
  const db = openDatabase(devices, {
    ...{ ...fsDatabaseParts, codecs, random: fill, cacheBytes: CACHE_BYTES, nowSeconds: () => BigInt(now()) },
    ...(journalThread === undefined ? {} : { journalThread }),
  })
  return { db, fs: writableFileSystem(db, { random: fill, now: () => ({ seconds: now(), nanoseconds: 0 }) }) }
}

/** The volume on disks as recovery would find it. */
export function volumeOn(images: readonly Image[]): Volume {
  return openVolume(devicesOf(images), { codecs, keyTypes: fsKeyTypes, cacheBytes: CACHE_BYTES })
}

/** The tree on disks. Throws what is not readable. */
export function treeOn(images: readonly Image[]): TreeState {
  return readTree(openFileSystem(volumeOn(images)))
}

/**
 * Whether the next start goes on with something, such as cutting a file that has many extents. The real fsck looks at extents before it does so, and finds some
 * behind the file's end.
 */
export function isInterrupted(images: readonly Image[]): boolean {
  return volumeOn(images).cursor(BtreeId.loggedOps).seek(POS_MIN)
}

/** What is on recovered disks that doesn't belong to any file of the tree: a line each. */
export function leftoversOn(images: readonly Image[], tree: TreeState): string[] {
  const volume = volumeOn(images)
  const left: string[] = []
  const look = (btree: number, isLeft: (id: string, type: number) => boolean): void => {
    const cursor = volume.cursor(btree)
    const { key } = cursor
    for (let found = cursor.seek(POS_MIN); found; found = cursor.next()) {
      const id = btree === BtreeId.inodes ? `${key.offsetHi}:${key.offsetLo}` : `${key.inodeHi}:${key.inodeLo}`
      if (isLeft(id, key.type)) left.push(`btree ${btree}: key of type ${key.type} at ${key.posText}`)
    }
  }
  look(BtreeId.inodes, (id, type) => type !== INODE_GENERATION && !tree.has(id))
  for (const btree of OF_INODES) look(btree, (id, type) => !WHITEOUTS.includes(type) && !tree.has(id))
  for (const btree of [BtreeId.deletedInodes, BtreeId.loggedOps]) look(btree, () => true)
  return left
}
