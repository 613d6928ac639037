/**
 * Writes a copy of an extent's data to another place, and lets the key lead there. Format chapter 6, 6.12.3 and 6.12.4.
 *
 * A unit of which the key covers all is copied as it is stored, once its checksum has been verified. Of other units only what the key covers
 * is kept: it becomes a unit of its own, which is compressed and encrypted as the old one was. If the copy can't be read or is damaged, the data is
 * read from another one.
 *
 * Nothing is flushed here: see `extent-writer.ts`.
 */

import { DeviceError, type Codecs, type WritableBlockDevice } from '@cowherd/shim'
import { isEncryptedChecksum } from '../checksum.ts'
import type { Cipher } from '../encryption.ts'
import { DataError } from '../errors.ts'
import { COMPRESSION_INCOMPRESSIBLE, type ExtentPointers } from '../extent-entries.ts'
import { movePointer, replacePointer } from '../extent-pointer-edit.ts'
import { setUnitNonce } from '../extent-read.ts'
import { IntegrityCheck } from '../integrity.ts'
import type { Key } from '../key.ts'
import type { VolumeShape } from '../key-type.ts'
import type { Allocator, Place } from '../space/allocator.ts'
import { Watermark } from '../space/reserves.ts'
import type { Options } from '../superblock/options.ts'
import { encodeTarget } from '../superblock/targets.ts'
import { COMPRESSION_OF_OPTION, INCOMPRESSIBLE, NO_COMPRESSOR, UnitEncoder } from './unit-encoder.ts'
import { Unit } from './unit.ts'

/** What moving data needs of the volume. */
export interface MoverSource {
  readonly devices: readonly (WritableBlockDevice | undefined)[]
  readonly shape: VolumeShape
  readonly options: Options
  readonly codecs: Codecs
  /** Absent on volumes that are not encrypted. */
  readonly cipher: Cipher | undefined
  readonly allocator: Pick<Allocator, 'allocateData' | 'done'>
  /** Sectors read and written since the volume was made. */
  readonly clocks: { read: number; written: number }
  /** Reads all that the key covers, from whichever copy. Throws DataError. */
  readExtent(key: Key, target: Uint8Array): void
  onDeviceError(device: number, error: DeviceError): void
  note(message: string): void
}

const SECTOR = 512
/** Compression types of checksum entries, as options name them. */
const COMPRESSIONS = ['lz4', 'gzip', 'zstd'] as const

export class ExtentMover {
  private readonly source: MoverSource
  private readonly integrity: IntegrityCheck
  private readonly encoder: UnitEncoder
  private readonly unit = new Unit()
  private readonly nonce = new Uint32Array(4)
  private readonly csum = new Uint8Array(16)
  private readonly csumWords = new Uint32Array(this.csum.buffer)
  private readonly version = { lo: 0, hi: 0 }
  private read = new Uint8Array(0)
  private encoded = new Uint8Array(0)

  constructor(source: MoverSource) {
    const { codecs, cipher, options, shape } = source
    this.source = source
    this.integrity = new IntegrityCheck(codecs, cipher)
    this.encoder = new UnitEncoder(codecs, cipher, options.wideMacs, shape.blockSectors * SECTOR)
  }

  /**
   * Writes what pointer number `index` of `key`, decoded in `pointers`, leads to elsewhere, and changes `key` accordingly. Returns the places that it leads
   * to now: they are held until the key was committed, and given back by `Allocator.done`. Undefined if the data can't be read: it
   * stays where it is. Throws VolumeError ENOSPC.
   */
  move(key: Key, pointers: ExtentPointers, index: number): readonly Place[] | undefined {
    const isWhole = pointers.crcOffset[index] === 0 && pointers.uncompressedSectors[index] === key.size
    const stored = isWhole ? this.readUnit(key, pointers, index) : undefined
    if (stored !== undefined) {
      const places = this.store(stored, pointers, index)
      if (places.length === 1) movePointer(key, index, places[0])
      else replacePointer(key, index, this.unitOf(pointers, index), places)
      return places
    }
    const data = this.decode(key)
    if (data === undefined) return undefined
    const places = this.store(this.encode(key, pointers, index, data), pointers, index)
    replacePointer(key, index, this.unit, places)
    return places
  }

