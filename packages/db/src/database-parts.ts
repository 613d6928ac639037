/** Puts together what a database consists of. Here can be seen who knows whom. */

import { isWritable, type Codecs, type DeviceError, type WritableBlockDevice } from '@cowherd/shim'
import { BtreeId } from './btree-ids.ts'
import type { Btrees } from './btree/btree.ts'
import type { KeyCursor } from './btree/cursor.ts'
import { NodeEditor } from './btree/node-editor.ts'
import { TreeWriter } from './btree/tree-writer.ts'
import { ExtentMover } from './data/extent-mover.ts'
import { ExtentWriter } from './data/extent-writer.ts'
import { DataType } from './data-types.ts'
import { DeviceHealth } from './device-health.ts'
import type { Cipher } from './encryption.ts'
import { VolumeError } from './errors.ts'
import { IntegritySeal } from './integrity-seal.ts'
import type { EntryThread } from './journal/entry-write.ts'
import { Journal } from './journal/journal.ts'
import type { JournalDevice } from './journal/journal-scan.ts'
import type { JournalStart } from './journal/journal-start.ts'
import type { KeyType, VolumeShape } from './key-type.ts'
import type { Key } from './key.ts'
import { Maintenance } from './maintenance.ts'
import { SpaceReclaim } from './space-reclaim.ts'
import { Allocator, type DataRequest, type DataSpace } from './space/allocator.ts'
import { SpaceTriggers } from './space/bucket-trigger.ts'
import { Capacity } from './space/capacity.ts'
import { Copygc } from './space/copygc.ts'
import { Discards } from './space/discards.ts'
import { Evacuation } from './space/evacuation.ts'
import { Invalidation } from './space/invalidation.ts'
import { OldestGens } from './space/oldest-gens.ts'
import { PointerTrigger } from './space/pointer-trigger.ts'
import type { Destinations } from './space/rebalance-need.ts'
import { reservationTrigger } from './space/reservation-trigger.ts'
import { Usage } from './space/usage.ts'
import { hasFeature, LiveSuperblock, type Assembly } from './superblock/index.ts'
import { targetDevices } from './superblock/targets.ts'
import { Committer } from './transaction/committer.ts'
import { Transaction } from './transaction/transaction.ts'
import type { KeyTrigger } from './transaction/updates.ts'
import { VolumeSpace } from './volume-space.ts'

/** What the volume that is opened brings with it. */
export interface DatabaseGround {
  readonly assembly: Assembly
  readonly btrees: Btrees
  readonly shape: VolumeShape
  readonly codecs: Codecs
  readonly keyTypes: ReadonlyMap<number, KeyType>
  readonly cipher: Cipher | undefined
  readonly uuidWord: bigint
  readonly start: JournalStart
  /** Where the journal goes. */
  readonly journals: readonly JournalDevice[]
  /** What is done takes effect later, all at once: see `staged-database.ts`. */
  readonly isStaged: boolean
  readonly cacheBytes: number
  /** Sectors read and written since the volume was made. */
  readonly clocks: { read: number; written: number }
  readonly keyVersion: () => bigint
  /** The next one, which is handed out. */
  readonly nextKeyVersion: () => bigint
  readonly triggers: ReadonlyMap<number, readonly KeyTrigger[]>
  readonly random: (bytes: Uint8Array) => void
  readonly nowSeconds: () => bigint
  readonly note: (message: string) => void
  readonly journalThread?: EntryThread
  readonly cursor: (btree: number, level?: number) => KeyCursor
  /** Reads all that the key covers, from whichever copy. Throws DataError. */
  readonly readExtent: (key: Key, target: Uint8Array) => void
  /** Does what can be done for free buckets, unless a transaction is being made. False if there are none then. Throws VolumeError. */
  readonly makeFree: () => boolean
}

export type DatabaseParts = ReturnType<typeof makeParts>

