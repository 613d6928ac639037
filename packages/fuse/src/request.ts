/**
 * The request that a serving thread is at: read into memory that is used again, decoded in place, and answered by the methods it
 * has as a `Reply`. No object is made for a request.
 *
 * Nothing in a message is believed: lengths are checked against what was read, names must end inside it.
 */

import { FuseError } from './errno.ts'
import { InHeader, WriteIn } from './protocol.ts'
import { Reply, type DeferredRequest } from './reply.ts'
import type { RequestTable } from './request-table.ts'
import type { Statistics } from './statistics.ts'
import type { Transport } from './transport.ts'

const HEADER = InHeader.size
/** Views of names near the header are kept, by place and length, so that LOOKUP, CREATE and the like make none. */
const NAME_PLACES = [0, 8, 16]
const NAME_LENGTHS = 256
const WRITE_DATA_AT = HEADER + WriteIn.size
/** Views of the data of WRITEs that are kept, by their lengths. */
const DATA_VIEWS = 64

export class Request extends Reply {
  /** The node that the operation applies to; of a name, its directory. */
  node = 0
  /** Who asks: not meaningful for RELEASE, READ and the like, which the kernel makes by itself. */
  uid = 0
  gid = 0
  /** Thread of the caller, 0 if it can't be told. */
  pid = 0

  private readonly input: Uint8Array
  private readonly inputWords: Uint32Array
  private readonly names = NAME_PLACES.map(() => Array.from<Uint8Array | undefined>({ length: NAME_LENGTHS }))
  private readonly writeViews = new Map<number, Uint8Array>()
  /** Length of the message that was read. */
  private length = 0

  /** `capacity` is the size of the greatest request. */
  constructor(transport: Transport, requests: RequestTable, statistics: Statistics, capacity: number) {
    super(transport, requests, statistics, capacity)
    this.input = new Uint8Array(capacity)
    this.inputWords = new Uint32Array(this.input.buffer, 0, capacity >> 2)
    this.row = requests.take()
    if (this.row < 0) throw new FuseError('ENOMEM', 'no room for another serving thread in the table of open requests')
  }

  /** Waits for the next request. False if what came is no request. Throws the transport's errors. */
  read(): boolean {
    const length = this.transport.read(this.input)
    const words = this.inputWords
    if (length < HEADER || words[0] !== length) return false
    this.length = length
    this.opcode = words[1]
    this.uniqueLo = words[2]
    this.uniqueHi = words[3]
    this.node = words[5] * 0x100000000 + words[4]
    this.uid = words[6]
    this.gid = words[7]
    this.pid = words[8]
    this.startedMs = this.requests.begin(this.row, words)
    this.isOpen = true
    return true
  }

  /** Bytes of the message behind its header. */
  get bodyBytes(): number {
    return this.length - HEADER
  }

  /** True if the request has neither been answered nor deferred. */
  get isUnanswered(): boolean {
    return this.isOpen
  }

  /** Nothing is to be answered: some requests have no reply. */
  dismiss(): void {
    this.isOpen = false
    this.requests.end(this.row)
  }

  /**
   * Leaves the answer for later, for any thread: see `Reply.to`. Throws FuseError (ENOMEM) if too many requests wait; an operation
   * that lets it pass answers with that.
   */
  defer(): DeferredRequest {
    const { opcode, uniqueHi, uniqueLo, node, uid, gid, pid, row } = this
    const next = this.requests.take()
    if (next < 0) throw new FuseError('ENOMEM', 'too many requests wait to be answered')
    this.requests.defer(row)
    this.row = next
    this.isOpen = false
    return { opcode, uniqueHi, uniqueLo, node, uid, gid, pid, row }
  }

  /** Gives its row in the table of open requests back: no more requests are read. */
  close(): void {
    this.requests.free(this.row)
  }

  /** A 32-bit field at byte `offset` of the body, which is long enough (checked before an operation is called). */
  u32(offset: number): number {
    return this.inputWords[(HEADER + offset) >> 2]
  }

  /** A 64-bit field; numbers past 2^53 come out rounded. */
  u64(offset: number): number {
    const at = (HEADER + offset) >> 2
    return this.inputWords[at + 1] * 0x100000000 + this.inputWords[at]
  }

  /** A signed 64-bit field. */
  i64(offset: number): number {
    const at = (HEADER + offset) >> 2
    return (this.inputWords[at + 1] | 0) * 0x100000000 + this.inputWords[at]
  }

  /** The name at byte `offset` of the body, without its NUL; valid as long as the request. Throws FuseError (EINVAL) if it has no end. */
  name(offset: number): Uint8Array {
    const { input, length } = this
    const start = HEADER + offset
    let end = start
    while (end < length && input[end] !== 0) end++
    if (end >= length || end === start) throw new FuseError('EINVAL', 'a name that is empty or has no end')
    const place = NAME_PLACES.indexOf(offset)
    if (place < 0 || end - start >= NAME_LENGTHS) return input.subarray(start, end)
    return (this.names[place][end - start] ??= input.subarray(start, end))
  }

  /**
   * The data of a WRITE, as it lies where it was read; valid as long as the request. Throws FuseError (EINVAL) if the message has
   * less than `size` bytes of it.
   */
  payload(size: number): Uint8Array {
    if (WRITE_DATA_AT + size > this.length) throw new FuseError('EINVAL', 'a WRITE with less data than it says')
    let view = this.writeViews.get(size)
    if (view !== undefined) return view
    view = this.input.subarray(WRITE_DATA_AT, WRITE_DATA_AT + size)
    if (this.writeViews.size === DATA_VIEWS) this.writeViews.clear()
    this.writeViews.set(size, view)
    return view
  }

  /** The bytes of the body from `offset` on, at most `size`; valid as long as the request. */
  bytesFrom(offset: number, size: number): Uint8Array {
    const start = Math.min(HEADER + offset, this.length)
    return this.input.subarray(start, Math.min(start + size, this.length))
  }

  protected override answered(): void {
    this.requests.end(this.row)
  }
}
