/**
 * Btree nodes as they lie on disk: every copy, every set of keys, and their places. Format chapter 2, 2.6 to 2.8, and its checklist for
 * whoever writes nodes, 2.14.
 */

import type { Key } from '@cowherd/db'
import {
  advanceBpos,
  bposText,
  BsetEntry,
  BTREE_PTR_V2_TYPE,
  btreeName,
  BtreePtrV2,
  compareBpos,
  copyBpos,
  KEY_BYTES,
  KEY_POS_AT,
  NodeHeader,
  POS_MIN,
  SPOS_MAX,
  VolumeError,
  entriesStart,
  ExtentPointers,
  type BsetInspection,
  type NodeInspection,
  type Volume,
} from '@cowherd/db'
import { DeviceError, type BlockDevice } from '@cowherd/shim'
import { firstDifference } from './equal.ts'
import type { Faults } from './faults.ts'
import type { KeyRules } from './key-rules.ts'
import { Type } from './key-types.ts'

const SECTOR = 512
/** A flag in the second byte of keys in memory. */
const NEEDS_WHITEOUT = 0x80
const MIN_KEY_AT = (KEY_BYTES + BtreePtrV2.offsets.minKey) / 4
const SEQ_AT = KEY_BYTES + BtreePtrV2.offsets.seq
const SECTORS_WRITTEN_AT = KEY_BYTES + BtreePtrV2.offsets.sectorsWritten

export class NodeCheck {
  private readonly volume: Volume
  private readonly rules: KeyRules
  private readonly faults: Faults
  private readonly newestSeq: number
  private readonly pointers = new ExtentPointers()
  private readonly expected = new Uint32Array(5)
  private readonly end = new Uint32Array(5)
  /** By the number that a node was given when it was made: which one has it. */
  private readonly seqs = new Map<bigint, string>()

  constructor(volume: Volume, rules: KeyRules, faults: Faults, newestSeq: number) {
    this.volume = volume
    this.rules = rules
    this.faults = faults
    this.newestSeq = newestSeq
  }

  /** Begins with the children at `level` of a btree, which follow in order. */
  beginLevel(): void {
    copyBpos(this.expected, POS_MIN)
    copyBpos(this.end, POS_MIN)
  }

  /** Takes the next pointer of a level: each node begins where the last one ended. */
  follow(key: Key, btree: number, level: number): void {
    if (compareBpos(key.words, MIN_KEY_AT, this.expected, 0) !== 0) {
      const found = bposText(key.words, MIN_KEY_AT)
      this.faults.add(nodeName(key, btree, level), `starts at ${found}, not at ${bposText(this.expected)}`)
    }
    copyBpos(this.end, key.words, KEY_POS_AT)
    copyBpos(this.expected, this.end)
    advanceBpos(this.expected)
  }

  endLevel(btree: number, level: number): void {
    if (compareBpos(this.end, 0, SPOS_MAX, 0) !== 0) {
      this.faults.add(`${btreeName(btree)} level ${level}`, `ends at ${bposText(this.end)}`)
    }
  }

  /** Checks the node at `level` that `key` points to. */
  check(key: Key, btree: number, level: number): void {
    const place = nodeName(key, btree, level)
    const { shape, keyTypes } = this.volume
    if (key.type !== BTREE_PTR_V2_TYPE) {
      this.faults.add(place, `a pointer of type ${key.type}`)
      return
    }
    const fault = keyTypes.get(key.type)?.check?.(key, { btree, level: level + 1 }, shape)
    if (fault !== undefined) this.faults.add(place, fault)
    if (key.size !== 0 || key.version !== 0n)
      this.faults.add(place, `its pointer has size ${key.size}, version ${key.version}`)
    this.checkNumber(place, key.view.getBigUint64(SEQ_AT, true))
    const sectors = key.view.getUint16(SECTORS_WRITTEN_AT, true)
    if (sectors === 0 || sectors % shape.blockSectors !== 0 || sectors > shape.btreeNodeSectors) {
      this.faults.add(place, `${sectors} sectors written`)
      return
    }
    if (this.pointers.load(key, entriesStart(key.type), undefined) !== undefined) return
    this.checkPlaces(place)
    try {
      const node = this.volume.inspectNode(btree, level, key)
      const keys = this.checkSets(place, node, btree, level, sectors)
      this.checkBytes(place, node, sectors, keys)
    } catch (error) {
      if (!(error instanceof VolumeError || error instanceof DeviceError)) throw error
      this.faults.add(place, error.message)
    }
  }

  /** The real tools find nodes in memory by their numbers: no two may have the same. */
  private checkNumber(place: string, seq: bigint): void {
    const other = this.seqs.get(seq)
    if (seq === 0n) this.faults.add(place, 'has no number')
    else if (other !== undefined) this.faults.add(place, `has the number 0x${seq.toString(16)}, as ${other} has`)
    this.seqs.set(seq, place)
  }

  /** Where a search for lost nodes would look for it. */
  private checkPlaces(place: string): void {
    const { pointers, volume } = this
    const { members, options } = volume.superblock
    const nodeSectors = options.btreeNodeSize / SECTOR
    for (let i = 0; i < pointers.count; i++) {
      const index = pointers.device[i]
      if (index >= members.length || !members[index].alive) continue
      const { bucketSectors, btreeBitmap, btreeBitmapShift } = members[index]
      const sector = pointers.sector[i]
      if ((sector % bucketSectors) % nodeSectors !== 0) {
        this.faults.add(place, `at sector ${sector % bucketSectors} of its bucket, no multiple of ${nodeSectors}`)
      }
      const unit = 2 ** btreeBitmapShift
      for (let bit = Math.floor(sector / unit); bit * unit < sector + nodeSectors; bit++) {
        if (bit < 64 && ((btreeBitmap >> BigInt(bit)) & 1n) === 1n) continue
        this.faults.add(place, `btree_bitmap_not_marked: device ${index} sector ${sector}`)
        break
      }
    }
  }

