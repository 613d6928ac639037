/**
 * Writes the data of files: cuts it into units, compresses, encrypts and checksums these, finds space, and puts a copy on each of several
 * devices. What leads to it, the keys, is handed over to who commits them. Format chapter 6, 6.7.
 *
 *     bytes      [ unit ][ unit ][ unit ]|[ unit ][..       cut at encoded_extent_max, and where a bucket is full
 *     devices    one write per copy and bucket
 *     keys       one per unit; without checksum and compression one per bucket
 *
 * Nothing is flushed here: the journal flushes the devices before it writes an entry that counts, so data is on stable storage before a key
 * that leads to it. Nothing is ever overwritten: space is new.
 */

import { DeviceError, type Codecs, type WritableBlockDevice } from '@cowherd/shim'
import type { Cipher } from '../encryption.ts'
import { DataError } from '../errors.ts'
import { COMPRESSION_INCOMPRESSIBLE, ExtentPointers } from '../extent-entries.ts'
import { Key, KEY_BYTES, KEY_WORDS } from '../key.ts'
import type { VolumeShape } from '../key-type.ts'
import type { Allocator, DataRequest, DataSpace, Place } from '../space/allocator.ts'
import { sectorsToRebalance, type Destinations } from '../space/rebalance-need.ts'
import { Watermark } from '../space/reserves.ts'
import type { FEATURES } from '../superblock/features.ts'
import type { Options } from '../superblock/options.ts'
import { MEMBERS_MAX } from '../superblock/sections/members.ts'
import { ExtentMerge } from './extent-merge.ts'
import { NewExtents } from './new-extents.ts'
import { COMPRESSION_OF_OPTION, INCOMPRESSIBLE, UnitEncoder } from './unit-encoder.ts'
import { putPointer, putRebalance, Unit, UNIT_SECTORS_MAX } from './unit.ts'

/** What writing data needs of the volume. */
export interface ExtentSink {
  readonly devices: readonly (WritableBlockDevice | undefined)[]
  readonly shape: VolumeShape
  readonly options: Options
  readonly codecs: Codecs
  /** Absent on volumes that are not encrypted. */
  readonly cipher: Cipher | undefined
  readonly allocator: Pick<Allocator, 'allocateData' | 'done'>
  /** Where data should end up. */
  readonly destinations: Destinations
  /** Sectors written since the volume was made. */
  readonly clocks: { written: number }
  /** The version of a key with encrypted data: none is given twice. */
  nextVersion(): bigint
  /** Sees to it that the superblock says that the volume has a feature. */
  ensureFeature(name: (typeof FEATURES)[number]): void
  onDeviceError(device: number, error: DeviceError): void
}

/** How data is to be stored: options of the volume, or of a file. */
export type DataOptions = Pick<
  Options,
  'dataChecksum' | 'compression' | 'backgroundCompression' | 'dataReplicas' | 'foregroundTarget' | 'backgroundTarget'
>

/** On whose behalf. */
export interface DataSource {
  readonly writer: DataRequest['writer']
  /** Left out: normal. */
  readonly watermark?: number
  /** Units of what is stored as it is are no larger: whole blocks. */
  readonly unitBytes?: number
}

const SECTOR = 512
/** Checksum entry, pointers, and what is to be done in the background. */
const VALUE_WORDS_MAX = 6 + 2 * 16 + 2

export class ExtentWriter {
  private readonly sink: ExtentSink
  private readonly encoder: UnitEncoder
  private readonly merging: ExtentMerge
  private readonly unit = new Unit()
  private readonly blockBytes: number
  private readonly unitBytes: number
  /** What is compressed or encrypted, before it is written. */
  private staged = new Uint8Array(0)
  /** Of the units that are about to be written: four words of checksum and two of the version each. */
  private seals = new Uint32Array(6 * 32)
  private readonly version = { lo: 0, hi: 0 }
  private failure: DeviceError | undefined
  private readonly scratch = new Key()
  private readonly pointers = new ExtentPointers()

  constructor(sink: ExtentSink) {
    const { codecs, cipher, options, shape } = sink
    this.sink = sink
    this.blockBytes = shape.blockSectors * SECTOR
    this.unitBytes = Math.max(shape.encodedExtentMaxSectors * SECTOR, this.blockBytes)
    this.encoder = new UnitEncoder(codecs, cipher, options.wideMacs, this.blockBytes)
    this.merging = new ExtentMerge(codecs, shape)
  }

  /** For `write`, made once. */
  newExtents(): NewExtents {
    return new NewExtents(this.sink.allocator)
  }

