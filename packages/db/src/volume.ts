/**
 * A volume, opened for reading: its devices, its state (clean, or with the live journal laid over it), its btrees. Nothing is ever
 * written. Format chapters 1 to 3; what a pure reader does: chapter 3, 3.6.8.
 *
 * Several threads can read one volume: one opens it, the others make views of theirs, with the same node cache.
 */

import { visibleText } from '@cowherd/kernel-lib'
import type { BlockDevice, Codecs } from '@cowherd/shim'
import { compareBpos, setBpos } from './bpos.ts'
import { BtreeId, hasSnapshots } from './btree-ids.ts'
import { Btrees, type KeyTakeover } from './btree/btree.ts'
import { Cursor, SnapshotCursor, type KeyCursor } from './btree/cursor.ts'
import type { NodeCacheDescriptor } from './btree/node-cache-memory.ts'
import { NodeCache, type CacheState } from './btree/node-cache.ts'
import { inspectNode, type NodeInspection } from './btree/node-inspect.ts'
import type { NodeSource } from './btree/node-read.ts'
import { Cipher } from './encryption.ts'
import { BtreeError, type Named } from './errors.ts'
import { ExtentReader } from './extent-read.ts'
import { IntegrityCheck } from './integrity.ts'
import { JournalScanner, type EntryBytes, type FoundEntry, type JournalDevice } from './journal/journal-scan.ts'
import { KEY_POS_AT, type Key } from './key.ts'
import type { KeyType, VolumeShape } from './key-type.ts'
import { dbKeyTypes } from './key-types/index.ts'
import { SnapshotTree } from './snapshot-tree.ts'
import {
  assemble,
  groupPath,
  readSuperblock,
  unlock,
  type Assembly,
  type MissingDevices,
  type Superblock,
} from './superblock/index.ts'
import { readVolumeState, shareState, stateOf, type SharedVolumeState, type VolumeState } from './volume-state.ts'

export interface OpenOptions {
  readonly codecs: Codecs
  /** Key types beyond those of the database itself. */
  readonly keyTypes?: readonly KeyType[]
  /** Called once if the volume is encrypted with a passphrase; undefined = none at hand. */
  readonly passphrase?: () => Uint8Array | undefined
  /** How many devices may be missing: none; as many as leave one copy of everything; any. */
  readonly missing?: MissingDevices
  /** Shows the btrees of an unclean volume as they lie, without the journal's keys. */
  readonly norecovery?: boolean
  /** Bound of the node cache in bytes; it is at least a few nodes. */
  readonly cacheBytes?: number
  /**
   * The node cache and the keys of the live journal lie in shared memory, and `Volume.share` lets other threads of the process read the
   * same volume. The calling thread has entered a `ThreadRegistry`.
   */
  readonly shared?: boolean
  /** Told of what is worth knowing: copies that were bad, things that are skipped. One sentence each. */
  readonly note?: (message: string) => void
}

const CACHE_BYTES = 64 << 20
/** What nodes may take in memory while a transaction changes them: the leaves of all of its keys. Nothing is taken before it is needed. */
const HELD_BYTES = 2 ** 30
/** Key type `accounting`: greater numbers belong to newer versions. Format chapter 2, 2.4. */
const KEY_TYPE_LAST = 34
/** Opens the volume on `devices`, given in any order. Throws VolumeError (SuperblockError, JournalError ...). */
export function openVolume(devices: readonly BlockDevice[], options: OpenOptions): Volume {
  const superblocks = devices.map((device) => ({ device, superblock: readSuperblock(device, options.codecs) }))
  return new Volume(assemble(superblocks, options.missing ?? 'none'), options)
}

/** What another thread of the process needs to read a volume that is open: it can be posted. It holds the volume's key. */
export interface SharedVolume {
  readonly missing: MissingDevices
  readonly key: Uint8Array | undefined
  readonly state: SharedVolumeState
  readonly cache: NodeCacheDescriptor
}

/**
 * Another thread's view of a volume that was opened with `shared`. `devices`: the same, opened by this thread. The thread has entered
 * the `ThreadRegistry`. What was noted when the volume was opened is not noted again. Throws VolumeError.
 */
export function openSharedVolume(
  devices: readonly BlockDevice[],
  shared: SharedVolume,
  options: Pick<OpenOptions, 'codecs' | 'keyTypes' | 'note'>,
): Volume {
  const superblocks = devices.map((device) => ({ device, superblock: readSuperblock(device, options.codecs) }))
  const assembly = assemble(superblocks, shared.missing)
  return new Volume({ ...assembly, notes: [] }, { ...options, missing: shared.missing }, shared)
}

export class Volume {
  /** The superblock that speaks for the volume. */
  readonly superblock: Superblock
  readonly shape: VolumeShape
  /** The codecs the volume was opened with: names are hashed with them too. */
  readonly codecs: Codecs
  readonly keyTypes: ReadonlyMap<number, KeyType>
  /** Member devices by index; undefined where missing. */
  readonly devices: readonly (BlockDevice | undefined)[]
  /** True if keys of the live journal lie over the btrees. */
  readonly replayed: boolean

