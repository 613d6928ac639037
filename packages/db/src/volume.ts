/**
 * A volume, opened for reading: its devices, its state (clean, or with the live journal laid over it), its btrees. Nothing is ever
 * written. Format chapters 1 to 3; what a pure reader does: chapter 3, 3.6.8.
 */

import { visibleText } from '@cowherd/kernel-lib'
import type { BlockDevice, Codecs } from '@cowherd/shim'
import { compareBpos, setBpos } from './bpos.ts'
import { BTREE_ID_MAX, BtreeId, btreeName, hasSnapshots } from './btree-ids.ts'
import { Btrees, rootProblem, type BtreeRoot } from './btree/btree.ts'
import { Cursor, SnapshotCursor, type KeyCursor } from './btree/cursor.ts'
import type { CacheState } from './btree/node-cache.ts'
import { inspectNode, type NodeInspection } from './btree/node-inspect.ts'
import { leafKeyProblem, type NodeSource } from './btree/node-read.ts'
import { pointerProblem } from './btree/btree-ptr.ts'
import { Cipher } from './encryption.ts'
import { BtreeError, JournalError, SuperblockError, type Named } from './errors.ts'
import { ExtentReader } from './extent-read.ts'
import { IntegrityCheck } from './integrity.ts'
import { JournalKeys } from './journal/journal-keys.ts'
import { JournalScanner, type EntryBytes, type FoundEntry, type JournalDevice } from './journal/journal-scan.ts'
import { selectEntries } from './journal/journal-select.ts'
import { Jset, JsetEntryType, walkKeys, walkRecords, type JsetRecord } from './journal/jset-layout.ts'
import { Key, KEY_POS_AT, KEY_SIZE_AT, KEY_U64S } from './key.ts'
import type { KeyType, VolumeShape } from './key-type.ts'
import { dbKeyTypes } from './key-types/index.ts'
import { SnapshotTree } from './snapshot-tree.ts'
import { assemble, groupPath, readSuperblock, unlock, type Assembly, type Superblock } from './superblock/index.ts'

export interface OpenOptions {
  readonly codecs: Codecs
  /** Key types beyond those of the database itself. */
  readonly keyTypes?: readonly KeyType[]
  /** Called once if the volume is encrypted with a passphrase; undefined = none at hand. */
  readonly passphrase?: () => Uint8Array | undefined
  /** How many devices may be missing: none; as many as leave one copy of everything; any. */
  readonly missing?: 'none' | 'degraded' | 'very_degraded'
  /** Shows the btrees of an unclean volume as they lie, without the journal's keys. */
  readonly norecovery?: boolean
  /** Bound of the node cache in bytes; it is at least a few nodes. */
  readonly cacheBytes?: number
  /** Told of what is worth knowing: copies that were bad, things that are skipped. One sentence each. */
  readonly note?: (message: string) => void
}

const CACHE_BYTES = 64 << 20
/** Key type `accounting`: greater numbers belong to newer versions. Format chapter 2, 2.4. */
const KEY_TYPE_LAST = 34
/** The journal's numbers from the newest flushed entry on never happened. */
const ENDLESS = Infinity