/** Throws JournalError ENODEV, EOPNOTSUPP; SuperblockError EOPNOTSUPP, EROFS. */
export function makeParts(ground: DatabaseGround) {
  const { assembly, btrees, shape, codecs, clocks, nowSeconds, random, cacheBytes, cursor } = ground
  const superblock = assembly.best
  const { options, members } = superblock
  const devices = assembly.devices.map((device) => (device !== undefined && isWritable(device) ? device : undefined))
  const live = new LiveSuperblock(assembly, codecs, nowSeconds)
  if (ground.isStaged) live.hold()
  const health = new DeviceHealth(live, devices, options, ground.note)
  const isDeviceWritable = (device: number): boolean => health.isWritable(device)
  const devicesOf = (target: number): ReadonlySet<number> => targetDevices(target, superblock.diskGroups, members)

  const journal = makeJournal(ground, devices, health, devicesOf(options.metadataTarget || options.foregroundTarget))
  const editor = new NodeEditor(btrees.cache, journal.pins)
  const tx = new Transaction(btrees)

  const usage = new Usage()
  const capacity = new Capacity(superblock, usage, isDeviceWritable)
  const allocator = new Allocator({
    ...{ superblock, shape, usage, capacity, cursor, isRw: isDeviceWritable },
    btreeBitmap: (device) => {
      const { btreeBitmap, btreeBitmapShift } = live.members[device]
      return { bits: btreeBitmap, shift: btreeBitmapShift }
    },
  })
  const isOpen = (device: number, bucket: number): boolean => allocator.isOpen(device, bucket)
  const buckets = new SpaceTriggers({
    ...{ shape, isOpen },
    clock: (of) => (of === 'reads' ? clocks.read : clocks.written),
    isFreespaceInitialized: (device) => live.members[device].freespaceInitialized,
  })
  const destinations: Destinations = {
    devices: devicesOf,
    accepts: (device) => isDeviceWritable(device) && allows(members[device].dataAllowed, DataType.user),
  }
  const pointers = new PointerTrigger(buckets, shape, destinations)
  const oldestGens = new OldestGens({ shape, cursor })
  const discards = new Discards({
    ...{ shape, devices, members, cursor, isOpen, isRw: isDeviceWritable, note: ground.note },
    flushedSeq: () => journal.flushedSeq,
  })

  const space = new VolumeSpace({
    devices,
    health,
    usage,
    allocator,
    buckets,
    pointers,
    clocks,
    shape,
    isStaged: ground.isStaged,
    tx: new Transaction(btrees),
  })
  const { btreeNodeSize: nodeBytes, metadataReplicas: copies } = options
  const blockBytes = superblock.blockSectors * 512
  const sink = { nodeBytes, blockBytes, uuidWord: ground.uuidWord, seal: sealOf(ground), version: superblock.version }
  const trees = new TreeWriter({ btrees, editor, journal, sink, random, space, copies })
  const committer = new Committer({
    ...{ btrees, editor, journal, shape, trees, keyTypes: ground.keyTypes },
    triggers: withTriggers(ground.triggers, [
      [BtreeId.extents, pointers.run],
      [BtreeId.extents, reservationTrigger],
      [BtreeId.extents, oldestGens.trigger],
      [BtreeId.reflink, pointers.run],
      [BtreeId.reflink, oldestGens.trigger],
    ]),
    finish: (updates) => buckets.finish(updates),
    beforeCounters: (words, at) => space.beforeCounters(words, at),
    afterCounters: (words, at) => space.afterCounters(words, at),
  })
  space.bind(committer)
  const maintenance = new Maintenance({
    ...{ superblock, journal, editor, trees, committer, allocator, buckets, tx, cacheBytes },
    isWritable: isDeviceWritable,
  })
  const onDeviceError = (device: number, error: DeviceError): void => health.fail(device, error)
  const mover = new ExtentMover({
    ...{ devices, shape, options, codecs, allocator, clocks, cipher: ground.cipher, note: ground.note, onDeviceError },
    readExtent: ground.readExtent,
  })
  const evacuation = new Evacuation({
    ...{ shape, mover, allocator, cursor, commit: (change) => maintenance.transact(change) },
    rootLevel: (btree) => btrees.rootLevel(btree),
    rootPointer: (btree) => btrees.rootPointer(btree),
    rewriteNode: (btree, level, pos) => {
      maintenance.prepare()
      trees.rewrite(btree, level, pos)
      trees.balance()
    },
  })
  const reclaim = new SpaceReclaim({
    ...{ superblock, journal, clocks, usage, allocator, buckets, discards, oldestGens, evacuation },
    invalidation: new Invalidation({ shape, usage, cursor, isOpen, clock: () => clocks.read }),
    copygc: new Copygc({
      ...{ shape, usage, cursor, isOpen, isRw: isDeviceWritable },
      devices: members.filter(({ alive }) => alive).map(({ index }) => index),
      openCount: (device) => allocator.openCountOf(device),
    }),
    isWritable: isDeviceWritable,
    commit: (change) => maintenance.transact(change),
  })
  const data = new ExtentWriter({
    ...{ devices, shape, options, codecs, destinations, clocks, cipher: ground.cipher, onDeviceError },
    allocator: { allocateData: orMakeFree(allocator, ground.makeFree), done: (places) => allocator.done(places) },
    nextVersion: ground.nextKeyVersion,
    ensureFeature: (name) => {
      if (live.addFeature(name)) health.writeSuperblock()
    },
  })
  return {
    ...{ live, health, journal, editor, tx, usage, capacity, allocator, buckets, trees, committer, data },
    ...{ maintenance, reclaim, evacuation },
  }
}

