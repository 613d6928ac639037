/**
 * Reads one btree node: fetches a copy, verifies and decrypts each bset, checks every key, and unpacks all of it into an
 * image builder. Format chapter 2, 2.6.6 and 2.8.
 *
 * A copy that fails any check is given up for the next one; when all have failed, a BtreeError says why each did. The rules that
 * the reference repairs silently are errors here, unless the format says that a reader tolerates them.
 */

import type { BlockDevice } from '@cowherd/shim'
import { DeviceError } from '@cowherd/shim'
import { advanceBpos, bposText, compareBpos, copyBpos, POS_MIN, SPOS_MAX } from '../bpos.ts'
import { BtreeId, btreeName, hasSnapshots, isExtentsBtree, usesSnapshotField } from '../btree-ids.ts'
import type { IntegrityCheck } from '../integrity.ts'
import { NonceUse } from '../encryption.ts'
import { BtreeError } from '../errors.ts'
import { KEY_POS_AT, KEY_SIZE_AT, KEY_U64S, KEY_WORDS } from '../key.ts'
import * as pointer from './btree-ptr.ts'
import { KeyFormat } from './key-format.ts'
import type { NodeFacts } from './node-cache.ts'
import type { ImageBuilder } from './node-image.ts'
import { FORMAT_WORDS } from './node-row.ts'
import { BSET_MAGIC, BsetEntry, NodeHeader } from './node-layout.ts'

/** What reading nodes needs of the volume. */
export interface NodeSource {
  /** Member devices by index; undefined where missing. */
  readonly devices: readonly (BlockDevice | undefined)[]
  readonly nodeBytes: number
  readonly blockBytes: number
  /** First 8 bytes of the internal uuid as a little-endian number. */
  readonly uuidWord: bigint
  readonly integrity: IntegrityCheck
  /** True for journal sequence numbers whose updates never happened. */
  isBlacklisted(seqHi: number, seqLo: number): boolean
  /** Least length a value of `keyType` may have, in bytes; 0 for unknown types. */
  minValueBytes(keyType: number): number
  /** Called when a copy was bad although another one served. */
  note(message: string): void
}

/** A node that is to be read: what its parent (or the root entry) says of it. */
export interface NodeExpectation {
  btree: number
  level: number
  /** The pointer key and the index of its first word. */
  words: Uint32Array
  at: number
}

/** One bset as it lies in the node, for `list -m nodes-ondisk`. */
export interface BsetInfo {
  offsetSectors: number
  version: number
  journalSeq: bigint
  /** Index of its first key among all keys of the node, set by set. */
  firstKey: number
  u64s: number
}

const HEADER = NodeHeader.offsets
const BSET = NodeHeader.fields.bset.offsets
const FIRST_KEYS = NodeHeader.size
const LATER_KEYS = BsetEntry.size
const LATER_BSET = BsetEntry.offsets.bset
const SECTOR = 512
const MIN_BSET_VERSION = 14
const TYPE_WHITEOUT = 1
const KEY_FORMAT_CURRENT = 1

/** A copy of a node that can't be used, and why. Never leaves this file. */
class BadCopy extends Error {}

export class NodeReader implements NodeFacts {
  /** min_key and max_key of the node read last. */
  readonly minKey = new Uint32Array(5)
  readonly maxKey = new Uint32Array(5)
  /** Format of the node read last. */
  readonly format = new KeyFormat()
  readonly formatWords = new Uint32Array(FORMAT_WORDS)
  /** Its incarnation, how often it was replaced, and how much of it is written. */
  seqLo = 0
  seqHi = 0
  generation = 0
  writtenSectors = 0
  /** Called for each bset read, before its keys are taken; for listings of what lies on disk. */
  onBset: ((info: BsetInfo) => void) | undefined

  private readonly source: NodeSource
  private readonly raw: Uint8Array
  private readonly rawWords: Uint32Array
  private readonly view: DataView
  private readonly nonce = new Uint32Array(4)
  private readonly nextMin = new Uint32Array(5)

