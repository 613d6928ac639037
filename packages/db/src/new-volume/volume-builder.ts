/**
 * Builds the contents of a new volume from its keys, in one go and without a journal: every btree is written whole, from its leaves to its
 * root, into free space; then come one journal entry without keys and the superblocks. What is there afterwards is a volume that was
 * shut down cleanly. Format chapter 1, 7.4 and 10.2; chapter 3, 3.7.8.
 *
 * Until the superblocks are written there is no volume. The btrees that say where everything lies have to count their own nodes too: so
 * all nodes are given their places before the first is written.
 */

import { POS_MIN, SPOS_MAX } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import { NodeWriter, type NodeSink } from '../btree/node-write.ts'
import { DataType } from '../data-types.ts'
import { VolumeError } from '../errors.ts'
import { entryBytes, RecordWriter } from '../journal/record-write.ts'
import { Key } from '../key.ts'
import type { FEATURES } from '../superblock/features.ts'
import type { Options } from '../superblock/options.ts'
import {
  ALLOC_INFO_BTREES,
  allocKeys,
  countDevices,
  Counters,
  countTree,
  freespaceKeys,
  lruKeys,
  nodeBackpointers,
} from './alloc-info.ts'
import { followExtents } from './data-info.ts'
import { DataRoom } from './data-room.ts'
import { devicesFor, DeviceSpace, type BulkDevice } from './device-space.ts'
import { KeyHeap } from './key-heap.ts'
import { PlainExtents } from './plain-extents.ts'
import { planLevels, shapeTree, type NodePlace, type NodeShape, type TreeShape } from './tree-shape.ts'
import { writeTree, type TreeRoot } from './tree-write.ts'

export interface BulkOptions extends NodeSink {
  /** Copies of metadata that are wanted, and that must be. */
  readonly copies: number
  readonly copiesRequired: number
  readonly random: (bytes: Uint8Array) => void
  /** Now, in seconds since 1970. */
  readonly nowSeconds: bigint
  /** Devices that metadata should lie on, if there is room. */
  readonly isPreferred: (device: number) => boolean
  /** The same of file data. */
  readonly dataCopies: number
  readonly isDataPreferred: (device: number) => boolean
  readonly dataOptions: Pick<Options, 'dataChecksum' | 'encodedExtentMax'>
}

type Feature = (typeof FEATURES)[number]

/** What the superblocks have to say of a volume that was built. */
export interface BuiltVolume {
  /** The records of the section `clean`. */
  readonly cleanRecords: Uint8Array
  readonly journalSeq: bigint
  readonly devices: readonly BuiltDevice[]
  /** What it has besides what every volume has. */
  readonly features: readonly Feature[]
  /** Which sets of devices hold what. */
  readonly replicas: readonly { readonly dataType: number; readonly devices: readonly number[] }[]
}

export interface BuiltDevice {
  readonly journalBuckets: readonly number[]
  /** Index in the journal's buckets of the one that was written, and sectors used of it. */
  readonly lastJournalBucket: number
  readonly lastJournalBucketSectors: number
  /** First sectors of the btree nodes. */
  readonly nodes: readonly number[]
}

const SECTOR = 512
/** The one entry, which has no keys. The first bucket of the ring is used after the first lap. */
const JOURNAL_SEQ = 1
const JOURNAL_BUCKET_FIRST = 1

/** Bytes of keys that the btrees which say where everything lies have at most. */
interface AllocInfoBytes {
  readonly alloc: number
  readonly lru: number
  readonly freespace: number
  readonly backpointers: number
  readonly accounting: number
}

/** Bytes of an unpacked key of each of these btrees. */
const ALLOC_BYTES = 104
const SET_BYTES = 40
const BACKPOINTER_BYTES = 72
const COUNTERS_BYTES = 64

