/**
 * The journal: the entries that the state of the volume rests on, and, after a clean shutdown, what the superblock says instead of them.
 * Format chapter 3, 3.3, 3.4 and 3.8, and 4, 4.7.2.
 */

import {
  BTREE_PTR_V2_TYPE,
  btreeName,
  BtreeId,
  bposText,
  DataType,
  journalBucketAt,
  Jset,
  JsetEntryType,
  Key,
  KEY_BYTES,
  KEY_POS_AT,
  VolumeError,
  walkKeys,
  walkRecords,
  type FoundEntry,
  type JsetRecord,
  type Superblock,
  type Volume,
} from '@cowherd/db'
import { DeviceError } from '@cowherd/shim'
import { versionSeq } from './counters.ts'
import { equalBytes } from './equal.ts'
import type { Faults } from './faults.ts'
import type { KeyRules } from './key-rules.ts'
import { Type } from './key-types.ts'

const SECTOR = 512
const USAGE_KEY_VERSION = 2
/** First bytes of a node pointer's value: an address in somebody's memory. */
const MEM_PTR_BYTES = 8

interface Root {
  readonly level: number
  /** The key's bytes. */
  readonly pointer: Uint8Array
}

/** What the records of an entry, or of the section `clean`, say. */
interface Records {
  /** By btree. */
  readonly roots: Map<number, Root>
  readonly clocks: Map<number, bigint>
  keyVersion: bigint | undefined
  /** Keys that are to be replayed. */
  keys: number
}

export class JournalCheck {
  private readonly volume: Volume
  private readonly superblocks: readonly (Superblock | undefined)[]
  private readonly rules: KeyRules
  private readonly faults: Faults
  private readonly key = new Key()
  /** By position of accounting: the version of the newest delta so far. */
  private readonly deltaVersions = new Map<string, bigint>()

  constructor(volume: Volume, superblocks: readonly (Superblock | undefined)[], rules: KeyRules, faults: Faults) {
    this.volume = volume
    this.superblocks = superblocks
    this.rules = rules
    this.faults = faults
  }

  /** Checks everything, and tells the rules the counter of versions. Returns the number of the entry that nothing may be newer than. */
  check(): number {
    const { clean, cleanSection } = this.volume.superblock
    const entries = this.volume.journalEntries(false)
    const newest = entries.findLast(({ noFlush, places }) => !noFlush && places.some((place) => place.checksumGood))
    if (clean && cleanSection !== undefined) return this.checkClean(entries, newest, cleanSection)
    if (newest === undefined) {
      this.faults.add('journal', 'no entry to start from')
      return 0
    }
    return this.checkLive(entries, newest)
  }

  private checkClean(
    entries: readonly FoundEntry[],
    newest: FoundEntry | undefined,
    { journalSeq, entries: bytes }: NonNullable<Superblock['cleanSection']>,
  ): number {
    const section = this.recordsOf(bytes, 0, 'section clean')
    const newestSeq = Number(journalSeq)
    if (section.keys > 0) this.faults.add('section clean', `${section.keys} keys`)
    if (newest === undefined || newest !== entries.at(-1)) {
      this.faults.add('journal', `the last entry is not a flushed one, though the volume is clean`)
      return newestSeq
    }
    const place = `journal entry ${newest.seq}`
    if (newest.seq !== journalSeq)
      this.faults.add(place, `sb_clean_journal_seq_mismatch: the section says ${journalSeq}`)
    if (newest.lastSeq !== newest.seq)
      this.faults.add(place, `needs those from ${newest.lastSeq} on, though it is the last`)
    this.checkCopies(newest)
    this.checkReplicas(newest, true)
    this.checkPosition(newest)
    const entry = this.readEntry(newest)
    if (entry === undefined) return newestSeq
    if (entry.keys > 0) this.faults.add(place, `clean_but_journal_not_empty: ${entry.keys} keys`)
    this.compare(place, section, entry)
    return newestSeq
  }

