/**
 * Where files with several names were copied to: for each, the path of its first copy, until all its names have been met. A tree may
 * have millions of such files, so a file takes 24 bytes in a table (three eighths to three quarters full) and its path, and no objects.
 *
 * The table is an open hash table. Paths, each behind its length, lie in pieces of memory; a piece is let go with the last of them.
 */

import type { NodeRef } from '@cowherd/fs'

/** Words of an entry. */
const ENTRY_WORDS = 6
/** Names that were not met yet; 0 where there is no entry. */
const NAMES_LEFT = 0
const SUBVOLUME = 1
const INODE_HI = 2
const INODE_LO = 3
const PIECE = 4
const PATH_AT = 5
const LENGTH_BYTES = 4

const INITIAL_ENTRIES = 1 << 6
const PIECE_BYTES = 1 << 18

interface Piece {
  readonly bytes: Buffer
  used: number
  /** Paths in it that are still wanted. */
  paths: number
}

export class LinkTable {
  /** By chance, so that no volume can be made to have its files all look for one place. */
  readonly #seed = Math.floor(Math.random() * 2 ** 32)
  #words = new Uint32Array(INITIAL_ENTRIES * ENTRY_WORDS)
  #count = 0
  /** By number. Numbers of pieces that were let go are free. */
  readonly #pieces: (Piece | undefined)[] = []
  /** Where paths are added. */
  #open: { number: number; piece: Piece } | undefined

  /** Number of files whose names have not all been met. */
  get size(): number {
    return this.#count
  }

  /** Memory that paths and table take. */
  get bytes(): number {
    let bytes = this.#words.byteLength
    for (const piece of this.#pieces) bytes += piece?.bytes.length ?? 0
    return bytes
  }

  /** The path of the file's first copy, if it has one and more names are to come. */
  pathOf(ref: Readonly<NodeRef>): Buffer | undefined {
    const at = this.#find(ref)
    if (at < 0) return undefined
    const { bytes } = this.#piece(this.#words[at * ENTRY_WORDS + PIECE])
    const start = this.#words[at * ENTRY_WORDS + PATH_AT] + LENGTH_BYTES
    return Buffer.from(bytes.subarray(start, start + bytes.readUInt32LE(start - LENGTH_BYTES)))
  }

  /** One of the file's names was met, and is a copy of its own: the one that the names to come are for. */
  addCopy(ref: Readonly<NodeRef>, linkCount: number, path: Uint8Array): void {
    const before = this.#find(ref)
    const left = (before < 0 ? linkCount : this.#words[before * ENTRY_WORDS + NAMES_LEFT]) - 1
    if (before >= 0) this.#remove(before)
    if (left < 1) return
    if ((this.#count + 1) * 4 > this.#entries * 3) this.#grow()
    const { number, piece } = this.#pieceFor(LENGTH_BYTES + path.length)
    const entry = Uint32Array.of(left, ref.subvolume, ref.inodeHi, ref.inodeLo, number, piece.used)
    this.#insert(this.#words, entry)
    piece.bytes.writeUInt32LE(path.length, piece.used)
    piece.bytes.set(path, piece.used + LENGTH_BYTES)
    piece.used += LENGTH_BYTES + path.length
    piece.paths++
    this.#count++
  }

  /** One of the file's names was met, and became a link to the copy. */
  addLink(ref: Readonly<NodeRef>): void {
    const at = this.#find(ref)
    if (at >= 0 && --this.#words[at * ENTRY_WORDS + NAMES_LEFT] === 0) this.#remove(at)
  }

  get #entries(): number {
    return this.#words.length / ENTRY_WORDS
  }

  #piece(number: number): Piece {
    const piece = this.#pieces[number]
    if (piece === undefined) throw new RangeError(`no piece ${number}`)
    return piece
  }

  /** A piece with room for `bytes`. */
  #pieceFor(bytes: number): { number: number; piece: Piece } {
    const open = this.#open
    if (open !== undefined && open.piece.bytes.length - open.piece.used >= bytes) return open
    const free = this.#pieces.indexOf(undefined)
    const number = free < 0 ? this.#pieces.length : free
    const piece = { bytes: Buffer.alloc(Math.max(bytes, PIECE_BYTES)), used: 0, paths: 0 }
    this.#pieces[number] = piece
    this.#open = { number, piece }
    return this.#open
  }

  #letGo(number: number): void {
    const piece = this.#piece(number)
    if (--piece.paths > 0) return
    if (number === this.#open?.number) piece.used = 0
    else this.#pieces[number] = undefined
  }

  /** Place of the file's entry, or -1. */
  #find({ subvolume, inodeHi, inodeLo }: Readonly<NodeRef>): number {
    const words = this.#words
    const entries = this.#entries
    for (let at = this.#home(entries, subvolume, inodeHi, inodeLo); ; at = (at + 1) % entries) {
      const word = at * ENTRY_WORDS
      if (words[word + NAMES_LEFT] === 0) return -1
      const isInode = words[word + INODE_LO] === inodeLo && words[word + INODE_HI] === inodeHi
      if (isInode && words[word + SUBVOLUME] === subvolume) return at
    }
  }

  #insert(words: Uint32Array, entry: Uint32Array): void {
    const entries = words.length / ENTRY_WORDS
    let at = this.#homeOf(entry, 0, entries)
    while (words[at * ENTRY_WORDS + NAMES_LEFT] !== 0) at = (at + 1) % entries
    words.set(entry, at * ENTRY_WORDS)
  }

  #grow(): void {
    const words = this.#words
    const larger = new Uint32Array(words.length * 2)
    for (let word = 0; word < words.length; word += ENTRY_WORDS) {
      if (words[word + NAMES_LEFT] !== 0) this.#insert(larger, words.subarray(word, word + ENTRY_WORDS))
    }
    this.#words = larger
  }

  /** Removes an entry, and moves those behind it up as far as they may go: a gap would end the search for them. */
  #remove(at: number): void {
    const words = this.#words
    const entries = this.#entries
    this.#letGo(words[at * ENTRY_WORDS + PIECE])
    this.#count--
    let gap = at
    for (let next = (at + 1) % entries; words[next * ENTRY_WORDS + NAMES_LEFT] !== 0; next = (next + 1) % entries) {
      const wanted = this.#homeOf(words, next * ENTRY_WORDS, entries)
      const isBehindGap = gap <= next ? gap < wanted && wanted <= next : gap < wanted || wanted <= next
      if (isBehindGap) continue
      words.copyWithin(gap * ENTRY_WORDS, next * ENTRY_WORDS, (next + 1) * ENTRY_WORDS)
      gap = next
    }
    words[gap * ENTRY_WORDS + NAMES_LEFT] = 0
  }

  #homeOf(words: Uint32Array, word: number, entries: number): number {
    return this.#home(entries, words[word + SUBVOLUME], words[word + INODE_HI], words[word + INODE_LO])
  }

  /** Where the search for a file starts. `entries` is a power of two. */
  #home(entries: number, subvolume: number, inodeHi: number, inodeLo: number): number {
    let hash = mixed(mixed(mixed(this.#seed ^ inodeLo) ^ inodeHi) ^ subvolume)
    hash ^= hash >>> 16
    return (hash & (entries - 1)) >>> 0
  }
}

function mixed(hash: number): number {
  return Math.imul(hash ^ (hash >>> 15), 0x9e3779b1)
}