  constructor(source: NodeSource) {
    this.source = source
    const buffer = new ArrayBuffer(source.nodeBytes)
    this.raw = new Uint8Array(buffer)
    this.rawWords = new Uint32Array(buffer)
    this.view = new DataView(buffer)
  }

  /** Makes it say what is true of an empty root that is not on disk. */
  forgetNode(): void {
    copyBpos(this.minKey, POS_MIN)
    copyBpos(this.maxKey, SPOS_MAX)
    this.seqLo = this.seqHi = this.generation = this.writtenSectors = 0
    this.formatWords.fill(0)
  }

  /** Reads the node into `builder` (reset first): its sets of keys, not yet merged. Throws BtreeError when no copy serves. */
  read(expected: NodeExpectation, builder: ImageBuilder): void {
    const { words, at } = expected
    const problem = pointer.pointerProblem(words, at)
    if (problem !== undefined) throw new BtreeError('EIO', nodeName(expected), problem)
    const failures: string[] = []
    for (let n = 0; n < pointer.pointerCount(words, at); n++) {
      try {
        this.readCopy(expected, n, builder)
        for (const failure of failures) this.source.note(`${nodeName(expected)}: ${failure}; read from another copy`)
        return
      } catch (error) {
        if (!(error instanceof BadCopy) && !(error instanceof DeviceError)) throw error
        const place = `dev ${pointer.pointerDevice(words, at, n)} sector ${pointer.pointerSector(words, at, n)}`
        failures.push(`${place}: ${error.message}`)
      }
    }
    throw new BtreeError('EIO', nodeName(expected), failures.join('; '))
  }

  private readCopy(expected: NodeExpectation, n: number, builder: ImageBuilder): void {
    const { words, at } = expected
    const device = this.source.devices[pointer.pointerDevice(words, at, n)]
    if (device === undefined) throw new BadCopy('the device is missing')
    const written = pointer.sectorsWritten(words, at) * SECTOR
    const limit = written === 0 ? this.source.nodeBytes : written
    if (limit > this.source.nodeBytes || limit % this.source.blockBytes !== 0) {
      throw new BadCopy(`${limit} bytes written of a node of ${this.source.nodeBytes}`)
    }
    device.read(this.raw.subarray(0, limit), pointer.pointerSector(words, at, n) * SECTOR)
    builder.reset()
    this.parse(expected, limit, written !== 0, builder)
  }

  private parse(expected: NodeExpectation, limit: number, lengthKnown: boolean, builder: ImageBuilder): void {
    const { view, source } = this
    if (view.getBigUint64(HEADER.magic, true) !== (source.uuidWord ^ BSET_MAGIC))
      throw new BadCopy('no btree node there')
    const seqLo = view.getUint32(HEADER.bset + BSET.seq, true)
    const seqHi = view.getUint32(HEADER.bset + BSET.seq + 4, true)
    this.checkSeq(expected, seqHi, seqLo)

    let at = 0
    this.seqLo = seqLo
    this.seqHi = seqHi
    while (at < limit) {
      const first = at === 0
      const bset = first ? HEADER.bset : at + LATER_BSET
      const keys = at + (first ? FIRST_KEYS : LATER_KEYS)
      if (keys > limit) break
      if (!first && (view.getUint32(bset, true) !== seqLo || view.getUint32(bset + 4, true) !== seqHi)) break
      const u64s = view.getUint16(bset + BSET.u64s, true)
      const end = keys + u64s * 8
      if (end > limit) throw new BadCopy(`the keys at byte ${at} end at ${end}, behind the node's ${limit}`)
      this.checkBset(at, bset, end)
      if (first) {
        this.decryptHeader(at, bset)
        this.checkHeader(expected)
      }
      this.decryptKeys(at, bset, keys, end)
      const journalHi = view.getUint32(bset + BSET.journalSeq + 4, true)
      const journalLo = view.getUint32(bset + BSET.journalSeq, true)
      if (first || !source.isBlacklisted(journalHi, journalLo)) {
        this.onBset?.({
          offsetSectors: at / SECTOR,
          version: view.getUint16(bset + BSET.version, true),
          journalSeq: view.getBigUint64(bset + BSET.journalSeq, true),
          firstKey: builder.count,
          u64s,
        })
        this.takeKeys(expected, keys, end, builder)
        builder.endRun()
      }
      at = roundUp(end, source.blockBytes)
    }
    this.writtenSectors = at / SECTOR
    if (lengthKnown && at < limit) throw new BadCopy(`${limit - at} of ${limit} bytes are missing`)
  }