/** Allocates; if there is no room, once more after all was done for it that can be. */
function orMakeFree(allocator: Allocator, makeFree: () => boolean): (request: DataRequest) => DataSpace {
  return (request) => {
    try {
      return allocator.allocateData(request)
    } catch (error) {
      if (!(error instanceof VolumeError) || error.code !== 'ENOSPC' || !makeFree()) throw error
      return allocator.allocateData(request)
    }
  }
}

function makeJournal(
  ground: DatabaseGround,
  devices: readonly (WritableBlockDevice | undefined)[],
  health: DeviceHealth,
  preferred: ReadonlySet<number>,
): Journal {
  const { assembly, btrees, clocks, isStaged, keyVersion, nowSeconds, start, uuidWord } = ground
  const { options, members, features, blockSectors, version } = assembly.best
  return new Journal({
    ...{ start, nowSeconds, uuidWord, version, seal: sealOf(ground), blockBytes: blockSectors * 512 },
    metadataReplicas: isStaged ? 1 : options.metadataReplicas,
    metadataReplicasRequired: isStaged ? 1 : options.metadataReplicasRequired,
    ...(ground.journalThread === undefined ? {} : { thread: ground.journalThread }),
    mayNotFlush: hasFeature(features, 'journal_no_flush'),
    devices: ground.journals.flatMap((each) => {
      const device = devices[each.index]
      const { durability, discard, dataAllowed } = members[each.index]
      if (isStaged && device !== undefined) {
        // the only one there is, whatever it is for otherwise
        return [{ ...each, device, durability: 1, discard: false, isPreferred: true, isWritable: () => true }]
      }
      if (device === undefined || !allows(dataAllowed, DataType.journal)) return []
      const isPreferred = preferred.has(each.index)
      return [{ ...each, device, durability, discard, isPreferred, isWritable: () => health.isWritable(each.index) }]
    }),
    flushDevices: devices.flatMap((device, index) =>
      device === undefined ? [] : [{ index, device, isWritable: () => health.isWritable(index) }],
    ),
    live: { clocks, keyVersion, roots: () => btrees.diskRoots() },
    ensureReplicas: (on) => {
      if (health.live.addReplicas({ dataType: DataType.journal, required: 1, devices: on })) health.writeSuperblock()
    },
    onFlushed: () => undefined, // who waits is told when nothing else is going on
    onDeviceError: (device, error) => health.failInJournal(device, error),
  })
}

function sealOf({ codecs, cipher, assembly }: DatabaseGround): IntegritySeal {
  return new IntegritySeal(codecs, cipher, assembly.best.options.metadataChecksum)
}

function allows(dataAllowed: number, dataType: number): boolean {
  return ((dataAllowed >> dataType) & 1) === 1
}

function withTriggers(
  others: ReadonlyMap<number, readonly KeyTrigger[]>,
  own: readonly (readonly [btree: number, trigger: KeyTrigger])[],
): Map<number, readonly KeyTrigger[]> {
  const all = new Map(others)
  for (const [btree, trigger] of own) all.set(btree, [...(all.get(btree) ?? []), trigger])
  return all
}
