/** What is said between `VolumeFiles` and its engine, which is a thread of its own. Plain data; each call gets one answer, in the order of the calls. */

import type { OpenOptions } from '@cowherd/db'
import type { Time } from '@cowherd/fs'

/** A path in the volume; text stands for its UTF-8. */
export type Path = string | Uint8Array

/** What a file is opened for. */
export interface OpenFlags {
  readonly reads: boolean
  readonly writes: boolean
  readonly appends: boolean
  readonly creates: boolean
  /** It must not be there. */
  readonly isNew: boolean
  readonly truncates: boolean
}

/** What stat(2) tells. */
export interface StatRecord {
  readonly subvolume: number
  readonly inode: bigint
  /** With the type. */
  readonly mode: number
  readonly linkCount: number
  readonly uid: number
  readonly gid: number
  readonly deviceMajor: number
  readonly deviceMinor: number
  /** In bytes. */
  readonly size: number
  /** Preferred size of reads and writes. */
  readonly blockBytes: number
  /** Sectors of 512 bytes that are allocated. */
  readonly sectors: number
  readonly atime: Time
  readonly mtime: Time
  readonly ctime: Time
  readonly birth: Time
}

/** A name in a directory. `type`: the bits of the mode that are the type, shifted down by 12. */
export interface NameRecord {
  readonly name: Uint8Array
  readonly type: number
}

/** Where a listing goes on. */
export interface ListingPlace {
  readonly hi: number
  readonly lo: number
}

/** In bytes, but for the inodes. */
export interface RoomRecord {
  readonly blockBytes: number
  readonly totalBytes: number
  readonly freeBytes: number
  readonly availableBytes: number
  readonly inodes: number
  readonly freeInodes: number
}

export interface Attributes {
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
  readonly size?: number
  readonly atime?: Time
  readonly mtime?: Time
}

/** A file by its path, and whether a symbolic link at its end is followed; or by the number of a handle. */
export type Which = { readonly path: Path; readonly follows: boolean } | { readonly handle: number }

/** The calls: what each takes, and its answer. */
export interface Calls {
  open: (path: Path, flags: OpenFlags, mode: number) => number
  closeHandle: (handle: number) => void
  /** Reads into memory of its own, or into that which is shared. `position` null: where the handle stands. The answer may be shorter. */
  read: (handle: number, into: number | Uint8Array, position: number | null) => Uint8Array | number
  write: (handle: number, data: Uint8Array, position: number | null) => number
  /** The whole content; undefined if it is more than a call should take. */
  readFile: (path: Path) => Uint8Array | undefined
  writeFile: (path: Path, flags: OpenFlags, mode: number, data: Uint8Array) => void
  copyRange: (from: number, to: number, offset: number, length: number) => number
  stat: (which: Which) => StatRecord
  change: (which: Which, attributes: Attributes) => void
  readlink: (path: Path) => Uint8Array
  /** Some names, and where to go on; undefined at the end. */
  list: (path: Path, from: ListingPlace) => { readonly names: NameRecord[]; readonly next: ListingPlace | undefined }
  realpath: (path: Path) => Uint8Array
  mkdir: (path: Path, mode: number) => void
  symlink: (target: Path, path: Path) => void
  link: (existing: Path, path: Path) => void
  rename: (path: Path, newPath: Path) => void
  unlink: (path: Path) => void
  rmdir: (path: Path) => void
  listXattrs: (which: Which) => Uint8Array[]
  getXattr: (which: Which, name: Path) => Uint8Array | undefined
  setXattr: (which: Which, name: Path, value: Uint8Array) => void
  removeXattr: (which: Which, name: Path) => void
  room: () => RoomRecord
  sync: () => void
  close: () => void
}

export type CallName = keyof Calls

/** What the engine opens. */
export interface EngineData {
  readonly devices: readonly string[]
  readonly writes: boolean
  /** Makes a new file of so many bytes, and a volume in it, first. */
  readonly createBytes?: number
  readonly passphrase?: Uint8Array
  readonly missing?: NonNullable<OpenOptions['missing']>
  readonly subvolume?: number | string
  readonly cacheBytes?: number
  readonly caller: { readonly uid: number; readonly gid: number; readonly umask: number }
}

/** To the engine. */
export interface CallMessage {
  readonly name: CallName
  readonly words: readonly unknown[]
}

/** An error on its way. `code`: errno name; empty for one of ours, after which the engine is no more. */
export interface ErrorRecord {
  readonly code: string
  readonly message: string
  readonly stack: string
}

/** From the engine. Answers come in the order of the calls. */
export type EngineMessage =
  | { readonly kind: 'opened' }
  | { readonly kind: 'refused'; readonly error: ErrorRecord }
  | { readonly kind: 'note'; readonly text: string }
  | { readonly kind: 'answer'; readonly answer: unknown }
  | { readonly kind: 'error'; readonly error: ErrorRecord }

/** So much data goes with one call at most; a file that is larger is read and written by several. */
export const CALL_BYTES_MAX = 4 << 20