  /** The stored bytes, if they are sound. */
  private readUnit(key: Key, pointers: ExtentPointers, index: number): Uint8Array | undefined {
    const { source, csumWords, nonce } = this
    const device = source.devices[pointers.device[index]]
    this.read = room(this.read, pointers.compressedSectors[index] * SECTOR)
    const stored = this.read.subarray(0, pointers.compressedSectors[index] * SECTOR)
    // space that is promised only
    if (pointers.unwritten[index] === 1) return stored.fill(0)
    if (device === undefined) return undefined
    try {
      device.read(stored, pointers.sector[index] * SECTOR)
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error
      source.note(error.message)
      return undefined
    }
    source.clocks.read += stored.length / SECTOR
    setUnitNonce(nonce, key, pointers, index)
    csumWords.set(pointers.csum.subarray(4 * index, 4 * index + 4))
    const difference = this.integrity.difference(pointers.csumType[index], nonce, stored, this.csum, 0)
    if (difference === undefined) return stored
    source.note(`device ${pointers.device[index]} sector ${pointers.sector[index]}: ${difference}`)
    return undefined
  }

  /** What the key covers; undefined if no copy can be read. */
  private decode(key: Key): Uint8Array | undefined {
    const bytes = key.size * SECTOR
    this.read = room(this.read, bytes)
    const data = this.read.subarray(0, bytes)
    try {
      this.source.readExtent(key, data)
    } catch (error) {
      if (!(error instanceof DataError)) throw error
      return undefined
    }
    this.source.clocks.read += key.size
    return data
  }

  /** Makes `data`, which is all that the key covers, a unit as that of pointer number `index`. */
  private encode(key: Key, pointers: ExtentPointers, index: number, data: Uint8Array): Uint8Array {
    const { unit, version } = this
    const csumType = pointers.csumType[index]
    const stored = this.compress(data, pointers.compressionType[index])
    unit.csumType = csumType
    // where in the key stream the data lies stays as it is
    unit.nonce = pointers.nonce[index] + (isEncryptedChecksum(csumType) ? pointers.crcOffset[index] : 0)
    version.lo = key.versionLo
    version.hi = key.versionMid
    this.encoder.seal(unit, version, stored)
    return stored
  }

  /** Returns what is to be stored of `data`, and sets the unit's sizes and compression. */
  private compress(data: Uint8Array, type: number): Uint8Array {
    const sectors = data.length / SECTOR
    const option = COMPRESSIONS.find((each) => COMPRESSION_OF_OPTION[each] === type)
    let result = type === COMPRESSION_INCOMPRESSIBLE ? INCOMPRESSIBLE : NO_COMPRESSOR
    if (option !== undefined) {
      this.encoded = room(this.encoded, data.length)
      result = this.encoder.compress(this.encoded.subarray(0, data.length), data, {
        type: option,
        level: this.levelOf(option),
      })
    }
    if (result > 0) {
      this.unit.set(sectors, result / SECTOR, 0, type)
      return this.encoded.subarray(0, result)
    }
    this.unit.set(sectors, sectors, 0, result === INCOMPRESSIBLE ? COMPRESSION_INCOMPRESSIBLE : 0)
    return data
  }

  private levelOf(type: (typeof COMPRESSIONS)[number]): number {
    const { compression, backgroundCompression } = this.source.options
    return [backgroundCompression, compression].find((option) => option.type === type)?.level ?? 0
  }

  /** The unit as it is, of which the key covers all. */
  private unitOf(pointers: ExtentPointers, index: number): Unit {
    const { unit } = this
    unit.set(pointers.uncompressedSectors[index], pointers.compressedSectors[index], 0, pointers.compressionType[index])
    unit.csumType = pointers.csumType[index]
    unit.nonce = pointers.nonce[index]
    unit.csum.set(pointers.csum.subarray(4 * index, 4 * index + 4))
    return unit
  }

  /** Writes `stored` to a place that counts for as much as that of pointer number `index`: on the same device, if there is room. */
  private store(stored: Uint8Array, pointers: ExtentPointers, index: number): readonly Place[] {
    const { source } = this
    const device = pointers.device[index]
    const durability = Math.max(1, source.shape.member(device)?.durability ?? 1)
    const exclude = [...pointers.device.subarray(0, pointers.count)].filter((_, i) => i !== index)
    for (;;) {
      const sectors = stored.length / SECTOR
      const { places } = source.allocator.allocateData({
        ...{ writer: 'copygc', sectors, leastSectors: sectors, watermark: Watermark.copygc, exclude },
        ...{ replicas: durability, required: durability },
        target: encodeTarget({ kind: 'device', index: device }),
      })
      source.clocks.written += sectors
      if (places.every((place) => this.write(place, stored))) return places
      // a device that has failed is not among the next places
      source.allocator.done(places)
    }
  }

  private write(place: Place, stored: Uint8Array): boolean {
    try {
      this.source.devices[place.device]?.write(stored, place.sector * SECTOR)
      return true
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error
      this.source.onDeviceError(place.device, error)
      return false
    }
  }
}

function room(memory: Uint8Array<ArrayBuffer>, bytes: number): Uint8Array<ArrayBuffer> {
  return memory.length < bytes ? new Uint8Array(2 ** Math.ceil(Math.log2(bytes))) : memory
}