  private checkSeq(expected: NodeExpectation, seqHi: number, seqLo: number): void {
    const { words, at } = expected
    if (pointer.isV2(words, at)) {
      if (seqLo !== pointer.seqLo(words, at) || seqHi !== pointer.seqHi(words, at)) {
        throw new BadCopy('another node lies there (wrong sequence number)')
      }
    } else if (seqLo === 0 && seqHi === 0) throw new BadCopy('a node without sequence number')
  }

  /** Checks the parts of a bset that are never encrypted, and its checksum. */
  private checkBset(at: number, bset: number, end: number): void {
    const { view } = this
    const flags = view.getUint32(bset + BSET.flags, true)
    const version = view.getUint16(bset + BSET.version, true)
    const offsetSectors = flags >>> 16
    if ((flags & 0x10) !== 0) throw new BadCopy('written by a big-endian machine, which is not supported')
    if ((flags & 0x20) !== 0) throw new BadCopy('keys with separate whiteouts, which are not supported')
    if (version >>> 10 > 1 || version < MIN_BSET_VERSION) {
      throw new BadCopy(`keys of version ${version >>> 10}.${version & 1023}, which is not supported`)
    }
    if (offsetSectors !== 0 && offsetSectors * SECTOR !== at) {
      throw new BadCopy(`keys that say they lie at sector ${offsetSectors}, found at ${at / SECTOR}`)
    }
    this.setNonce(at, bset)
    const difference = this.source.integrity.difference(
      flags & 0xf,
      this.nonce,
      this.raw.subarray(at + 16, end),
      this.raw,
      at,
    )
    if (difference !== undefined) throw new BadCopy(`keys at byte ${at}: ${difference}`)
  }

  private decryptHeader(at: number, bset: number): void {
    const { integrity } = this.source
    if (!integrity.isEncrypted(this.view.getUint32(bset + BSET.flags, true) & 0xf)) return
    this.setNonce(at, bset)
    integrity.crypt(this.nonce, this.raw.subarray(HEADER.flags, HEADER.bset))
  }

  private decryptKeys(at: number, bset: number, keys: number, end: number): void {
    const { integrity } = this.source
    if (!integrity.isEncrypted(this.view.getUint32(bset + BSET.flags, true) & 0xf)) return
    this.setNonce(at, bset)
    if (at === 0) this.nonce[0] += Math.ceil((HEADER.bset - HEADER.flags) / 64)
    integrity.crypt(this.nonce, this.raw.subarray(keys, end))
  }

  /** Chapter 1, 9.2: the byte offset goes into the block counter as it is. */
  private setNonce(at: number, bset: number): void {
    this.nonce[0] = at
    this.nonce[1] = this.view.getUint32(bset + BSET.seq, true)
    this.nonce[2] = this.view.getUint32(bset + BSET.seq + 4, true)
    this.nonce[3] = this.view.getUint32(bset + BSET.journalSeq, true) ^ NonceUse.btree
  }