/** Opens the volume on `devices`, given in any order. Throws VolumeError (SuperblockError, JournalError ...). */
export function openVolume(devices: readonly BlockDevice[], options: OpenOptions): Volume {
  const superblocks = devices.map((device) => ({ device, superblock: readSuperblock(device, options.codecs) }))
  return new Volume(assemble(superblocks, options.missing ?? 'none'), options)
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

  private readonly btrees: Btrees
  private readonly source: NodeSource
  private readonly scanner: JournalScanner
  private readonly extents: ExtentReader
  private readonly noteOnce: (message: string) => void
  private tree: SnapshotTree | undefined
  private allocCursor: Cursor | undefined
  private readonly allocPos = new Uint32Array(5)
  private readonly lastBucket = { device: -1, bucket: -1, generation: -1 }

  constructor(assembly: Assembly, options: OpenOptions) {
    const { best } = assembly
    this.superblock = best
    this.devices = assembly.devices
    const note = (message: string): void => options.note?.(visibleText(message))
    this.noteOnce = onceEach(note)
    for (const note of assembly.notes) this.noteOnce(note)
    this.keyTypes = new Map([...dbKeyTypes, ...(options.keyTypes ?? [])].map((type) => [type.number, type]))
    this.shape = shapeOf(best)
    this.codecs = options.codecs

    const key = unlock(best, options.codecs, options.passphrase)
    const cipher = key === undefined ? undefined : new Cipher(options.codecs, key)
    const integrity = new IntegrityCheck(options.codecs, cipher)
    const uuidWord = new DataView(best.uuid.slice().buffer).getBigUint64(0, true)
    const blockBytes = best.blockSectors * 512

    this.scanner = new JournalScanner(journalDevices(assembly), {
      uuidWord,
      blockBytes,
      integrity,
      note: this.noteOnce,
    })
    const state = this.readState(options.norecovery === true)
    this.replayed = state.keys !== undefined && state.keys.size > 0
    const leastValue = leastValueBytes(this.keyTypes)
    this.source = {
      devices: assembly.devices,
      nodeBytes: best.options.btreeNodeSize,
      blockBytes,
      uuidWord,
      integrity,
      isBlacklisted: (hi, lo) => isInside(state.blacklist, hi * 0x100000000 + lo),
      minValueBytes: (type) => {
        if (type > KEY_TYPE_LAST) this.noteOnce(`keys of type ${type} are of a newer version: skipped`)
        return leastValue[type]
      },
      note: this.noteOnce,
    }
    this.btrees = new Btrees(this.source, state.roots, state.keys, options.cacheBytes ?? CACHE_BYTES)
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

  /** Closes all devices. */
  close(): void {
    for (const device of this.devices) device?.close()
  }

  /** Roots, blacklist and journal keys: from the section `clean`, or from the journal. */
  private readState(norecovery: boolean): VolumeState {
    const { superblock } = this
    let blacklist: [number, number][] = superblock.blacklist.map(({ start, end }) => [Number(start), Number(end)])
    const roots = new Map<number, BtreeRoot>()
    if (!superblock.initialized) return { roots, blacklist, keys: undefined }
    if (superblock.clean) {
      const section = superblock.cleanSection
      if (section === undefined) {
        throw new SuperblockError('EIO', 'superblock section clean', 'missing, although the volume is marked clean')
      }
      const { buffer, byteOffset, byteLength } = section.entries.slice()
      const view = new DataView(buffer, byteOffset, byteLength)
      const problem = walkRecords(view, 0, byteLength, (record) => this.takeRoot(roots, view, record))
      if (problem !== undefined) throw new SuperblockError('EIO', 'superblock section clean', problem)
      return { roots, blacklist, keys: undefined }
    }
    const selection = selectEntries(this.scanner.scan(), superblock.blacklist)
    for (const note of selection.notes) this.noteOnce(note)
    const next = Number(selection.newest) + 1
    blacklist = [...blacklist.filter(([start]) => start < next), [next, ENDLESS]]
    const keys = new JournalKeys(norecovery ? 0 : selection.entries.reduce((sum, { bytes }) => sum + bytes, 0))
    for (const entry of selection.entries) this.takeEntry(entry, roots, norecovery ? undefined : keys)
    keys.seal()
    return { roots, blacklist, keys: norecovery ? undefined : keys }
  }

  private takeEntry(entry: FoundEntry, roots: Map<number, BtreeRoot>, keys: JournalKeys | undefined): void {
    const { view, words, bytes } = this.scanner.readEntry(entry)
    const where = `journal entry ${entry.seq}`
    const problem = walkRecords(view, Jset.size, bytes.length, (record) => {
      if (record.type === JsetEntryType.btreeRoot) this.takeRoot(roots, view, record)
      if (record.type !== JsetEntryType.btreeKeys || keys === undefined) return
      const fault = walkKeys(view, record.start, record.end, (at) => {
        const bad = this.journalKeyProblem(record, words, at / 4)
        if (bad === undefined) keys.add(record.btree, record.level, words, at / 4)
        else this.noteOnce(`${where}: a key of ${btreeName(record.btree)} is ignored: ${bad}`)
      })
      if (fault !== undefined) this.noteOnce(`${where}: ${fault}: ignored`)
    })
    if (problem !== undefined) throw new JournalError('EIO', where, problem)
  }

  private journalKeyProblem(record: JsetRecord, words: Uint32Array, at: number): string | undefined {
    if (record.level > 3) return `level ${record.level}`
    if (record.btree >= BTREE_ID_MAX) return `btree ${record.btree}`
    const type = (words[at] >>> 16) & 0xff
    if (record.level > 0) {
      if (words[at + KEY_SIZE_AT] !== 0) return 'a node pointer with a size'
      return type === 0 ? undefined : pointerProblem(words, at)
    }
    return leafKeyProblem(record.btree, words, at, this.keyTypes.get(type)?.minValueBytes ?? 0)
  }

  private takeRoot(roots: Map<number, BtreeRoot>, view: DataView, record: JsetRecord): void {
    if (record.type !== JsetEntryType.btreeRoot) return
    if (record.btree >= BTREE_ID_MAX) {
      this.noteOnce(`a root of btree ${record.btree}, which can't exist, is ignored`)
      return
    }
    let pointer: Key | undefined
    if (record.end - record.start >= KEY_U64S * 8 && view.getUint8(record.start) * 8 === record.end - record.start) {
      pointer = new Key()
      pointer.bytes.set(new Uint8Array(view.buffer, view.byteOffset + record.start, record.end - record.start))
      const problem = rootProblem(record.level, pointer)
      if (problem !== undefined) {
        this.noteOnce(`the root of btree ${btreeName(record.btree)} is unusable: ${problem}`)
        pointer = undefined
      }
    }
    if (record.btree > BtreeId.accounting) this.noteOnce(`btree ${record.btree} is of a newer version: skipped`)
    roots.set(record.btree, { level: pointer === undefined ? 0 : record.level, pointer })
  }

  /** Generation of a bucket by its alloc key; 0 without one, -1 if the alloc btree can't be read. */
  private bucketGeneration(device: number, bucket: number): number {
    const last = this.lastBucket
    if (last.device === device && last.bucket === bucket) return last.generation
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
    return generation
  }
}

interface VolumeState {
  readonly roots: Map<number, BtreeRoot>
  /** Ranges [start, end) of journal sequence numbers, sorted by both. */
  readonly blacklist: readonly [number, number][]
  readonly keys: JournalKeys | undefined
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

function journalDevices(assembly: Assembly): JournalDevice[] {
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
