/**
 * A new volume: superblocks on all its devices, and the keys that it begins with. Without these it is a volume too: the journal, the root
 * directory and the allocation information are made by the first start then. Format chapter 1, 10.
 */

import { encodeUtf8 } from '@cowherd/kernel-lib'
import type { Codecs, WritableBlockDevice } from '@cowherd/shim'
import { VolumeBuilder, type BuiltVolume } from './volume-builder.ts'
import { Cipher } from '../encryption.ts'
import { SuperblockError } from '../errors.ts'
import { IntegritySeal, METADATA_CHECKSUM_TYPES } from '../integrity-seal.ts'
import { covering } from '../superblock/btree-bitmap.ts'
import { SuperblockDraft } from '../superblock/draft.ts'
import { FEATURES } from '../superblock/features.ts'
import { Flag } from '../superblock/flags.ts'
import { clearDevice, layoutOf } from './clear-device.ts'
import { chooseGeometry, type DeviceGeometry, type DeviceSize, type Geometry, type WantedSizes } from './geometry.ts'
import { Malformed } from '../superblock/malformed.ts'
import { OPTIONS, type OptionName, type Options } from '../superblock/options.ts'
import { makeClean } from '../superblock/sections/clean.ts'
import { makeEmptyCounters } from '../superblock/sections/counters.ts'
import { makeDiskGroups, makeGroup, type DiskGroup } from '../superblock/sections/disk-groups.ts'
import { DOWNGRADES, makeDowngrade } from '../superblock/sections/downgrade.ts'
import { makeEmptyExt } from '../superblock/sections/ext.ts'
import { makeJournalBuckets } from '../superblock/sections/journal-buckets.ts'
import { makeMembers, MEMBERS_MAX, type Member } from '../superblock/sections/members.ts'
import { makeReplicas } from '../superblock/sections/replicas.ts'
import { makeSection, type Section } from '../superblock/sections/section.ts'
import { SUPERBLOCK_SECTOR } from '../superblock/superblock.ts'
import { encodeTarget, targetDevices } from '../superblock/targets.ts'
import { lock } from '../superblock/unlock.ts'
import { VERSION_CURRENT } from '../superblock/versions.ts'
import { writeSuperblocks } from '../superblock/write.ts'

/** A device of the new volume. */
export interface NewDevice {
  readonly device: WritableBlockDevice
  /** Least unit that it writes without reading, in bytes. */
  readonly blockBytes: number
  /** How much of it the volume gets; left out: all. */
  readonly sizeBytes?: number
  readonly bucketBytes?: number
  /** Dotted path of its disk group. */
  readonly label?: string
  /** How many copies one on this device counts for, 0 to 2. */
  readonly durability?: number
  readonly discard?: boolean
  /** What may lie on it, bit = data type; left out: journal, btree and user data. */
  readonly dataAllowed?: number
}

/** Options that say where data go: a device, by its name here, or a label. */
export type TargetName = 'metadataTarget' | 'foregroundTarget' | 'backgroundTarget' | 'promoteTarget'

export interface NewVolumeOptions extends WantedSizes {
  readonly codecs: Codecs
  /** Fills memory with bytes that nobody can guess. */
  readonly random: (bytes: Uint8Array) => void
  /** Now, in ns since 1970. */
  readonly nowNs: bigint
  readonly options?: Partial<Omit<Options, 'blockSize' | 'btreeNodeSize' | TargetName>>
  readonly targets?: Partial<Record<TargetName, string>>
  /** The filesystem's name, 32 bytes of UTF-8 at most. */
  readonly label?: string
  /** External uuid, 16 bytes; left out: a random one. */
  readonly uuid?: Uint8Array
  /**
   * Adds the keys that the volume is to begin with (the root directory ...). Left out: the superblocks alone are written, and the first
   * start makes the rest.
   */
  readonly fill?: (builder: VolumeBuilder) => void
  /** Whether the volume is encrypted: with a passphrase, or with a key that lies in the superblock. */
  readonly encryption?: { readonly passphrase: Uint8Array | undefined }
}

const SECTOR = 512
const LABEL_BYTES = 32
const UUID_BYTES = 16
const MASTER_KEY_BYTES = 32
/** Journal, btree, user. */
const DATA_ALLOWED_USUAL = 0b11100
const DURABILITY_MAX = 2
const ENCRYPTION_CHACHA20_POLY1305 = 1
/** Of the superblocks of a volume that is filled. */
const FIRST_SEQ = 1n
const NO_NODES = { bits: 0n, shift: 0 }
/** All of them: alloc_info, alloc_metadata, extents_above_btree_updates_done, bformat_overflow_done. */
const COMPAT_FILLED = 0b1111n
/** What a volume has while it is not clean. */
const FEATURES_DIRTY = ['extents_above_btree_updates', 'btree_updates_journalled'] as const
/** What every new volume has. */
const FEATURES_NEW = [
  'new_siphash',
  'new_extent_overwrite',
  'btree_ptr_v2',
  'extents_above_btree_updates',
  'btree_updates_journalled',
  'new_varint',
  'journal_no_flush',
  'alloc_v2',
  'extents_across_btree_nodes',
] as const satisfies readonly (typeof FEATURES)[number][]