  /** The section and the entry say the same. */
  private compare(place: string, section: Records, entry: Records): void {
    for (const btree of new Set([...section.roots.keys(), ...entry.roots.keys()])) {
      if (!isSameRoot(section.roots.get(btree), entry.roots.get(btree)))
        this.faults.add(place, `sb_clean_btree_root_mismatch: ${btreeName(btree)}`)
    }
    if (section.keyVersion !== entry.keyVersion) {
      this.faults.add(place, `key_version ${entry.keyVersion}, the section says ${section.keyVersion}`)
    }
    for (const rw of [0, 1]) {
      const [a, b] = [section.clocks.get(rw), entry.clocks.get(rw)]
      if (a === undefined || a !== b) this.faults.add(place, `clock ${rw} at ${b}, the section says ${a}`)
    }
  }

  private checkLive(entries: readonly FoundEntry[], newest: FoundEntry): number {
    const live = entries.filter(({ seq }) => seq >= newest.lastSeq && seq <= newest.seq)
    let roots = new Set<number>()
    for (const found of live) {
      const place = `journal entry ${found.seq}`
      if (this.isBlacklisted(found.seq)) {
        if (!found.noFlush) this.faults.add(place, 'jset_seq_blacklisted, though it was to be flushed')
        continue
      }
      // A copy of the last one before a crash may be torn.
      if (found !== newest && !this.isBlacklisted(found.seq + 1n)) this.checkCopies(found)
      this.checkReplicas(found, false)
      const entry = this.readEntry(found)
      if (entry === undefined) continue
      for (const btree of roots)
        if (!entry.roots.has(btree)) this.faults.add(place, `lost the root of ${btreeName(btree)}`)
      roots = new Set(entry.roots.keys())
      if (entry.keyVersion === undefined) this.faults.add(place, 'without key_version')
      if (entry.clocks.size < 2) this.faults.add(place, 'without clocks')
    }
    return Number(newest.seq)
  }

  private isBlacklisted(seq: bigint): boolean {
    return this.volume.superblock.blacklist.some(({ start, end }) => seq >= start && seq < end)
  }

  /** All copies are good, and the same. */
  private checkCopies({ seq, bytes, places }: FoundEntry): void {
    let first: Uint8Array | undefined
    for (const { device, sector, checksumGood } of places) {
      const place = `journal entry ${seq} on device ${device}`
      if (!checksumGood) {
        this.faults.add(place, 'bad checksum')
        continue
      }
      const copy = new Uint8Array(bytes)
      this.volume.devices[device]?.read(copy, sector * SECTOR)
      first ??= copy
      if (!equalBytes(first, copy)) this.faults.add(place, 'journal_entry_replicas_data_mismatch')
    }
  }

  /** The superblock names the set of devices. After a crash not all copies need have been written. */
  private checkReplicas({ seq, places }: FoundEntry, isComplete: boolean): void {
    const devices = [...new Set(places.map(({ device }) => device))].sort((a, b) => a - b)
    const isMarked = this.volume.superblock.replicas.some(
      (entry) =>
        entry.dataType === DataType.journal &&
        devices.every((device) => entry.devices.includes(device)) &&
        (!isComplete || entry.devices.length === devices.length),
    )
    if (!isMarked) {
      this.faults.add(`journal entry ${seq}`, `journal_entry_replicas_not_marked: devices ${devices.join(' ')}`)
    }
  }

  /** The place at which writing goes on lies behind the last entry. */
  private checkPosition({ seq, bytes, places }: FoundEntry): void {
    const { superblock } = this.volume
    for (const { device, bucketIndex, sector } of places) {
      const own = this.superblocks[device]
      if (own === undefined) continue
      const { lastJournalBucket, lastJournalBucketSectors, bucketSectors } = superblock.members[device]
      const place = `device ${device}`
      if (lastJournalBucket >= own.journalBuckets.count || lastJournalBucketSectors > bucketSectors) {
        this.faults.add(
          place,
          `no place in its journal: bucket ${lastJournalBucket} sector ${lastJournalBucketSectors}`,
        )
        continue
      }
      const inBucket = sector - journalBucketAt(own.journalBuckets, bucketIndex) * bucketSectors
      const blocks = Math.ceil(bytes / SECTOR / superblock.blockSectors)
      const end = inBucket + blocks * superblock.blockSectors
      if (lastJournalBucket === bucketIndex && lastJournalBucketSectors < end) {
        this.faults.add(
          place,
          `its journal goes on at sector ${lastJournalBucketSectors}, in front of the end of entry ${seq}`,
        )
      }
    }
  }

