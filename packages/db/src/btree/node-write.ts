/**
 * Writes btree nodes: packs the keys of a node's image into a set, and makes of it a new node or an addition to one, encrypted and with
 * its checksum. Format chapter 2, 2.6.1 to 2.6.5. Nothing is allocated per node.
 */

import { copyBpos } from '../bpos.ts'
import { NonceUse } from '../encryption.ts'
import type { IntegritySeal } from '../integrity-seal.ts'
import { FormatChoice } from './format-choice.ts'
import { KeyFormat } from './key-format.ts'
import { BSET_MAGIC, Bset, BsetEntry, NodeHeader } from './node-layout.ts'
import { keyWords } from './node-image.ts'
import type { KeyList } from './key-list.ts'

/** What writing nodes needs of the volume. */
export interface NodeSink {
  readonly nodeBytes: number
  readonly blockBytes: number
  /** First 8 bytes of the internal uuid as a little-endian number. */
  readonly uuidWord: bigint
  readonly seal: IntegritySeal
  /** Format version that new sets carry. */
  readonly version: number
}

/** A node as its header tells of it. */
export interface NodeDescription {
  readonly btree: number
  readonly level: number
  readonly minKey: Uint32Array
  readonly maxKey: Uint32Array
  /** Random, not 0: the node's incarnation. */
  readonly seqHi: number
  readonly seqLo: number
  /** How often the node was replaced: greater ones win where nodes overlap. */
  readonly generation: number
}

const HEADER = NodeHeader.offsets
const BSET = NodeHeader.fields.bset.offsets
const LATER_BSET = BsetEntry.offsets.bset
const CHECKSUM_BYTES = 16
const KEY_HEADER_MASK = 0x00ff7fff // without needs_whiteout, and what is noted of keys in memory

export class NodeWriter {
  /** The node or set that was made last: its bytes, filled up to whole blocks with zeros. */
  bytes: Uint8Array = new Uint8Array(0)
  readonly format = new KeyFormat()
  private readonly choice = new FormatChoice()
  private readonly sink: NodeSink
  private readonly raw: Uint8Array
  private readonly words: Uint32Array
  private readonly view: DataView
  private readonly nonce = new Uint32Array(4)

  constructor(sink: NodeSink) {
    this.sink = sink
    const buffer = new ArrayBuffer(sink.nodeBytes)
    this.raw = new Uint8Array(buffer)
    this.words = new Uint32Array(buffer)
    this.view = new DataView(buffer)
  }

  /**
   * Makes a new node of the keys, and leaves it in `bytes`. Returns false if they don't fit. Its journal sequence number is 0: it becomes
   * reachable by a later entry.
   */
  makeNode(node: NodeDescription, keys: KeyList): boolean {
    const { view } = this
    const { btree } = node
    this.choice.reset(node.minKey, node.maxKey)
    for (let i = 0; i < keys.count; i++) this.choice.widen(keys.words, keys.base + keys.order[keys.first + i])
    this.choice.choose(this.format)
    const end = this.packKeys(keys, NodeHeader.size)
    if (end < 0) return false

    view.setBigUint64(HEADER.magic, this.sink.uuidWord ^ BSET_MAGIC, true)
    NodeHeader.fields.flags.write(view, HEADER.flags, {
      idLo: btree & 0xf,
      idHi: btree >> 4,
      level: node.level,
      newExtentOverwrite: 1,
      seq: node.generation,
    })
    copyBpos(this.words.subarray(HEADER.minKey / 4), node.minKey)
    copyBpos(this.words.subarray(HEADER.maxKey / 4), node.maxKey)
    view.setBigUint64(HEADER.unused, 0n, true)
    this.format.store(view, HEADER.format)
    this.finish(HEADER.bset, 0, node.seqHi, node.seqLo, 0, 0, NodeHeader.size, end)
    return true
  }

  /**
   * Makes a set of the keys, in the node's format (`format`), to be appended at byte `offset` of the node, and leaves it in `bytes`. Returns
   * false if they don't fit.
   */
  makeSet(node: NodeDescription, keys: KeyList, offset: number, journalSeqHi: number, journalSeqLo: number): boolean {
    const end = this.packKeys(keys, BsetEntry.size)
    if (end < 0 || offset + roundUp(end, this.sink.blockBytes) > this.sink.nodeBytes) return false
    this.finish(LATER_BSET, offset, node.seqHi, node.seqLo, journalSeqHi, journalSeqLo, BsetEntry.size, end)
    return true
  }

  /** Packs the keys from byte `start` on. Returns the byte behind them, or -1 if they don't fit. */
  private packKeys({ words: from, base, order, first, count }: KeyList, start: number): number {
    const { format, words } = this
    let to = start / 4
    for (let i = 0; i < count; i++) {
      const at = base + order[first + i]
      const size = keyWords(from, at)
      if (to + size > words.length) return -1
      if (format.fits(from, at)) {
        to += format.pack(words, to, from, at)
        continue
      }
      words[to] = from[at] & KEY_HEADER_MASK
      for (let j = 1; j < size; j++) words[to + j] = from[at + j]
      to += size
    }
    return to * 4
  }

  private finish(
    bset: number,
    offset: number,
    seqHi: number,
    seqLo: number,
    journalSeqHi: number,
    journalSeqLo: number,
    keys: number,
    end: number,
  ): void {
    const { raw, view, nonce } = this
    const { seal, version, blockBytes } = this.sink
    view.setUint32(bset + BSET.seq, seqLo, true)
    view.setUint32(bset + BSET.seq + 4, seqHi, true)
    view.setUint32(bset + BSET.journalSeq, journalSeqLo, true)
    view.setUint32(bset + BSET.journalSeq + 4, journalSeqHi, true)
    const flags = { csumType: seal.type, bigEndian: 0, separateWhiteouts: 0, offsetSectors: offset / 512 }
    Bset.fields.flags.write(view, bset + BSET.flags, flags)
    view.setUint16(bset + BSET.version, version, true)
    view.setUint16(bset + BSET.u64s, (end - keys) / 8, true)

    const whole = roundUp(end, blockBytes)
    raw.fill(0, end, whole)
    nonce[0] = offset
    nonce[1] = seqLo
    nonce[2] = seqHi
    nonce[3] = journalSeqLo ^ NonceUse.btree
    if (seal.isEncrypting) {
      if (offset === 0) {
        seal.encrypt(nonce, raw.subarray(HEADER.flags, HEADER.bset))
        nonce[0] += Math.ceil((HEADER.bset - HEADER.flags) / 64)
      }
      seal.encrypt(nonce, raw.subarray(keys, end))
      nonce[0] = offset
    }
    seal.sign(nonce, raw.subarray(CHECKSUM_BYTES, end), raw, 0)
    this.bytes = raw.subarray(0, whole)
  }
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit
}
