/**
 * What the database knows of a key type. Each type is described in one file of its own: layout, validation, printing.
 * `db` brings the types that carry pointers or describe space and snapshots; `fs` brings those that make up files.
 * Format chapter 2, 2.4.
 */

import type { Key } from './key.ts'

/** What printing and checking a value needs to know of the volume it lies on. */
export interface VolumeShape {
  /** Device `index`, or undefined where the volume has none (removed, or never there). */
  member(index: number): DeviceShape | undefined
  /** Size of a btree node in sectors. */
  readonly btreeNodeSectors: number
  readonly blockSectors: number
  /** Greatest size of an encoded unit in sectors (option encoded_extent_max). */
  readonly encodedExtentMaxSectors: number
  /** True if the volume has a key section: encrypted checksum types may occur. */
  readonly encrypted: boolean
  /** Label of disk group `index` as a dotted path, undefined if there is none. */
  groupPath(index: number): string | undefined
  /** Name of device `index` for printing, without its folder; absent where devices have no names. */
  deviceName?(index: number): string | undefined
  /** Generation of a bucket, undefined if it is not known: then no pointer is called stale. */
  bucketGeneration?(device: number, bucket: number): number | undefined
}

/** The part of a member's record that pointers are checked and printed with. */
export interface DeviceShape {
  readonly firstBucket: number
  readonly bucketCount: number
  readonly bucketSectors: number
  readonly durability: number
}

/** Where a key was found. */
export interface KeyPlace {
  readonly btree: number
  readonly level: number
}

export interface KeyType {
  readonly number: number
  /** The format's name for it, e.g. `inode_v3`. */
  readonly name: string
  /** Values shorter than this (bytes) are damaged. */
  readonly minValueBytes: number
  /** The value begins with the sequence number of the journal entry that the key is part of. */
  readonly beginsWithSeq?: true
  /** Says what is wrong with the key's value, or returns undefined. Checks all that the format chapters demand. */
  check?(key: Key, place: KeyPlace, shape: VolumeShape): string | undefined
  /** The value as `bcachefs list` prints it behind `ver N: `; absent for types without a value. */
  print?(key: Key, shape: VolumeShape): string
  /** The value as a plain object for JSON: numbers beyond 2^53 as bigint, byte strings as text where they are text. */
  describe?(key: Key, shape: VolumeShape): Record<string, unknown>
}