export class VolumeBuilder {
  readonly counters = new Counters()
  /** Where file data can go; to be written by who takes room, and led to by keys in the btree of extents. */
  readonly data: DataRoom
  /** The keys that lead to it. */
  readonly extents: PlainExtents
  private readonly features = new Set<Feature>()
  private readonly options: BulkOptions
  private readonly spaces: readonly DeviceSpace[]
  private readonly heaps = new Map<number, KeyHeap>()
  /** Places of nodes, in the order in which they are going to be used. */
  private readonly reserved: NodePlace[][] = []
  private taken = 0

  constructor(devices: readonly BulkDevice[], options: BulkOptions) {
    this.options = options
    this.spaces = devices.map((device) => new DeviceSpace(device))
    const { dataCopies: copies, isDataPreferred: isPreferred, nodeBytes } = options
    this.data = new DataRoom(this.spaces, { copies, isPreferred, nodeSectors: nodeBytes / SECTOR })
    this.extents = new PlainExtents(options.dataOptions, (key) => this.add(BtreeId.extents, key))
  }

  /** The volume has a feature, which the superblocks have to say. */
  addFeature(name: Feature): void {
    this.features.add(name)
  }

  /** Takes a key of a leaf, in any order. */
  add(btree: number, key: Key): void {
    let heap = this.heaps.get(btree)
    if (heap === undefined) this.heaps.set(btree, (heap = new KeyHeap()))
    heap.add(key)
  }

  /** Forgets the extents of inodes with these numbers. */
  dropExtents(inodes: ReadonlySet<number>): void {
    const key = new Key()
    const extents = this.heaps.get(BtreeId.extents)
    extents?.filter((heap, i) => {
      heap.copy(i, key)
      return !inodes.has(key.inode)
    })
    if (extents?.count === 0) this.heaps.delete(BtreeId.extents)
  }

  /** Bytes that the keys of leaves take, as far as they were added. */
  get keyBytes(): number {
    let sum = 0
    for (const { bytes } of this.heaps.values()) sum += bytes
    return sum
  }

  /** Writes everything but the superblocks and the data, and flushes it. Throws VolumeError ENOSPC, and DeviceError. */
  build(): BuiltVolume {
    const { spaces, heaps, counters } = this
    const nodeSectors = this.options.nodeBytes / SECTOR
    for (const keys of heaps.values()) keys.sort()
    const { backpointers, deviceSets } = followExtents(heaps.get(BtreeId.extents) ?? new KeyHeap(), spaces, counters)
    const holes = spaces.reduce((sum, space) => sum + space.dropEmptyData(), 0)
    const wanted = this.reserveNodes(backpointers.bytes, holes)
    const trees: TreeShape[] = []
    const shape = (btree: number, keys: KeyHeap, bytes: number): void => {
      keys.sort()
      heaps.set(btree, keys)
      trees.push(shapeTree(btree, keys, this.plan(bytes), () => this.take()))
    }
    for (const [btree, keys] of [...heaps]) shape(btree, keys, keys.bytes)
    shape(BtreeId.alloc, allocKeys(spaces, JOURNAL_SEQ), wanted.alloc)
    if (wanted.lru > 0) shape(BtreeId.lru, lruKeys(spaces), wanted.lru)
    shape(BtreeId.freespace, freespaceKeys(spaces), wanted.freespace)

    // What is left speaks of all nodes, its own too. Of these the places are known: enough for counting them, and for the positions of
    // the back pointers; where a node ends, their values say.
    for (const placeholder of this.placeholders()) backpointers.add(placeholder)
    shape(BtreeId.backpointers, backpointers, wanted.backpointers)
    const rest = this.reserved.slice(this.taken)
    for (const tree of trees) countTree(counters, tree, nodeSectors)
    countTree(counters, { btree: BtreeId.accounting, levels: [rest.map(nodeAt)] }, nodeSectors)
    countDevices(counters, spaces)
    shape(BtreeId.accounting, counters.keys(JOURNAL_SEQ), wanted.accounting)
    if (this.taken !== this.reserved.length) throw new RangeError('fewer nodes than were reserved')
    for (const key of nodeBackpointers(spaces, trees, nodeSectors)) backpointers.replace(key)
    return this.write(trees, deviceSets)
  }