  private readEntry(found: FoundEntry): Records | undefined {
    try {
      const { bytes } = this.volume.readJournalEntry(found)
      return this.recordsOf(bytes.slice(), Jset.size, `journal entry ${found.seq}`)
    } catch (error) {
      if (!(error instanceof VolumeError || error instanceof DeviceError)) throw error
      this.faults.add(`journal entry ${found.seq}`, error.message)
      return undefined
    }
  }

  private recordsOf(bytes: Uint8Array, from: number, place: string): Records {
    const records: Records = { roots: new Map(), clocks: new Map(), keyVersion: undefined, keys: 0 }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    const version = versionOf(view, from, bytes.length)
    if (version !== undefined) this.rules.keyVersion = version
    const fault = walkRecords(view, from, bytes.length, (record) => this.takeRecord(records, bytes, record, place))
    if (fault !== undefined) this.faults.add(place, fault)
    records.keyVersion = version
    return records
  }

  private takeRecord(records: Records, bytes: Uint8Array, record: JsetRecord, place: string): void {
    const { type, btree, level, start, end } = record
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    if (type === JsetEntryType.btreeRoot) {
      const pointer = bytes.slice(start, end)
      records.roots.set(btree, { level, pointer })
      if (end - start < KEY_BYTES || pointer[0] * 8 !== end - start)
        this.faults.add(place, `no root of ${btreeName(btree)}`)
      return
    }
    if (type === JsetEntryType.clock) records.clocks.set(bytes[start], view.getBigUint64(start + 8, true))
    if (type !== JsetEntryType.btreeKeys) return
    const fault = walkKeys(view, start, end, (at) => {
      records.keys++
      this.key.bytes.set(bytes.subarray(at, at + bytes[at] * 8))
      this.key.words[0] &= 0xffff7fff // needs_whiteout, a leftover of the writer's memory
      if (level === 0) this.rules.check(this.key, btree, place)
      else this.checkNodePointer(btree, level, place)
      if (btree === BtreeId.accounting && level === 0) this.checkDelta(place)
    })
    if (fault !== undefined) this.faults.add(place, fault)
  }

  private checkNodePointer(btree: number, level: number, place: string): void {
    const { key } = this
    if (key.type === Type.deleted && key.size === 0) return
    const fault =
      key.type === BTREE_PTR_V2_TYPE && key.size === 0
        ? this.volume.keyTypes.get(key.type)?.check?.(key, { btree, level }, this.volume.shape)
        : `a key of type ${key.type} and size ${key.size} instead of a node pointer`
    if (fault !== undefined) this.faults.add(`${btreeName(btree)} level ${level} ${key.posText} in ${place}`, fault)
  }

  /** Each delta is newer than those before it, and not newer than its entry. */
  private checkDelta(place: string): void {
    const { key } = this
    const pos = bposText(key.words, KEY_POS_AT)
    const before = this.deltaVersions.get(pos) ?? 0n
    if (key.version <= before) {
      this.faults.add(`accounting ${pos} in ${place}`, `version ${key.version} after ${before}: it would be skipped`)
    }
    const seq = Number(place.slice(place.lastIndexOf(' ')))
    if (versionSeq(key) > seq) this.faults.add(`accounting ${pos} in ${place}`, `of entry ${versionSeq(key)}`)
    this.deltaVersions.set(pos, key.version)
  }
}

/** The counter of versions of keys in these records. */
function versionOf(view: DataView, from: number, to: number): bigint | undefined {
  let version: bigint | undefined
  walkRecords(view, from, to, ({ type, btree, start }) => {
    if (type === JsetEntryType.usage && btree === USAGE_KEY_VERSION) version = view.getBigUint64(start, true)
  })
  return version
}

function isSameRoot(a: Root | undefined, b: Root | undefined): boolean {
  if (a === undefined || b === undefined) return false
  const withoutMemory = ({ pointer }: Root): Uint8Array => pointer.slice().fill(0, KEY_BYTES, KEY_BYTES + MEM_PTR_BYTES)
  return a.level === b.level && equalBytes(withoutMemory(a), withoutMemory(b))
}