  /**
   * Writes `bytes`, whole blocks, and adds the keys that lead to them to `extents`, in order. Throws VolumeError ENOSPC, and EIO if too few
   * copies could be written; then `extents` has to be given up.
   */
  write(extents: NewExtents, bytes: Uint8Array, options: DataOptions, source: DataSource): void {
    if (bytes.length % this.blockBytes !== 0) throw new RangeError(`${bytes.length} bytes are no whole blocks`)
    this.failure = undefined
    let failures = 0
    for (let at = 0; at < bytes.length;) {
      const rest = at === 0 ? bytes : bytes.subarray(at)
      const isPlain = options.compression.type === 'none'
      const sectors = isPlain
        ? this.writePlain(extents, rest, 0, options, source)
        : this.writeCompressed(extents, rest, options, source)
      at += sectors * SECTOR
      // With each failure there is a device less.
      if (sectors === 0 && ++failures > MEMBERS_MAX) throw new RangeError('devices fail without end')
    }
  }

  /**
   * Makes `right` one extent with the one in front of it, if they lie one behind the other on their devices and the format lets them. Both are
   * a snapshot's own, and nothing lies between them. False, with `right` as it was, if they can't be one.
   */
  merge(left: Key, right: Key): boolean {
    return this.merging.merge(left, right)
  }

  /** Writes a compressed unit, or what it would have held. Returns how many sectors of `bytes` are written. */
  private writeCompressed(extents: NewExtents, bytes: Uint8Array, options: DataOptions, source: DataSource): number {
    const whole = bytes.subarray(0, this.unitBytes)
    const staged = this.stage(whole.length)
    const { type } = options.compression
    const storedBytes = this.encoder.compress(staged, whole, options.compression)
    if (type === 'none' || storedBytes <= 0) {
      const compressionType = storedBytes === INCOMPRESSIBLE ? COMPRESSION_INCOMPRESSIBLE : 0
      return this.writePlain(extents, whole, compressionType, options, source)
    }
    const stored = storedBytes / SECTOR
    const space = this.allocate(stored, options, source)
    // A bucket is full: what it has left gets what fits there.
    if (space.sectors < stored) return this.storePlain(extents, bytes, 0, options, space, source)
    this.sink.ensureFeature(type)
    const csumType = this.encoder.checksumType(options.dataChecksum)
    const unit = this.unit.set(whole.length / SECTOR, stored, csumType, COMPRESSION_OF_OPTION[type])
    this.seal(unit, 0, staged.subarray(0, storedBytes))
    const places = this.store(space, staged.subarray(0, storedBytes))
    if (places === undefined) return 0
    extents.hold(places)
    this.addKey(extents, unit, 0, unit.sectors, places, 0, options)
    return unit.sectors
  }

  private writePlain(
    extents: NewExtents,
    bytes: Uint8Array,
    compressionType: number,
    options: DataOptions,
    source: DataSource,
  ): number {
    const space = this.allocate(bytes.length / SECTOR, options, source)
    return this.storePlain(extents, bytes, compressionType, options, space, source)
  }

  /** Writes as much of `bytes` as `space` holds, as it is. */
  private storePlain(
    extents: NewExtents,
    bytes: Uint8Array,
    compressionType: number,
    options: DataOptions,
    space: DataSpace,
    { unitBytes = Infinity }: DataSource,
  ): number {
    const { unit, encoder } = this
    const { sectors } = space
    const csumType = encoder.checksumType(options.dataChecksum)
    const hasEntry = csumType !== 0 || compressionType !== 0
    const most = hasEntry ? Math.min(this.unitBytes / SECTOR, UNIT_SECTORS_MAX) : sectors
    const unitSectors = Math.min(unitBytes / SECTOR, most)
    let stored = bytes.subarray(0, sectors * SECTOR)
    if (encoder.isEncrypting) {
      const staged = this.stage(stored.length)
      staged.set(stored)
      stored = staged.subarray(0, stored.length)
    }
    for (let at = 0, index = 0; hasEntry && at < sectors; at += unitSectors, index++) {
      const size = Math.min(unitSectors, sectors - at)
      unit.set(size, size, csumType, compressionType)
      this.seal(unit, index, stored.subarray(at * SECTOR, (at + size) * SECTOR))
    }
    const places = this.store(space, stored)
    if (places === undefined) return 0
    extents.hold(places)
    for (let at = 0, index = 0; at < sectors; at += unitSectors, index++) {
      const size = Math.min(unitSectors, sectors - at)
      this.addKey(extents, unit.set(size, size, csumType, compressionType), index, size, places, at, options)
    }
    return sectors
  }

  private allocate(sectors: number, { dataReplicas, foregroundTarget }: DataOptions, source: DataSource): DataSpace {
    const { writer, watermark = Watermark.normal } = source
    const { allocator } = this.sink
    const { failure } = this
    try {
      return allocator.allocateData({ writer, sectors, replicas: dataReplicas, watermark, target: foregroundTarget })
    } catch (error) {
      if (failure === undefined) throw error
      throw new DataError('EIO', failure.device, failure.message, { cause: failure })
    }
  }