/**
 * Makes a new volume, over whatever the devices hold. Nothing is written unless everything is valid. With `options.fill` the volume is
 * ready for use; without, its first start is still to come.
 * @throws SuperblockError EINVAL, ENOSPC (a device is too small), and DeviceError
 */
export function makeVolume(devices: readonly NewDevice[], options: NewVolumeOptions): Geometry {
  const { fill } = options
  const volume = new VolumeInMaking(devices, options)
  if (fill === undefined) volume.finishEmpty()
  else {
    fill(volume.builder)
    volume.finish()
  }
  return volume.geometry
}

/**
 * A new volume that is being made: until `finish` nothing on the devices is one. The constructor throws as `makeVolume`; nothing is written before
 * everything is valid.
 */
export class VolumeInMaking {
  readonly geometry: Geometry
  /** Takes the keys that the volume is to begin with. */
  readonly builder: VolumeBuilder
  private readonly devices: readonly NewDevice[]
  private readonly options: NewVolumeOptions
  private readonly plan: Plan
  private readonly layouts: readonly ReturnType<typeof layoutOf>[]

  constructor(devices: readonly NewDevice[], options: NewVolumeOptions) {
    if (devices.length === 0 || devices.length > MEMBERS_MAX) {
      throw new SuperblockError('EINVAL', '', `${devices.length} devices where 1 to ${MEMBERS_MAX} can be`)
    }
    this.devices = devices
    this.options = options
    this.geometry = chooseGeometry(devices.map(sizeOf), options)
    this.plan = valid(() => planVolume(devices, this.geometry, options))
    this.layouts = this.geometry.devices.map((each) => layoutOf(each, this.geometry.superblockBytes))
    this.plan.draft.encode({ index: 0, layout: this.layouts[0], sections: [] }, SUPERBLOCK_SECTOR, options.codecs)
    this.builder = newBuilder(devices, this.geometry, this.plan, options)
    // what was there before is gone from here on
    devices.forEach(({ device }, i) => clearDevice(device, this.layouts[i]))
  }

  /** Makes a volume of the keys that the builder was given. Throws VolumeError ENOSPC, DeviceError. */
  finish(): void {
    this.writeSuperblocks(finishPlan(this.geometry, this.plan, this.builder.build(), this.options))
  }

  /** Makes a volume whose first start is still to come. Throws DeviceError. */
  finishEmpty(): void {
    this.writeSuperblocks(this.devices.map(() => []))
  }

  private writeSuperblocks(sections: readonly Section[][]): void {
    const { devices, layouts, plan, geometry, options } = this
    const targets = devices.map(({ device }, index) => ({
      ...{ index, device, layout: layouts[index], sections: sections[index] },
    }))
    writeSuperblocks(plan.draft, targets, geometry.blockBytes, options.codecs)
  }
}

function newBuilder(
  devices: readonly NewDevice[],
  geometry: Geometry,
  { draft, members, key }: Plan,
  { codecs, random, nowNs, options: values = {} }: NewVolumeOptions,
): VolumeBuilder {
  const { uuid } = draft.identity
  const cipher = key === undefined ? undefined : new Cipher(codecs, key)
  const metadataChecksum = values.metadataChecksum ?? OPTIONS.metadataChecksum.defaultValue
  const metadataTarget = draft.getOption('metadataTarget') || draft.getOption('foregroundTarget')
  const preferred = targetDevices(metadataTarget, draft.groups, members)
  const preferredForData = targetDevices(draft.getOption('foregroundTarget'), draft.groups, members)
  return new VolumeBuilder(
    devices.map(({ device }, index) => ({
      ...{ index, device, bucketSectors: members[index].bucketSectors, bucketCount: members[index].bucketCount },
      ...{ durability: members[index].durability, dataAllowed: members[index].dataAllowed },
      superblockSectors: geometry.devices[index].superblockSectors,
      superblockRoom: geometry.superblockBytes / SECTOR,
    })),
    {
      nodeBytes: geometry.btreeNodeBytes,
      blockBytes: geometry.blockBytes,
      uuidWord: new DataView(uuid.buffer, uuid.byteOffset).getBigUint64(0, true),
      seal: new IntegritySeal(codecs, cipher, metadataChecksum),
      version: VERSION_CURRENT,
      copies: values.metadataReplicas ?? OPTIONS.metadataReplicas.defaultValue,
      copiesRequired: values.metadataReplicasRequired ?? OPTIONS.metadataReplicasRequired.defaultValue,
      random,
      nowSeconds: nowNs / 1_000_000_000n,
      isPreferred: (device) => preferred.has(device),
      dataCopies: values.dataReplicas ?? OPTIONS.dataReplicas.defaultValue,
      isDataPreferred: (device) => preferredForData.has(device),
      dataOptions: {
        dataChecksum: values.dataChecksum ?? OPTIONS.dataChecksum.defaultValue,
        encodedExtentMax: Math.max(
          values.encodedExtentMax ?? OPTIONS.encodedExtentMax.defaultValue,
          geometry.blockBytes,
        ),
      },
    },
  )
}