  /** Returns how many keys there are, set by set. */
  private checkSets(place: string, { sets }: NodeInspection, btree: number, level: number, sectors: number): number[] {
    const { blockSectors } = this.volume.shape
    const { version, versionMin } = this.volume.superblock
    let end = 0
    const keys = sets.map((set, i) => {
      const where = `${place} set ${i}`
      if (set.offsetSectors !== end)
        this.faults.add(where, `at sector ${set.offsetSectors}, though the last ended at ${end}`)
      const blocks = Math.ceil(endOf(set) / SECTOR / blockSectors)
      end = blocks * blockSectors
      if (set.version < versionMin || set.version > version) this.faults.add(where, `version ${set.version}`)
      this.checkSeq(where, set, i === 0)
      return this.checkKeys(where, set, btree, level, i === 0)
    })
    // Those that the blacklist names are not among the sets.
    if (end !== sectors) this.faults.add(place, `its sets end at sector ${end} of ${sectors}`)
    return keys
  }

  private checkSeq(where: string, set: BsetInspection, isFirst: boolean): void {
    const { journalSeq, u64s } = set
    const { blacklist } = this.volume.superblock
    if (isFirst !== (journalSeq === 0n)) this.faults.add(where, `journal_seq ${journalSeq}`)
    if (!isFirst && u64s === 0) this.faults.add(where, 'empty')
    if (journalSeq > this.newestSeq) this.faults.add(where, `journal_seq ${journalSeq}, the last is ${this.newestSeq}`)
    if (blacklist.some(({ start, end }) => journalSeq >= start && journalSeq < end)) {
      this.faults.add(where, `bset_blacklisted_journal_seq: ${journalSeq}`)
    }
  }

  /** Returns how many keys there are. Several at one position count as one. */
  private checkKeys(where: string, set: BsetInspection, btree: number, level: number, isFirst: boolean): number {
    let keys = 0
    set.forEach((key) => {
      keys++
      if (isFirst && key.type === Type.deleted) this.faults.add(where, `deleted key ${key.posText}`)
      if (level === 0) this.rules.check(key, btree, where)
    })
    return keys
  }

  /** The copies are the same, and nothing lies in the gaps between the sets. */
  private checkBytes(place: string, { sets }: NodeInspection, sectors: number, keys: readonly number[]): void {
    const { pointers } = this
    let first: Uint8Array | undefined
    for (let i = 0; i < pointers.count; i++) {
      const device = this.volume.devices[pointers.device[i]]
      if (device === undefined) continue
      const bytes = readNode(device, pointers.sector[i], sectors)
      if (first === undefined) {
        this.checkGaps(place, bytes, sets)
        if (!this.volume.shape.encrypted) this.checkClear(place, bytes, sets, keys)
      }
      first ??= bytes
      const at = firstDifference(first, bytes)
      if (at >= 0) this.faults.add(place, `copy ${i}, on device ${pointers.device[i]}, differs in byte ${at}`)
    }
  }

  /** What readers pass over, and writers still have to write as it should be. */
  private checkClear(place: string, bytes: Uint8Array, sets: readonly BsetInspection[], keys: readonly number[]): void {
    const header = NodeHeader.read(new DataView(bytes.buffer), 0)
    if (header.flags.newExtentOverwrite === 0) this.faults.add(place, 'without the flag for extents')
    sets.forEach((set, i) => {
      let count = 0
      for (let at = startOf(set); at < endOf(set); at += Math.max(1, bytes[at]) * 8) {
        count++
        if ((bytes[at + 1] & NEEDS_WHITEOUT) !== 0) this.faults.add(place, `needs_whiteout on disk, byte ${at}`)
      }
      if (count !== keys[i]) this.faults.add(`${place} set ${i}`, `${count} keys at ${keys[i]} positions`)
    })
  }

  private checkGaps(place: string, bytes: Uint8Array, sets: readonly BsetInspection[]): void {
    sets.forEach((set, i) => {
      const next = i + 1 < sets.length ? sets[i + 1].offsetSectors * SECTOR : bytes.length
      for (let at = endOf(set); at < next; at++) {
        if (bytes[at] === 0) continue
        this.faults.add(`${place} set ${i}`, `rubbish in byte ${at}, behind its end`)
        break
      }
    })
  }
}

/** Bytes of the node at which the set's keys begin and end. */
function startOf({ offsetSectors }: BsetInspection): number {
  return offsetSectors * SECTOR + (offsetSectors === 0 ? NodeHeader.size : BsetEntry.size)
}
function endOf(set: BsetInspection): number {
  return startOf(set) + set.u64s * 8
}

function readNode(device: BlockDevice, sector: number, sectors: number): Uint8Array {
  const bytes = new Uint8Array(sectors * SECTOR)
  device.read(bytes, sector * SECTOR)
  return bytes
}

/** `inodes level 0 node 0:4099:U32_MAX`. */
export function nodeName(key: Key, btree: number, level: number): string {
  return `${btreeName(btree)} level ${level} node ${key.posText}`
}