  protected readonly missing: MissingDevices
  protected readonly key: Uint8Array | undefined
  protected readonly cipher: Cipher | undefined
  /** First 8 bytes of the internal uuid as a little-endian number. */
  protected readonly uuidWord: bigint
  protected readonly state: VolumeState
  /** Ranges of journal sequence numbers that never happened: [start, end). */
  protected blacklist: readonly (readonly [number, number])[]
  protected readonly btrees: Btrees
  private readonly source: NodeSource
  private readonly scanner: JournalScanner
  private readonly extents: ExtentReader
  protected readonly noteOnce: (message: string) => void
  private tree: SnapshotTree | undefined
  private allocCursor: Cursor | undefined
  private readonly allocPos = new Uint32Array(5)
  private readonly lastBucket = { device: -1, bucket: -1, generation: -1, changes: 0 }

  /** `takeover`: of who is going to change the volume. */
  constructor(assembly: Assembly, options: OpenOptions, shared?: SharedVolume, takeover?: KeyTakeover) {
    const { best } = assembly
    this.superblock = best
    this.devices = assembly.devices
    const note = (message: string): void => options.note?.(visibleText(message))
    this.noteOnce = onceEach(note)
    for (const note of assembly.notes) this.noteOnce(note)
    this.keyTypes = new Map([...dbKeyTypes, ...(options.keyTypes ?? [])].map((type) => [type.number, type]))
    this.shape = shapeOf(best)
    this.codecs = options.codecs

    this.missing = options.missing ?? 'none'
    this.key = shared === undefined ? unlock(best, options.codecs, options.passphrase) : shared.key
    this.cipher = this.key === undefined ? undefined : new Cipher(options.codecs, this.key)
    const integrity = new IntegrityCheck(options.codecs, this.cipher)
    const uuidWord = new DataView(best.uuid.slice().buffer).getBigUint64(0, true)
    this.uuidWord = uuidWord
    const blockBytes = best.blockSectors * 512

    this.scanner = new JournalScanner(journalDevices(assembly), {
      uuidWord,
      blockBytes,
      integrity,
      note: this.noteOnce,
    })
    this.state =
      shared === undefined
        ? readVolumeState(best, this.scanner, {
            keyTypes: this.keyTypes,
            norecovery: options.norecovery === true,
            shared: options.shared === true,
            note: this.noteOnce,
          })
        : stateOf(shared.state)
    const { state } = this
    this.blacklist = state.blacklist
    this.replayed = state.keys !== undefined && state.keys.size > 0
    const leastValue = leastValueBytes(this.keyTypes)
    this.source = {
      devices: assembly.devices,
      nodeBytes: best.options.btreeNodeSize,
      blockBytes,
      uuidWord,
      integrity,
      isBlacklisted: (hi, lo) => isInside(this.blacklist, hi * 0x100000000 + lo),
      minValueBytes: (type) => {
        if (type > KEY_TYPE_LAST && !this.keyTypes.has(type))
          this.noteOnce(`keys of type ${type} are of a newer version: skipped`)
        return leastValue[type]
      },
      note: this.noteOnce,
    }
    const cache =
      shared === undefined
        ? NodeCache.create(
            options.cacheBytes ?? CACHE_BYTES,
            options.shared === true,
            takeover === undefined ? 0 : HELD_BYTES,
          )
        : new NodeCache(shared.cache)
    this.btrees = new Btrees(this.source, state.roots, state.keys, cache, takeover)
    const bareBtrees = !best.clean && state.keys === undefined
    this.extents = new ExtentReader({
      devices: assembly.devices,
      shape: this.shape,
      codecs: options.codecs,
      integrity,
      bucketGeneration: bareBtrees ? () => -1 : (device, bucket) => this.bucketGeneration(device, bucket),
      note,
    })
  }

  /** All keys of a level of a btree (0 = leaves), of all snapshots, whiteouts included. */
  cursor(btree: number, level = 0): Cursor {
    return new Cursor(this.btrees, btree, level)
  }

  /** What snapshot `id` sees of a btree; btrees without snapshots look the same to all. */
  snapshotCursor(btree: number, id: number): KeyCursor {
    const cursor = this.cursor(btree)
    return hasSnapshots(btree) ? new SnapshotCursor(cursor, id, this.snapshots.ancestorsOf(id)) : cursor
  }

  /** Is another number whenever the volume may have changed: never, as long as it is only read. */
  get changes(): number {
    return 0
  }

  /** The snapshot trees, read at first use. */
  get snapshots(): SnapshotTree {
    this.tree ??= new SnapshotTree(this.cursor(BtreeId.snapshots))
    return this.tree
  }

  /** The node cache, for whoever looks after the process. */
  get cacheState(): CacheState {
    return this.btrees.cache.state
  }