  /**
   * Nodes for all btrees, those that say where these nodes lie included. `dataBytes`: of the back pointers of data; `holes`: buckets that are
   * free between those of data.
   */
  private reserveNodes(dataBytes: number, holes: number): AllocInfoBytes {
    let bytes: AllocInfoBytes = { alloc: 0, lru: 0, freespace: 0, backpointers: 0, accounting: 0 }
    const ours = [...this.heaps.values()].reduce((sum, keys) => sum + this.nodesFor(keys.bytes), 0)
    for (;;) {
      bytes = larger(bytes, this.allocInfoBytes(dataBytes, holes))
      const { lru, ...others } = bytes
      const needed = Object.values(others).reduce((sum: number, each: number) => sum + this.nodesFor(each), ours)
      const total = needed + (lru > 0 ? this.nodesFor(lru) : 0)
      if (this.reserved.length === total) return bytes
      while (this.reserved.length < total) this.reserved.push(this.allocateNode())
    }
  }

  private allocInfoBytes(dataBytes: number, holes: number): AllocInfoBytes {
    const { spaces, reserved, counters, heaps } = this
    const nodeSectors = this.options.nodeBytes / SECTOR
    let buckets = 0
    let runs = 0
    let partial = 0
    for (const { of, used } of spaces) {
      buckets += used.size
      runs += used.size + 1
      for (const { type, sectors } of used.values()) {
        if (type === DataType.user && sectors < of.bucketSectors) partial++
        if (type === DataType.btree && nodeSectors < of.bucketSectors) partial++
      }
    }
    const copies = reserved.reduce((sum, places) => sum + places.length, 0)
    const sets = new Set(reserved.map((places) => places.map(({ device }) => device).join())).size
    const kinds = Object.keys(DataType).length * spaces.length
    return {
      alloc: buckets * ALLOC_BYTES,
      lru: partial * SET_BYTES,
      freespace: Math.min(runs, 4 * spaces.length + holes + reserved.length) * SET_BYTES,
      backpointers: dataBytes + copies * BACKPOINTER_BYTES,
      accounting: (counters.size + kinds + sets + heaps.size + ALLOC_INFO_BTREES.length) * COUNTERS_BYTES,
    }
  }

  private plan(bytes: number): number[] {
    return planLevels(bytes, { nodeBytes: this.options.nodeBytes, copies: this.options.copies })
  }
  private nodesFor(bytes: number): number {
    return this.plan(bytes).reduce((sum, nodes) => sum + nodes, 0)
  }

  private take(): NodePlace[] {
    if (this.taken === this.reserved.length) throw new RangeError('more nodes than were reserved')
    return this.reserved[this.taken++]
  }

  /** Back pointers to all reserved nodes, as far as their positions go. */
  private placeholders(): Iterable<Key> {
    const levels = [this.reserved.map(nodeAt)]
    return nodeBackpointers(this.spaces, [{ btree: 0, levels }], this.options.nodeBytes / SECTOR)
  }

  /** Room for a node on as many devices as copies are wanted, on the emptiest of those that may have it. */
  private allocateNode(): NodePlace[] {
    const { copies, copiesRequired, isPreferred, nodeBytes } = this.options
    const places: NodePlace[] = []
    let durability = 0
    for (const space of devicesFor(this.spaces, DataType.btree, isPreferred)) {
      if (durability >= copies) break
      const sector = space.takeNode(nodeBytes / SECTOR)
      if (sector < 0) continue
      places.push({ device: space.of.index, sector })
      durability += space.of.durability
    }
    if (durability < copiesRequired || places.length === 0) {
      const message = `no room for a btree node on ${copiesRequired} of the devices that may have any`
      throw new VolumeError('ENOSPC', '', message)
    }
    return places
  }