  private checkHeader(expected: NodeExpectation): void {
    const { words, at, btree, level } = expected
    const flags = NodeHeader.fields.flags.read(this.view, HEADER.flags)
    const id = flags.idLo | (flags.idHi << 4)
    if (id !== btree || flags.level !== level) {
      throw new BadCopy(`a node of ${btreeName(id)} level ${flags.level} lies there`)
    }
    if (isExtentsBtree(btree) && level === 0 && flags.newExtentOverwrite === 0) {
      throw new BadCopy('extents in an old form that is not supported')
    }
    this.generation = flags.seq
    this.formatWords.set(this.rawWords.subarray(HEADER.format / 4, HEADER.format / 4 + FORMAT_WORDS))
    copyBpos(this.minKey, this.rawWords, HEADER.minKey / 4)
    copyBpos(this.maxKey, this.rawWords, HEADER.maxKey / 4)
    if (pointer.isV2(words, at)) {
      if (pointer.rangeUpdated(words, at)) {
        copyBpos(this.minKey, words, pointer.minKeyAt(at))
        copyBpos(this.maxKey, words, at + KEY_POS_AT)
      } else if (compareBpos(this.minKey, 0, words, pointer.minKeyAt(at)) !== 0) {
        throw new BadCopy(`it starts at ${bposText(this.minKey)} instead of ${bposText(words, pointer.minKeyAt(at))}`)
      }
    }
    if (compareBpos(this.maxKey, 0, words, at + KEY_POS_AT) !== 0) {
      throw new BadCopy(`it ends at ${bposText(this.maxKey)} instead of ${bposText(words, at + KEY_POS_AT)}`)
    }
    const problem = this.format.load(this.view, HEADER.format)
    if (problem !== undefined) throw new BadCopy(`bad key format: ${problem}`)
  }

  /** Checks and unpacks the keys in bytes [start, end) of the node: format chapter 2, 2.8.2. */
  private takeKeys(expected: NodeExpectation, start: number, end: number, builder: ImageBuilder): void {
    const { rawWords, format } = this
    const dropOutside = pointer.isV2(expected.words, expected.at) && pointer.rangeUpdated(expected.words, expected.at)
    const last = end / 4
    let at = start / 4
    while (at < last) {
      const header = rawWords[at]
      const u64s = header & 0xff
      const packed = ((header >>> 8) & 0x7f) !== KEY_FORMAT_CURRENT
      const keyU64s = packed ? format.keyU64s : KEY_U64S
      if (packed && ((header >>> 8) & 0x7f) !== 0) throw new BadCopy(`a key of unknown format at byte ${at * 4}`)
      if (u64s < keyU64s || at + u64s * 2 > last) throw new BadCopy(`a key of ${u64s} words at byte ${at * 4}`)
      if (u64s - keyU64s + KEY_U64S > 255) throw new BadCopy(`a value of ${u64s - keyU64s} words at byte ${at * 4}`)
      builder.room()
      const words = packed
        ? format.unpack(builder.heap, builder.used, rawWords, at)
        : copyKey(builder.heap, builder.used, rawWords, at)
      const problem = this.keyProblem(expected, builder.heap, builder.used)
      if (problem !== undefined) {
        throw new BadCopy(`key ${bposText(builder.heap, builder.used + KEY_POS_AT)} at byte ${at * 4}: ${problem}`)
      }
      if (this.isInside(builder.heap, builder.used + KEY_POS_AT)) {
        if (!builder.append(words)) throw new BadCopy(`the key at byte ${at * 4} is out of order`)
      } else if (!dropOutside) {
        throw new BadCopy(`key ${bposText(builder.heap, builder.used + KEY_POS_AT)} lies outside the node's range`)
      }
      at += u64s * 2
    }
  }

  private isInside(words: Uint32Array, posAt: number): boolean {
    return compareBpos(words, posAt, this.minKey, 0) >= 0 && compareBpos(words, posAt, this.maxKey, 0) <= 0
  }

