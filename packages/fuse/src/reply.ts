/**
 * Answering requests: one method for each form of reply, built in memory that is used again and written as one message.
 *
 * A `Reply` answers one request after another: the serving thread's own (`Request` is one), and on any thread those that were deferred.
 * Each request is answered once. Methods return false if nobody waits for the answer any more (the kernel dropped the request):
 * what the answer would have given away, a lookup count or a handle, is then to be taken back.
 */

import {
  nanoseconds,
  wholeSeconds,
  wordOffsets,
  writeAttributes,
  writeEntry,
  writeStatx,
  writeU64,
} from './attributes.ts'
import type { Attributes, Entry } from './attributes.ts'
import { codeOf, errnoNumber, type ErrnoName } from './errno.ts'
import {
  AttrOut,
  CopyFileRangeOut,
  Dirent,
  EntryOut,
  LseekOut,
  Opcode,
  OpenOut,
  OutHeader,
  StatfsOut,
  StatxOut,
  WriteOut,
} from './protocol.ts'

import { RequestTable, nowMs } from './request-table.ts'
import { Statistics } from './statistics.ts'
import { deviceTransport, type Transport } from './transport.ts'

/** What another thread needs to answer deferred requests: hand it over with postMessage. */
export interface Channel {
  readonly fd: number
  readonly requests: SharedArrayBuffer
  readonly statistics: SharedArrayBuffer
}

/** A request that is answered later. Plain data: it may go to another thread. */
export interface DeferredRequest {
  readonly opcode: number
  readonly uniqueHi: number
  readonly uniqueLo: number
  readonly node: number
  readonly uid: number
  readonly gid: number
  readonly pid: number
  /** Its row in the table of open requests. */
  readonly row: number
}

/** What statfs(2) tells. Sizes in blocks of `blockSize`. */
export interface FilesystemRoom {
  readonly blocks: number
  readonly freeBlocks: number
  readonly availableBlocks: number
  readonly files: number
  readonly freeFiles: number
  readonly blockSize: number
  readonly nameLength: number
}

/** Replies up to this size are built without more memory. */
const CAPACITY_MIN = 64 << 10
const HEADER_WORDS = OutHeader.size / 4
const ATTR_OUT = wordOffsets(AttrOut.offsets)
const STATX_OUT = wordOffsets(StatxOut.offsets)
const STATFS = wordOffsets(StatfsOut.offsets)
/** What the older answer to COPY_FILE_RANGE can tell of, in whole pages. */
const COPIED_MAX = 0xffff_f000
const ANSWERED = 'the request has been answered already'
/** Views of the data area that are kept, so that a read makes none. */
const VIEWS_KEPT = 64

export class Reply {
  protected readonly transport: Transport
  protected readonly requests: RequestTable
  protected readonly statistics: Statistics
  /** The request that is to be answered. */
  opcode = 0
  uniqueHi = 0
  uniqueLo = 0
  protected row = -1
  protected isOpen = false
  /** When it was read, milliseconds of Unix time. */
  protected startedMs = 0

  private bytes: Uint8Array
  private words: Uint32Array
  private readonly views = new Map<number, Uint8Array>()
  private filled = 0
  private limit = 0

  constructor(transport: Transport, requests: RequestTable, statistics: Statistics, capacity = CAPACITY_MIN) {
    this.transport = transport
    this.requests = requests
    this.statistics = statistics
    this.bytes = new Uint8Array(OutHeader.size + capacity)
    this.words = new Uint32Array(this.bytes.buffer, 0, this.bytes.length >> 2)
  }

  /** For another thread than the serving one: answers deferred requests over the same /dev/fuse. */
  static over(channel: Channel): Reply {
    return new Reply(
      deviceTransport(channel.fd),
      new RequestTable(channel.requests),
      new Statistics(channel.statistics),
    )
  }

  /** Turns to a deferred request: the next answer is its. Throws if it has been answered. */
  to(request: DeferredRequest): this {
    if (!this.requests.isDeferred(request.row, request.uniqueHi, request.uniqueLo)) throw new Error(ANSWERED)
    this.opcode = request.opcode
    this.uniqueHi = request.uniqueHi
    this.uniqueLo = request.uniqueLo
    this.row = request.row
    this.startedMs = this.requests.startedMs(request.row)
    this.isOpen = true
    return this
  }

  /** True if the caller of a deferred request no longer wants to wait: answer EINTR, or the result. */
  isInterrupted(request: DeferredRequest): boolean {
    return this.requests.isInterrupted(request.row)
  }

  /** Waits at most `timeoutMs` until a deferred request is interrupted. Returns whether it is. */
  waitForInterrupt(request: DeferredRequest, timeoutMs: number): boolean {
    return this.requests.waitForInterrupt(request.row, timeoutMs)
  }