  private write(trees: readonly TreeShape[], dataSets: readonly (readonly number[])[]): BuiltVolume {
    const { options, spaces, heaps } = this
    const devices = spaces.map(({ of }) => of.device)
    const target = { devices, writer: new NodeWriter(options), random: options.random }
    const roots = [...trees]
      .sort((a, b) => a.btree - b.btree)
      .map((tree) => writeTree(tree, heaps.get(tree.btree) ?? new KeyHeap(), target))
    for (const device of devices) device.flush()
    const journal = this.writeJournal(roots)
    const clean = new RecordWriter()
    this.addClocks(clean)
    for (const { btree, level, pointer } of roots) clean.root(btree, level, pointer)
    const nodeSets = new Map(this.reserved.map((places) => [deviceSet(places).join(), deviceSet(places)]))
    return {
      cleanRecords: clean.bytes.slice(),
      journalSeq: BigInt(JOURNAL_SEQ),
      features: [...this.features],
      devices: spaces.map(({ of, journalBuckets }) => {
        const isWritten = journal.devices.includes(of.index)
        return {
          journalBuckets,
          lastJournalBucket: isWritten ? JOURNAL_BUCKET_FIRST : 0,
          lastJournalBucketSectors: isWritten ? journal.sectors : 0,
          nodes: this.reserved.flat().flatMap(({ device, sector }) => (device === of.index ? [sector] : [])),
        }
      }),
      replicas: [
        ...[...nodeSets.values()].map((set) => ({ dataType: DataType.btree, devices: set })),
        ...dataSets.map((set) => ({ dataType: DataType.user, devices: set })),
        { dataType: DataType.journal, devices: journal.devices },
      ],
    }
  }

  /** Writes the entry that says where the roots are, to as many devices as copies are wanted, and flushes it. */
  private writeJournal(roots: readonly TreeRoot[]): { devices: number[]; sectors: number } {
    const { options } = this
    const records = new RecordWriter()
    for (const { btree, level, pointer } of roots) records.root(btree, level, pointer)
    records.datetime(options.nowSeconds)
    this.addClocks(records)
    const seq = BigInt(JOURNAL_SEQ)
    const description = { seq, lastSeq: seq, version: options.version, uuidWord: options.uuidWord }
    const entry = entryBytes(description, records.bytes, options.seal, options.blockBytes)
    const devices: number[] = []
    let durability = 0
    for (const { of, journalBuckets } of devicesFor(this.spaces, DataType.journal, options.isPreferred)) {
      if (durability >= options.copies) break
      if (journalBuckets.length <= JOURNAL_BUCKET_FIRST) continue
      of.device.write(entry, journalBuckets[JOURNAL_BUCKET_FIRST] * of.bucketSectors * SECTOR)
      of.device.flush()
      devices.push(of.index)
      durability += of.durability
    }
    if (durability < options.copiesRequired || devices.length === 0) {
      throw new VolumeError('ENOSPC', '', 'no room for the journal on the devices that may have it')
    }
    return { devices: devices.sort((a, b) => a - b), sectors: entry.length / SECTOR }
  }

  private addClocks(records: RecordWriter): void {
    let written = this.reserved.flat().length * (this.options.nodeBytes / SECTOR)
    for (const { used } of this.spaces) {
      for (const { type, sectors } of used.values()) if (type === DataType.user) written += sectors
    }
    records.keyVersion(0n)
    records.clock(0, 0n)
    records.clock(1, BigInt(written))
  }
}

function nodeAt(places: readonly NodePlace[]): NodeShape {
  return { places, minKey: POS_MIN, maxKey: SPOS_MAX, first: 0, count: 0 }
}

function deviceSet(places: readonly NodePlace[]): number[] {
  return places.map(({ device }) => device).sort((a, b) => a - b)
}

function larger(a: AllocInfoBytes, b: AllocInfoBytes): AllocInfoBytes {
  return {
    alloc: Math.max(a.alloc, b.alloc),
    lru: Math.max(a.lru, b.lru),
    freespace: Math.max(a.freespace, b.freespace),
    backpointers: Math.max(a.backpointers, b.backpointers),
    accounting: Math.max(a.accounting, b.accounting),
  }
}