/** Puts what was built into the plan. Returns each device's own sections. */
function finishPlan(
  geometry: Geometry,
  { draft, members }: Plan,
  built: BuiltVolume,
  { nowNs, options: values = {} }: NewVolumeOptions,
): Section[][] {
  const metadataChecksum = values.metadataChecksum ?? OPTIONS.metadataChecksum.defaultValue
  draft.seq = FIRST_SEQ
  draft.writeTime = nowNs / 1_000_000_000n
  const [membersV2, membersV1] = makeMembers(
    members.map((member, index): Member => {
      const { nodes, lastJournalBucket, lastJournalBucketSectors } = built.devices[index]
      const nodeSectors = geometry.btreeNodeBytes / SECTOR
      const bitmap = nodes.reduce((map, sector) => covering(map, sector, sector + nodeSectors), NO_NODES)
      return {
        ...{ ...member, lastMount: draft.writeTime, seq: draft.seq, freespaceInitialized: true },
        ...{ btreeBitmap: bitmap.bits, btreeBitmapShift: bitmap.shift, lastJournalBucket, lastJournalBucketSectors },
      }
    }),
  )
  for (const section of [membersV2, membersV1, makeEmptyCounters(), makeSection('errors', new Uint8Array(0))]) {
    draft.setSection(section)
  }
  draft.setSection(makeEmptyExt())
  draft.setSection(makeDowngrade(DOWNGRADES))
  draft.setSection(makeReplicas(built.replicas.map((entry) => ({ ...entry, required: 1 }))))
  draft.setSection(makeClean(built.journalSeq, built.cleanRecords))
  draft.setFlag(Flag.initialized, 1)
  draft.setFlag(Flag.clean, 1)
  draft.setFlag(Flag.checksumType, METADATA_CHECKSUM_TYPES[metadataChecksum])
  draft.setFlag(Flag.versionUpgradeComplete, VERSION_CURRENT)
  draft.features &= ~featureBits(FEATURES_DIRTY)
  draft.features |= featureBits(built.features)
  draft.compat = COMPAT_FILLED
  return built.devices.map(({ journalBuckets }) => [makeJournalBuckets(journalBuckets)])
}

/** For `chooseGeometry`. Throws SuperblockError EINVAL if the device is too small. */
export function sizeOf({ device, sizeBytes = device.size, blockBytes, bucketBytes }: NewDevice): DeviceSize {
  if (sizeBytes > device.size) {
    throw new SuperblockError('EINVAL', device.name, `${sizeBytes} bytes of its ${device.size}`)
  }
  return { name: device.name, sizeBytes, blockBytes, ...(bucketBytes === undefined ? {} : { bucketBytes }) }
}

/** A volume that is about to be made. */
interface Plan {
  readonly draft: SuperblockDraft
  readonly members: readonly Member[]
  /** Of an encrypted volume. */
  readonly key: Uint8Array | undefined
}