  /** Ids of the btrees that have a root, unknown ones included, ascending. */
  get btreeIds(): number[] {
    return this.btrees.ids
  }

  /** Level of a btree's root node. */
  rootLevel(btree: number): number {
    return this.btrees.rootLevel(btree)
  }

  /** The pointer to a btree's root node, undefined if it has none on disk. */
  rootPointer(btree: number): Key | undefined {
    return this.btrees.rootPointer(btree)
  }

  /** One node as it lies on disk, set by set. Throws BtreeError. */
  inspectNode(btree: number, level: number, pointer: Key): NodeInspection {
    return inspectNode(this.source, btree, level, pointer)
  }

  /**
   * Fills `target` with the bytes from `skip` on of what `key` (extent or reflink_v) covers. `who` names the file in messages. Throws
   * DataError when no copy can be read, KeyError for a malformed key.
   */
  readExtent(key: Key, skip: number, target: Uint8Array, who: Named): void {
    this.extents.read(key, skip, target, who)
  }

  /** All journal entries on the devices, ascending; with `all` those that are no longer needed too. */
  journalEntries(all: boolean): FoundEntry[] {
    return this.scanner.scan(all)
  }

  /** The bytes of a journal entry, valid until the next call. Throws JournalError. */
  readJournalEntry(entry: FoundEntry): EntryBytes {
    return this.scanner.readEntry(entry)
  }

  /** For other threads: see `openSharedVolume`. The volume was opened with `shared`, and stays open while they read it. */
  share(): SharedVolume {
    const { missing, key } = this
    return { missing, key, state: shareState(this.state), cache: this.btrees.cache.descriptor }
  }

  /** Closes all devices. */
  close(): void {
    this.btrees.cache.close()
    for (const device of this.devices) device?.close()
  }

  /** Generation of a bucket by its alloc key; 0 without one, -1 if the alloc btree can't be read. */
  private bucketGeneration(device: number, bucket: number): number {
    const last = this.lastBucket
    const { changes } = this
    if (last.device === device && last.bucket === bucket && last.changes === changes) return last.generation
    this.allocCursor ??= this.cursor(BtreeId.alloc)
    let generation = -1
    try {
      setBpos(this.allocPos, 0, device, Math.floor(bucket / 0x100000000), bucket >>> 0, 0)
      generation = this.allocCursor.seek(this.allocPos) ? generationOf(this.allocCursor.key, this.allocPos) : 0
    } catch (error) {
      if (!(error instanceof BtreeError)) throw error
      this.noteOnce(`${error.message}; pointers are taken as current`)
    }
    last.device = device
    last.bucket = bucket
    last.generation = generation
    last.changes = changes
    return generation
  }
}

/** Where each alloc key type holds the generation, relative to the value. Format chapter 4, 4.3.1 and 4.3.3. */
const GENERATION_AT: Readonly<Record<number, number>> = { 12: 1, 20: 1, 24: 13, 27: 12 }

function generationOf(key: Key, pos: Uint32Array): number {
  if (compareBpos(key.words, KEY_POS_AT, pos, 0) !== 0) return 0
  const at = GENERATION_AT[key.type]
  return at === undefined ? 0 : key.value[at]
}

/** `ranges` are sorted by start and end. */
function isInside(ranges: readonly (readonly [number, number])[], seq: number): boolean {
  let low = 0
  let high = ranges.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (ranges[middle][1] <= seq) low = middle + 1
    else high = middle
  }
  return low < ranges.length && ranges[low][0] <= seq
}

function leastValueBytes(keyTypes: ReadonlyMap<number, KeyType>): Uint16Array {
  const least = new Uint16Array(256)
  for (const { number, minValueBytes } of keyTypes.values()) least[number] = minValueBytes
  return least
}

function shapeOf(superblock: Superblock): VolumeShape {
  const members = superblock.members.map((member) => (member.alive ? member : undefined))
  return {
    member: (index) => members[index],
    btreeNodeSectors: superblock.options.btreeNodeSize / 512,
    blockSectors: superblock.blockSectors,
    encodedExtentMaxSectors: superblock.options.encodedExtentMax / 512,
    encrypted: superblock.crypt !== undefined,
    groupPath: (index) => groupPath(superblock.diskGroups, index),
  }
}

/** The devices that have a journal, and are there. */
export function journalDevices(assembly: Assembly): JournalDevice[] {
  const devices: JournalDevice[] = []
  assembly.devices.forEach((device, index) => {
    const buckets = assembly.journalBuckets[index]
    if (device === undefined || buckets === undefined) return
    devices.push({ index, device, buckets, bucketSectors: assembly.best.members[index].bucketSectors })
  })
  return devices
}

/** Passes each message on once; after a thousand different ones it falls silent. */
function onceEach(note: (message: string) => void): (message: string) => void {
  const said = new Set<string>()
  return (message) => {
    if (said.has(message) || said.size >= 1000) return
    said.add(message)
    note(message)
  }
}