  /** Encrypts and checksums the `index`-th of the units that are about to be written. */
  private seal(unit: Unit, index: number, stored: Uint8Array): void {
    const { version, encoder } = this
    if (encoder.isEncrypting) {
      const next = this.sink.nextVersion()
      version.lo = Number(next & 0xffffffffn)
      version.hi = Number(next >> 32n)
    }
    encoder.seal(unit, version, stored)
    if (6 * (index + 1) > this.seals.length) {
      const larger = new Uint32Array(2 * this.seals.length)
      larger.set(this.seals)
      this.seals = larger
    }
    this.seals.set(unit.csum, 6 * index)
    this.seals[6 * index + 4] = version.lo
    this.seals[6 * index + 5] = version.hi
  }

  /**
   * Writes a copy to each place. Returns those that have it; undefined, with the space given back, if they are too few: the devices that failed
   * are left out when it is tried again.
   */
  private store({ places, sectors }: DataSpace, bytes: Uint8Array): readonly Place[] | undefined {
    const { sink } = this
    let failed: Place[] | undefined
    for (const place of places) {
      try {
        const device = sink.devices[place.device]
        if (device === undefined) throw new RangeError(`device ${place.device} isn't there`)
        device.write(bytes, place.sector * SECTOR)
      } catch (error) {
        if (!(error instanceof DeviceError)) throw error
        this.failure = error
        sink.onDeviceError(place.device, error)
        failed = [...(failed ?? []), place]
      }
    }
    sink.clocks.written += sectors
    if (failed === undefined) return places
    const good = places.filter((place) => failed.includes(place) === false)
    const required = Math.min(sink.options.dataReplicasRequired, this.durabilityOf(places))
    const isEnough = this.durabilityOf(good) >= Math.max(required, 1)
    sink.allocator.done(isEnough ? failed : places)
    return isEnough ? good : undefined
  }

  private durabilityOf(places: readonly Place[]): number {
    let sum = 0
    for (const { device } of places) sum += this.sink.shape.member(device)?.durability ?? 0
    return sum
  }

  /** Adds the key of the `index`-th unit, which lies `skip` sectors behind the places. */
  private addKey(
    extents: NewExtents,
    unit: Unit,
    index: number,
    sectors: number,
    places: readonly Place[],
    skip: number,
    options: DataOptions,
  ): void {
    const { seals } = this
    const words = extents.beginKey(VALUE_WORDS_MAX)
    const { valueAt } = extents
    let at = valueAt
    if (unit.entryWords > 0) {
      for (let i = 0; i < 4; i++) unit.csum[i] = seals[6 * index + i]
      at = unit.putEntry(words, at)
    }
    for (const { device, sector, gen, isCached } of places) {
      at = putPointer(words, at, device, sector + skip, gen, isCached)
    }
    const wanted = backgroundCompression(options)
    if (
      (wanted !== 0 || options.backgroundTarget !== 0) &&
      this.needsWork(words, valueAt, at, sectors, wanted, options)
    ) {
      at = putRebalance(words, at, wanted, options.backgroundTarget)
    }
    const hasVersion = this.encoder.isEncrypting
    extents.endKey(at, sectors, hasVersion ? seals[6 * index + 4] : 0, hasVersion ? seals[6 * index + 5] : 0)
  }

  /** Whether data with the entries at `words[from, to)` is not yet as it should be in the end. Format chapter 6, 6.12.1. */
  private needsWork(
    words: Uint32Array,
    from: number,
    to: number,
    sectors: number,
    compression: number,
    { backgroundTarget }: DataOptions,
  ): boolean {
    const { scratch, pointers } = this
    scratch.make(EXTENT, NOWHERE, new Uint8Array(4 * (to - from) + 8), sectors)
    for (let i = from; i < to; i++) scratch.words[KEY_WORDS + i - from] = words[i]
    putRebalance(scratch.words, KEY_WORDS + to - from, compression, backgroundTarget)
    pointers.decode(scratch, KEY_BYTES)
    return sectorsToRebalance(pointers, this.sink.destinations) > 0
  }

  private stage(bytes: number): Uint8Array {
    if (this.staged.length < bytes) this.staged = new Uint8Array(2 ** Math.ceil(Math.log2(bytes)))
    return this.staged
  }
}

const EXTENT = 6
const NOWHERE = new Uint32Array(5)

/** As an option byte: that of the background, else the one for new data, which may not have been possible. */
function backgroundCompression({ compression, backgroundCompression: background }: DataOptions): number {
  const { type, level } = background.type === 'none' ? compression : background
  return COMPRESSION_OPTIONS.indexOf(type) | (level << 4)
}

const COMPRESSION_OPTIONS: readonly string[] = ['none', 'lz4', 'gzip', 'zstd']