  /** The request fails. */
  error(code: ErrnoName): boolean {
    return this.send(0, -errnoNumber(code))
  }

  /** The request is done; there is nothing to tell. */
  ok(): boolean {
    return this.send(0, 0)
  }

  /** Answers LOOKUP. Each answer with a node counts as one lookup of it, which FORGET takes back. */
  entry(entry: Readonly<Entry>): boolean {
    writeEntry(this.words, HEADER_WORDS, entry)
    return this.send(EntryOut.size, 0)
  }

  /** Answers CREATE and TMPFILE: `entry` and `opened` in one. */
  created(entry: Readonly<Entry>, handle: number, openFlags: number): boolean {
    writeEntry(this.words, HEADER_WORDS, entry)
    writeOpen(this.words, HEADER_WORDS + EntryOut.size / 4, handle, openFlags)
    return this.send(EntryOut.size + OpenOut.size, 0)
  }

  /** Answers GETATTR and SETATTR. `seconds`: how long the kernel may use the attributes. */
  attributes(attributes: Readonly<Attributes>, seconds: number): boolean {
    const { words } = this
    writeU64(words, HEADER_WORDS + ATTR_OUT.attrValid, wholeSeconds(seconds))
    words[HEADER_WORDS + ATTR_OUT.attrValidNanoseconds] = nanoseconds(seconds)
    words[HEADER_WORDS + ATTR_OUT.padding] = 0
    writeAttributes(words, HEADER_WORDS + ATTR_OUT.attr, attributes)
    return this.send(AttrOut.size, 0)
  }

  /** Answers STATX. */
  statx(attributes: Readonly<Attributes>, seconds: number): boolean {
    const { words } = this
    words.fill(0, HEADER_WORDS, HEADER_WORDS + StatxOut.size / 4)
    writeU64(words, HEADER_WORDS + STATX_OUT.attrValid, wholeSeconds(seconds))
    words[HEADER_WORDS + STATX_OUT.attrValidNanoseconds] = nanoseconds(seconds)
    writeStatx(words, HEADER_WORDS, attributes)
    return this.send(StatxOut.size, 0)
  }

  /** Answers OPEN and OPENDIR. `handle`, below 2^53, comes back with each request on the open file; flags: `OpenFlag`. */
  opened(handle: number, openFlags: number): boolean {
    writeOpen(this.words, HEADER_WORDS, handle, openFlags)
    return this.send(OpenOut.size, 0)
  }

  /** Answers STATFS. */
  room(room: FilesystemRoom): boolean {
    const { words } = this
    words.fill(0, HEADER_WORDS, HEADER_WORDS + StatfsOut.size / 4)
    writeU64(words, HEADER_WORDS + STATFS.blocks, room.blocks)
    writeU64(words, HEADER_WORDS + STATFS.freeBlocks, room.freeBlocks)
    writeU64(words, HEADER_WORDS + STATFS.availableBlocks, room.availableBlocks)
    writeU64(words, HEADER_WORDS + STATFS.files, room.files)
    writeU64(words, HEADER_WORDS + STATFS.freeFiles, room.freeFiles)
    words[HEADER_WORDS + STATFS.blockSize] = room.blockSize
    words[HEADER_WORDS + STATFS.nameLength] = room.nameLength
    words[HEADER_WORDS + STATFS.fragmentSize] = room.blockSize
    return this.send(StatfsOut.size, 0)
  }

  /** Answers WRITE: so many bytes were written, more than 0 and no more than there were. */
  written(bytes: number): boolean {
    this.words[HEADER_WORDS] = bytes
    this.words[HEADER_WORDS + 1] = 0
    return this.send(WriteOut.size, 0)
  }

  /** Answers COPY_FILE_RANGE: so many bytes were copied, no more than asked for; 0 at the end of the source. */
  copied(bytes: number): boolean {
    if (this.opcode !== Opcode.copyFileRange64) return this.written(Math.min(bytes, COPIED_MAX))
    writeU64(this.words, HEADER_WORDS, bytes)
    return this.send(CopyFileRangeOut.size, 0)
  }

  /** Answers LSEEK. */
  offset(offset: number): boolean {
    writeU64(this.words, HEADER_WORDS, offset)
    return this.send(LseekOut.size, 0)
  }

  /** Memory for up to `size` bytes of data, valid until the next answer: fill it, and call `sendData`. */
  data(size: number): Uint8Array {
    let view = this.views.get(size)
    if (view !== undefined) return view
    this.reserve(size)
    view = this.bytes.subarray(OutHeader.size, OutHeader.size + size)
    if (this.views.size === VIEWS_KEPT) this.views.clear()
    this.views.set(size, view)
    return view
  }

  /** Answers READ with the first `length` bytes of `data(size)`; none is the end of the file. */
  sendData(length: number): boolean {
    return this.send(length, 0)
  }