  private keyProblem(expected: NodeExpectation, words: Uint32Array, at: number): string | undefined {
    const { btree, level } = expected
    const type = (words[at] >>> 16) & 0xff
    if (level > 0) {
      if (words[at + KEY_SIZE_AT] !== 0) return 'a node pointer with a size'
      return type === 0 ? undefined : pointer.pointerProblem(words, at)
    }
    return leafKeyProblem(btree, words, at, this.source.minValueBytes(type))
  }

  /**
   * Checks that the children in the merged image of an interior node cover its range without gap or overlap: chapter 2, 2.7.3.
   * A gap would hide keys in silence.
   */
  checkChildren(expected: NodeExpectation, builder: ImageBuilder): void {
    const { heap, order, count } = builder
    if (count === 0) throw new BtreeError('EIO', nodeName(expected), 'an interior node without children')
    copyBpos(this.nextMin, this.minKey)
    for (let i = 0; i < count; i++) {
      const at = order[i]
      if (pointer.isV2(heap, at) && compareBpos(heap, pointer.minKeyAt(at), this.nextMin, 0) !== 0) {
        const found = bposText(heap, pointer.minKeyAt(at))
        throw new BtreeError(
          'EIO',
          nodeName(expected),
          `child ${i} starts at ${found}, not at ${bposText(this.nextMin)}`,
        )
      }
      copyBpos(this.nextMin, heap, at + KEY_POS_AT)
      if (i < count - 1) advanceBpos(this.nextMin)
    }
    if (compareBpos(this.nextMin, 0, this.maxKey, 0) !== 0) {
      throw new BtreeError('EIO', nodeName(expected), `the last child ends at ${bposText(this.nextMin)}`)
    }
  }
}

/**
 * What is wrong with the header of the unpacked leaf key at `words[at]`, or undefined. Format chapter 2, 2.8.2, rules 6 to 8, 10. What
 * keys of a newer version's btrees may look like is not known.
 */
export function leafKeyProblem(
  btree: number,
  words: Uint32Array,
  at: number,
  minValueBytes: number,
): string | undefined {
  const type = (words[at] >>> 16) & 0xff
  const size = words[at + KEY_SIZE_AT]
  const snapshot = words[at + KEY_POS_AT]
  const offsetLo = words[at + KEY_POS_AT + 1]
  const offsetHi = words[at + KEY_POS_AT + 2]
  if (isExtentsBtree(btree) && type > TYPE_WHITEOUT) {
    if (size === 0) return 'an extent of size 0'
    if (offsetHi === 0 && size > offsetLo) return 'an extent that starts before 0'
  } else if (size !== 0 && btree <= BtreeId.accounting) return `a size of ${size} where keys have none`
  if (hasSnapshots(btree)) {
    if (snapshot === 0) return 'no snapshot id'
  } else if (snapshot !== 0 && btree <= BtreeId.accounting && !usesSnapshotField(btree))
    return 'a snapshot id where keys have none'
  if (((words[at] & 0xff) - KEY_U64S) << 3 < minValueBytes && type !== 0) {
    return `a value of ${((words[at] & 0xff) - KEY_U64S) * 8} bytes, type ${type} has ${minValueBytes} at least`
  }
  if (offsetLo === 0xffffffff && offsetHi === 0xffffffff) {
    if (words[at + KEY_POS_AT + 3] === 0xffffffff && words[at + KEY_POS_AT + 4] === 0xffffffff)
      return 'a key at the very end'
  }
  return undefined
}

/** `inodes level 0 node 0:4099:U32_MAX`: btree, level and the node's last position. */
export function nodeName(expected: NodeExpectation): string {
  const { btree, level, words, at } = expected
  return `${btreeName(btree)} level ${level} node ${bposText(words, at + KEY_POS_AT)}`
}

function copyKey(to: Uint32Array, toAt: number, from: Uint32Array, at: number): number {
  const words = (from[at] & 0xff) * 2
  for (let i = 0; i < words; i++) to[toAt + i] = from[at + i]
  to[toAt] &= 0x00ff7fff
  return words < KEY_WORDS ? KEY_WORDS : words
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit
}
