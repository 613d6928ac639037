/**
 * Finds the entries of the journal: scans every journal bucket of every device and lists what lies there. Format chapter 3, 3.4.1
 * to 3.4.3.
 *
 * Only places are kept, not contents: a live journal may be large, and most of what a ring holds is old. `readEntry` fetches an
 * entry again when it is needed.
 */

import type { BlockDevice } from '@cowherd/shim'
import { DeviceError } from '@cowherd/shim'
import { CHECKSUM_BYTES } from '../checksum.ts'
import { NonceUse } from '../encryption.ts'
import { JournalError } from '../errors.ts'
import type { IntegrityCheck } from '../integrity.ts'
import type { JournalBuckets } from '../superblock/index.ts'
import { JOURNAL_ENTRY_MAX_BYTES, JSET_ENCRYPTED_FROM, JSET_MAGIC, Jset } from './jset-layout.ts'

const SECTOR = 512

/** A device with a journal. */
export interface JournalDevice {
  readonly index: number
  readonly device: BlockDevice
  readonly buckets: JournalBuckets
  readonly bucketSectors: number
}

/** Where a copy of an entry lies. */
export interface JournalPlace {
  readonly device: number
  /** Index of the bucket in the device's ring. */
  readonly bucketIndex: number
  /** First sector on the device. */
  readonly sector: number
  readonly checksumGood: boolean
}

/** One entry, found in one or more copies. */
export interface FoundEntry {
  readonly seq: bigint
  /** Oldest entry still needed; 0 in noflush entries, where it means nothing. */
  readonly lastSeq: bigint
  readonly noFlush: boolean
  readonly version: number
  /** Bytes of the entry without padding. */
  readonly bytes: number
  readonly places: JournalPlace[]
}

/** True if some copy of the entry has a good checksum. */
export const isGood = (entry: FoundEntry): boolean => entry.places.some((place) => place.checksumGood)

export interface JournalScanOptions {
  readonly uuidWord: bigint
  readonly blockBytes: number
  readonly integrity: IntegrityCheck
  note(message: string): void
}

/** An entry's bytes, decrypted, valid until the next call to the same scanner. */
export interface EntryBytes {
  readonly bytes: Uint8Array
  readonly view: DataView
  readonly words: Uint32Array
}

export class JournalScanner {
  private readonly devices: readonly JournalDevice[]
  private readonly options: JournalScanOptions
  /** Holds one entry; made at first use, as clean volumes don't need it. */
  private buffer = new ArrayBuffer(0)
  private view = new DataView(this.buffer)
  private readonly nonce = new Uint32Array(4)

  constructor(devices: readonly JournalDevice[], options: JournalScanOptions) {
    this.devices = devices
    this.options = options
  }

  /**
   * All entries found, ascending by sequence number. With `all`, those that are no longer needed too. Throws JournalError when an entry
   * is of a version that can't be read.
   */
  scan(all = false): FoundEntry[] {
    this.makeBuffer()
    const found = new Map<bigint, FoundEntry>()
    let needed = 0n
    for (const device of this.devices) {
      let bucketIndex = 0
      for (const run of device.buckets.runs) {
        for (let i = 0; i < run.count; i++, bucketIndex++) {
          const before = needed
          this.scanBucket(device, run.start + i, bucketIndex, (entry) => {
            if (entry.lastSeq > needed) needed = entry.lastSeq
            if (entry.seq >= needed || all) this.collect(found, entry)
          })
          if (needed > before && !all) for (const seq of found.keys()) if (seq < needed) found.delete(seq)
        }
      }
    }
    return [...found.values()].sort((a, b) => (a.seq < b.seq ? -1 : 1))
  }

  /** The bytes of an entry, from a copy with a good checksum. Throws JournalError when none can be read. */
  readEntry(entry: FoundEntry): EntryBytes {
    this.makeBuffer()
    const problems: string[] = []
    for (const place of entry.places) {
      const device = this.devices.find(({ index }) => index === place.device)
      if (device === undefined || !place.checksumGood) continue
      try {
        device.device.read(new Uint8Array(this.buffer, 0, entry.bytes), place.sector * SECTOR)
        const problem = this.verify(entry.bytes)
        if (problem === undefined) return this.decrypted(entry.bytes)
        problems.push(`${placeText(place)}: ${problem}`)
      } catch (error) {
        if (!(error instanceof DeviceError)) throw error
        problems.push(`${placeText(place)}: ${error.message}`)
      }
    }
    throw new JournalError('EIO', `journal entry ${entry.seq}`, problems.join('; ') || 'no copy with a good checksum')
  }