function planVolume(devices: readonly NewDevice[], geometry: Geometry, options: NewVolumeOptions): Plan {
  const { codecs, random, nowNs, encryption } = options
  const uuid = randomBytes(random, UUID_BYTES)
  const draft = new SuperblockDraft({
    version: VERSION_CURRENT,
    versionMin: VERSION_CURRENT,
    uuid,
    userUuid: options.uuid ?? randomBytes(random, UUID_BYTES),
    label: labelBytes(options.label ?? ''),
    nrDevices: devices.length,
    timeBaseLo: nowNs,
    timePrecision: 1,
  })
  draft.features = featureBits([...FEATURES_NEW, ...featuresOf(options.options ?? {})])

  const groups: DiskGroup[] = []
  const members = devices.map((device, index) => memberOf(device, index, geometry.devices[index], groups, random))
  const [membersV2, membersV1] = makeMembers(members)
  draft.setSection(membersV2)
  draft.groups = groups
  if (groups.length > 0) draft.setSection(makeDiskGroups(groups))
  const key = encryption === undefined ? undefined : randomBytes(random, MASTER_KEY_BYTES)
  if (key !== undefined) {
    draft.setFlag(Flag.encryptionType, ENCRYPTION_CHACHA20_POLY1305)
    draft.setSection(lock(key, uuid, codecs, encryption?.passphrase))
  }
  draft.setSection(membersV1)

  for (const name of Object.keys(OPTIONS) as OptionName[]) setDefault(draft, name)
  draft.setOption('blockSize', geometry.blockBytes)
  draft.setOption('btreeNodeSize', geometry.btreeNodeBytes)
  for (const [name, value] of Object.entries(options.options ?? {})) setAny(draft, name as OptionName, value)
  for (const [name, target] of Object.entries(options.targets ?? {})) {
    draft.setOption(name as TargetName, targetNumber(target, devices, groups))
  }
  return { draft, members, key }
}

/** The features that options make use of. */
function featuresOf(options: NonNullable<NewVolumeOptions['options']>): (typeof FEATURES)[number][] {
  const features: (typeof FEATURES)[number][] = options.erasureCode === true ? ['ec'] : []
  for (const compression of [options.compression, options.backgroundCompression]) {
    if (compression !== undefined && compression.type !== 'none') features.push(compression.type)
  }
  return features
}

function featureBits(names: readonly (typeof FEATURES)[number][]): bigint {
  return names.reduce((bits, name) => bits | (1n << BigInt(FEATURES.indexOf(name))), 0n)
}

/** The member's record. Its label's group is appended to `groups`. Throws Malformed. */
export function memberOf(
  { device, label, durability = 1, discard = false, dataAllowed = DATA_ALLOWED_USUAL }: NewDevice,
  index: number,
  { bucketBytes, bucketCount }: DeviceGeometry,
  groups: DiskGroup[],
  random: NewVolumeOptions['random'],
): Member {
  if (!(Number.isInteger(durability) && durability >= 0 && durability <= DURABILITY_MAX)) {
    throw new Malformed(`${device.name}: durability ${durability}: 0 to ${DURABILITY_MAX} can be`)
  }
  return {
    index,
    alive: true,
    uuid: randomBytes(random, UUID_BYTES),
    bucketCount,
    firstBucket: 0,
    bucketSectors: bucketBytes / SECTOR,
    durability,
    state: 'rw',
    discard,
    dataAllowed,
    group: label === undefined ? undefined : makeGroup(groups, label),
    freespaceInitialized: false,
    lastMount: 0n,
    iops: [0, 0, 0, 0],
    errors: [0n, 0n, 0n],
    errorsAtReset: [0n, 0n, 0n],
    errorsResetTime: 0n,
    seq: 0n,
    btreeBitmap: 0n,
    btreeBitmapShift: 0,
    lastJournalBucket: 0,
    lastJournalBucketSectors: 0,
  }
}

function targetNumber(name: string, devices: readonly NewDevice[], groups: readonly DiskGroup[]): number {
  const index = devices.findIndex(({ device }) => device.name === name)
  if (index >= 0) return encodeTarget({ kind: 'device', index })
  const known = groups.length
  const group = makeGroup([...groups], name)
  if (group >= known) throw new Malformed(`target '${name}' is neither a device nor a label of one`)
  return encodeTarget({ kind: 'group', index: group })
}

function setDefault<K extends OptionName>(draft: SuperblockDraft, name: K): void {
  draft.setOption(name, OPTIONS[name].defaultValue as Options[K])
}

function setAny<K extends OptionName>(draft: SuperblockDraft, name: K, value: unknown): void {
  draft.setOption(name, value as Options[K])
}

function labelBytes(label: string): Uint8Array {
  const bytes = encodeUtf8(label)
  if (bytes.length > LABEL_BYTES) throw new Malformed(`a name of ${bytes.length} bytes, ${LABEL_BYTES} at most`)
  const whole = new Uint8Array(LABEL_BYTES)
  whole.set(bytes)
  return whole
}

function randomBytes(random: NewVolumeOptions['random'], length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  random(bytes)
  return bytes
}

/** What is malformed in what was asked for is a mistake of who asked. */
export function valid<T>(make: () => T): T {
  try {
    return make()
  } catch (error) {
    if (!(error instanceof Malformed)) throw error
    throw new SuperblockError('EINVAL', '', error.message, { cause: error })
  }
}