  /** Answers READ, READLINK and the like with a copy of `bytes`. */
  copy(bytes: Uint8Array): boolean {
    this.data(bytes.length).set(bytes)
    return this.send(bytes.length, 0)
  }

  /**
   * Answers GETXATTR and LISTXATTR: `value` is the attribute's value, or the names, each with a NUL behind it; `size` is what was asked
   * for: with 0 only the length is told, and ERANGE if the value is longer.
   */
  xattr(value: Uint8Array, size: number): boolean {
    if (size === 0) {
      this.words[HEADER_WORDS] = value.length
      this.words[HEADER_WORDS + 1] = 0
      return this.send(8, 0)
    }
    return value.length > size ? this.error('ERANGE') : this.copy(value)
  }

  /** Begins the answer to READDIR or READDIRPLUS, at most `size` bytes long. */
  beginNames(size: number): void {
    this.reserve(size)
    this.filled = 0
    this.limit = size
  }

  /**
   * Adds a name (READDIR). `ino` is shown by readdir(3) and is not 0; `type` is the mode's type shifted down by 12; reading goes on at
   * the offset `next`. Returns false if there is no room: the name belongs to the next answer.
   */
  addName(name: Uint8Array, inoHi: number, inoLo: number, type: number, nextHi: number, nextLo: number): boolean {
    return this.placeName(0, name, inoHi, inoLo, type, nextHi, nextLo)
  }

  /**
   * Adds a name with what it leads to (READDIRPLUS). If it has a node, and is neither `.` nor `..`, that counts as one lookup, as soon
   * as the answer is sent. Returns false if there is no room.
   */
  addEntry(name: Uint8Array, entry: Readonly<Entry>, nextHi: number, nextLo: number): boolean {
    const { inoHi, inoLo, mode } = entry.attributes
    const at = (OutHeader.size + this.filled) >> 2
    if (!this.placeName(EntryOut.size, name, inoHi, inoLo, mode >> 12, nextHi, nextLo)) return false
    writeEntry(this.words, at, entry)
    return true
  }

  /** Answers with the names that were added; with none, at the directory's end. */
  sendNames(): boolean {
    return this.send(this.filled, 0)
  }

  private placeName(
    before: number,
    name: Uint8Array,
    inoHi: number,
    inoLo: number,
    type: number,
    nextHi: number,
    nextLo: number,
  ): boolean {
    const { bytes, words } = this
    const size = (before + Dirent.size + name.length + 7) & ~7
    if (this.filled + size > this.limit) return false
    const start = OutHeader.size + this.filled
    const at = (start + before) >> 2
    words[at] = inoLo
    words[at + 1] = inoHi
    words[at + 2] = nextLo
    words[at + 3] = nextHi
    words[at + 4] = name.length
    words[at + 5] = type
    const nameAt = start + before + Dirent.size
    bytes.set(name, nameAt)
    for (let end = nameAt + name.length; end < start + size; end++) bytes[end] = 0
    this.filled += size
    return true
  }

  /** Makes room for a reply's body of `size` bytes. */
  private reserve(size: number): void {
    if (OutHeader.size + size <= this.bytes.length) return
    this.bytes = new Uint8Array(OutHeader.size + size)
    this.words = new Uint32Array(this.bytes.buffer, 0, this.bytes.length >> 2)
    this.views.clear()
  }

  /** Writes the reply. */
  private send(bodyBytes: number, error: number): boolean {
    if (!this.isOpen) throw new Error(ANSWERED)
    this.isOpen = false
    const { words } = this
    const length = OutHeader.size + bodyBytes
    words[0] = length
    words[1] = error
    words[2] = this.uniqueLo
    words[3] = this.uniqueHi
    try {
      this.transport.write(this.bytes, length)
      return true
    } catch (failure) {
      return this.notSent(failure, error)
    } finally {
      this.statistics.count(this.opcode, nowMs() - this.startedMs, error !== 0)
      this.answered()
    }
  }

  /** What follows when the kernel doesn't take an answer. ENOENT: nobody waits. ENODEV: the filesystem is gone, reading will say so. */
  private notSent(failure: unknown, error: number): boolean {
    const code = codeOf(failure)
    if (code === 'ENOENT' || code === 'ENODEV' || code === 'ECONNABORTED') return false
    if (code !== 'EINVAL' || error !== 0) throw failure
    throw new Error(`the kernel refuses the answer to operation ${this.opcode}`, { cause: failure })
  }

  /** A deferred request's row is free again. */
  protected answered(): void {
    this.requests.free(this.row)
  }
}

/** Writes a `fuse_open_out` at word `at`. */
function writeOpen(words: Uint32Array, at: number, handle: number, openFlags: number): void {
  writeU64(words, at, handle)
  words[at + 2] = openFlags
  words[at + 3] = 0
}