  /** One bucket, 3.4.2. A read error ends the bucket only: other devices may hold the same entries. */
  private scanBucket(
    device: JournalDevice,
    bucket: number,
    bucketIndex: number,
    take: (entry: FoundEntry) => void,
  ): void {
    const start = bucket * device.bucketSectors * SECTOR
    const size = device.bucketSectors * SECTOR
    const { blockBytes } = this.options
    let afterBad = false
    let highest = -1n
    let at = 0
    try {
      while (at + blockBytes <= size) {
        device.device.read(new Uint8Array(this.buffer, 0, blockBytes), start + at)
        const header = Jset.read(this.view, 0)
        if (header.magic !== (this.options.uuidWord ^ JSET_MAGIC)) {
          if (!afterBad) return
          at += blockBytes
          continue
        }
        const sector = (start + at) / SECTOR
        this.checkVersion(header.version, device, sector)
        if (header.seq < highest) return
        highest = header.seq
        const bytes = Jset.size + header.u64s * 8
        const fits = bytes <= size - at && bytes <= JOURNAL_ENTRY_MAX_BYTES
        let checksumGood = false
        if (fits) {
          if (bytes > blockBytes) {
            device.device.read(new Uint8Array(this.buffer, blockBytes, bytes - blockBytes), start + at + blockBytes)
          }
          checksumGood = this.verify(bytes) === undefined
        }
        const noFlush = header.flags.noFlush === 1
        const lastSeq = checksumGood && !noFlush ? this.lastSeq(header.seq, bytes) : 0n
        const place = { device: device.index, bucketIndex, sector, checksumGood }
        take({ seq: header.seq, lastSeq, noFlush, version: header.version, bytes, places: [place] })
        afterBad ||= !checksumGood
        at += fits ? Math.ceil(bytes / blockBytes) * blockBytes : blockBytes
      }
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error
      this.options.note(`journal bucket ${bucket} of device ${device.index}: ${error.message}`)
    }
  }

  private collect(found: Map<bigint, FoundEntry>, entry: FoundEntry): void {
    const before = found.get(entry.seq)
    if (before === undefined) {
      found.set(entry.seq, entry)
      return
    }
    const [place] = entry.places
    if (before.places.some((other) => other.device === place.device)) {
      this.options.note(`journal entry ${entry.seq}: twice on device ${place.device}`)
    }
    if (isGood(before) || !place.checksumGood) before.places.push(place)
    else found.set(entry.seq, { ...entry, places: [place, ...before.places] })
  }

  private checkVersion(version: number, device: JournalDevice, sector: number): void {
    if (version >>> 10 <= 1 && version >= 9) return
    const where = `device ${device.index} sector ${sector}: journal entry`
    throw new JournalError('EOPNOTSUPP', where, `version ${version >>> 10}.${version & 1023} is not supported`)
  }

  /** Checks the entry in the buffer. */
  private verify(bytes: number): string | undefined {
    const type = this.view.getUint32(Jset.offsets.flags, true) & 0xf
    this.setNonce()
    const covered = new Uint8Array(this.buffer, CHECKSUM_BYTES, bytes - CHECKSUM_BYTES)
    return this.options.integrity.difference(
      type,
      this.nonce,
      covered,
      new Uint8Array(this.buffer, 0, CHECKSUM_BYTES),
      0,
    )
  }

  /** last_seq of the verified flush entry in the buffer, which stays as it is. An entry can't need what is newer than itself. */
  private lastSeq(seq: bigint, bytes: number): bigint {
    const stored = this.storedLastSeq(bytes)
    if (stored <= seq) return stored
    this.options.note(`journal entry ${seq}: jset_last_seq_newer_than_seq: ${stored}, taken as its own number`)
    return seq
  }

  private storedLastSeq(bytes: number): bigint {
    const { integrity } = this.options
    if (!integrity.isEncrypted(this.view.getUint32(Jset.offsets.flags, true) & 0xf)) {
      return this.view.getBigUint64(Jset.offsets.lastSeq, true)
    }
    const clear = new Uint8Array(this.buffer.slice(JSET_ENCRYPTED_FROM, Math.min(bytes, Jset.size)))
    this.setNonce()
    integrity.crypt(this.nonce, clear)
    return new DataView(clear.buffer).getBigUint64(Jset.offsets.lastSeq - JSET_ENCRYPTED_FROM, true)
  }

  private decrypted(bytes: number): EntryBytes {
    const { integrity } = this.options
    if (integrity.isEncrypted(this.view.getUint32(Jset.offsets.flags, true) & 0xf)) {
      this.setNonce()
      integrity.crypt(this.nonce, new Uint8Array(this.buffer, JSET_ENCRYPTED_FROM, bytes - JSET_ENCRYPTED_FROM))
    }
    return {
      bytes: new Uint8Array(this.buffer, 0, bytes),
      view: new DataView(this.buffer, 0, bytes),
      words: new Uint32Array(this.buffer, 0, bytes / 4),
    }
  }

  /** Entries are at most as large as the largest bucket: what is longer was refused when it was found. */
  private makeBuffer(): void {
    if (this.buffer.byteLength > 0) return
    const bucketBytes = this.devices.map(({ bucketSectors }) => bucketSectors * SECTOR)
    this.buffer = new ArrayBuffer(Math.min(JOURNAL_ENTRY_MAX_BYTES, Math.max(0, ...bucketBytes)))
    this.view = new DataView(this.buffer)
  }

  private setNonce(): void {
    this.nonce[0] = 0
    this.nonce[1] = this.view.getUint32(Jset.offsets.seq, true)
    this.nonce[2] = this.view.getUint32(Jset.offsets.seq + 4, true)
    this.nonce[3] = NonceUse.journal
  }
}

/** `device 0 sector 5024`. */
export function placeText(place: JournalPlace): string {
  return `device ${place.device} sector ${place.sector}`
}
