/**
 * An arena: one piece of memory that threads share, cut into pieces of any size by the buddy method. Pieces are powers of two,
 * so a freed piece joins its free neighbour in a few steps and nothing ever needs moving. Pieces of a page and more begin on a page,
 * as direct I/O wants it.
 *
 * All bookkeeping lies in the memory itself: any thread that has the descriptor makes a view of its own, and takes and gives back
 * pieces, under a mutex. The operating system commits pages as they are touched, so a large arena costs what is used of it.
 * The memory is never given back while anybody has the arena: who still holds an offset into it reads something else at worst, never
 * what is not there.
 *
 *     header | order of each unit's piece (a byte each) | up to a page's end | units ...
 *
 * Free pieces of one order are a list, linked through their own first words.
 */

import { Mutex } from '../sync/mutex.ts'
import type { SharedPlace } from '../sync/place.ts'

/** What another thread needs to make a view of an arena: it can be posted. */
export interface ArenaDescriptor {
  readonly buffer: ArrayBufferLike
  /** Byte at which it begins, a multiple of a page; 0 if left out. */
  readonly offset?: number
}

export interface ArenaOptions {
  /** Size of the smallest piece, a power of two from 16 on. */
  readonly unitBytes?: number
  /**
   * Whether several threads use it; they have entered a `ThreadRegistry` then. Else it is an ordinary `ArrayBuffer`, which exists
   * in every browser, and no lock is taken.
   */
  readonly shared?: boolean
  /** Where in memory that is there already the arena is to lie; zeroed, and at the beginning of a page. Left out: new memory. */
  readonly place?: SharedPlace
}

/** Largest arena: offsets are 32-bit words, and larger memory can't be viewed as a whole everywhere. */
const BYTES_MAX = 2 ** 32 - 2 ** 16
const PAGE_BYTES = 4096
const WASM_PAGE_BYTES = 2 ** 16
const UNIT_BYTES = 64
const UNIT_BYTES_MIN = 16

const MAGIC = 0x616e6572
/** Words of the header. */
const KIND = 0
const UNIT_WORDS = 1
const UNITS = 2
const BASE = 3 // first word of the first unit
const FREE_UNITS = 4
const MUTEX = 8
const FREE_LISTS = 16 // by order: 1 + first unit of a free piece
const ORDERS = 32
const HEADER_WORDS = FREE_LISTS + ORDERS

/** Words of a free piece: 1 + unit of its neighbours in the list. */
const NEXT = 0
const PREVIOUS = 1

export class Arena {
  readonly descriptor: ArenaDescriptor
  /** The whole memory, as words: pieces are indices into it. */
  readonly words: Uint32Array
  /** The same, for `Atomics`. */
  readonly ints: Int32Array
  /** The same, for fields of any size. */
  readonly view: DataView
  /** Words of the smallest piece. */
  readonly unit: number

  /** Per unit: 1 + order of the piece that starts there and is in use; negative: free; 0: inside a piece. */
  private readonly orders: Int8Array
  private readonly head: number
  private readonly base: number
  private readonly mutex: Mutex | undefined

  /** A view of an arena that was created. Throws RangeError if the memory is none. */
  constructor(descriptor: ArenaDescriptor) {
    const { buffer } = descriptor
    this.descriptor = descriptor
    this.words = new Uint32Array(buffer)
    this.ints = new Int32Array(buffer)
    this.view = new DataView(buffer)
    const head = (descriptor.offset ?? 0) / 4
    this.head = head
    if (this.words[head + KIND] !== MAGIC) throw new RangeError('this memory is no arena')
    this.unit = this.words[head + UNIT_WORDS]
    this.base = this.words[head + BASE]
    this.orders = new Int8Array(buffer, (head + HEADER_WORDS) * 4, this.words[head + UNITS])
    this.mutex = this.isShared ? new Mutex(this.place(head + MUTEX)) : undefined
  }

  /** Makes an arena of `bytes` for pieces, rounded down to whole units. Throws RangeError if that is too much or nothing. */
  static create(bytes: number, { unitBytes = UNIT_BYTES, shared = true, place }: ArenaOptions = {}): Arena {
    if (!(unitBytes >= UNIT_BYTES_MIN && Number.isInteger(Math.log2(unitBytes))))
      throw new RangeError(`a unit of ${unitBytes} bytes: a power of two from ${UNIT_BYTES_MIN} on is needed`)
    const units = Math.floor(bytes / unitBytes)
    const baseBytes = Math.ceil((HEADER_WORDS * 4 + units) / PAGE_BYTES) * PAGE_BYTES
    const total = baseBytes + units * unitBytes
    if (!(units >= 1 && total <= BYTES_MAX)) throw new RangeError(`an arena of ${bytes} bytes`)
    const buffer = place?.buffer ?? (shared ? sharedMemory(total) : new ArrayBuffer(total))
    const offset = place?.offset ?? 0
    if (offset % PAGE_BYTES !== 0) throw new RangeError(`an arena at byte ${offset}, which is no page's`)
    if (offset + total > buffer.byteLength) throw new RangeError(`${total} bytes for an arena, where less is`)

    const head = new Uint32Array(buffer, offset, HEADER_WORDS)
    head[KIND] = MAGIC
    head[UNIT_WORDS] = unitBytes / 4
    head[UNITS] = units
    head[BASE] = (offset + baseBytes) / 4
    if (buffer instanceof SharedArrayBuffer) Mutex.create({ buffer, offset: offset + MUTEX * 4 })
    const arena = new Arena({ buffer, offset })
    for (let at = 0; at < units;) {
      let order = Math.floor(Math.log2(units - at))
      while (at % (1 << order) !== 0) order--
      arena.link(at, order)
      at += 1 << order
    }
    head[FREE_UNITS] = units
    return arena
  }

  /** Whether other threads can have it too. */
  get isShared(): boolean {
    return typeof SharedArrayBuffer === 'function' && this.descriptor.buffer instanceof SharedArrayBuffer
  }

  /** Bytes for pieces, used or not. */
  get bytes(): number {
    return this.orders.length * this.unit * 4
  }

  /** Bytes that are not in use. They may lie apart. */
  get freeBytes(): number {
    return Atomics.load(this.words, this.head + FREE_UNITS) * this.unit * 4
  }

  /** Size of the greatest piece that the arena can ever give, in words. */
  get largest(): number {
    return this.unit << Math.floor(Math.log2(this.orders.length))
  }

  /** Takes a piece of at least `words` words, whose content is anything. Returns its first word, or -1 if no free piece is large enough. */
  allocate(words: number): number {
    let order = 0
    while (order < ORDERS && this.unit * 2 ** order < words) order++
    this.mutex?.lock()
    try {
      let from = order
      while (from < ORDERS && this.words[this.head + FREE_LISTS + from] === 0) from++
      if (from >= ORDERS) return -1
      const at = this.words[this.head + FREE_LISTS + from] - 1
      this.unlink(at, from)
      while (from > order) {
        from--
        this.link(at + (1 << from), from)
      }
      this.orders[at] = order + 1
      this.words[this.head + FREE_UNITS] -= 1 << order
      return this.base + at * this.unit
    } finally {
      this.mutex?.unlock()
    }
  }

  /** Gives back the piece that starts at word `at`. Throws RangeError if no piece in use starts there. */
  deallocate(at: number): void {
    this.mutex?.lock()
    try {
      let unit = (at - this.base) / this.unit
      let order = this.orders[unit] - 1
      if (!(order >= 0)) throw new RangeError(`no piece in use starts at word ${at}`)
      this.words[this.head + FREE_UNITS] += 1 << order
      for (;;) {
        const buddy = unit ^ (1 << order)
        if (this.orders[buddy] !== -(order + 1)) break
        this.unlink(buddy, order)
        this.orders[Math.max(unit, buddy)] = 0
        unit = Math.min(unit, buddy)
        order++
      }
      this.link(unit, order)
    } finally {
      this.mutex?.unlock()
    }
  }

  /** Word `at` as a place for a lock. Throws RangeError if the arena isn't shared. */
  place(at: number): SharedPlace {
    const { buffer } = this.descriptor
    if (buffer instanceof ArrayBuffer) throw new RangeError('an arena that is not shared has no place for locks')
    return { buffer, offset: at * 4 }
  }

  /** Puts a free piece into its list. */
  private link(unit: number, order: number): void {
    const { words } = this
    const list = this.head + FREE_LISTS + order
    const first = words[list]
    const at = this.base + unit * this.unit
    words[at + NEXT] = first
    words[at + PREVIOUS] = 0
    if (first !== 0) words[this.base + (first - 1) * this.unit + PREVIOUS] = unit + 1
    words[list] = unit + 1
    this.orders[unit] = -(order + 1)
  }

  /** Takes a free piece out of its list. */
  private unlink(unit: number, order: number): void {
    const { words } = this
    const at = this.base + unit * this.unit
    const next = words[at + NEXT]
    const previous = words[at + PREVIOUS]
    if (previous === 0) words[this.head + FREE_LISTS + order] = next
    else words[this.base + (previous - 1) * this.unit + NEXT] = next
    if (next !== 0) words[this.base + (next - 1) * this.unit + PREVIOUS] = previous
  }
}

/** What is used of the platform's own description, which comes with browsers' types only. */
declare const WebAssembly: {
  readonly Memory: new (pages: { readonly initial: number; readonly maximum: number; readonly shared: true }) => {
    readonly buffer: ArrayBufferLike
  }
}

/** Shared memory that begins on a page: a SharedArrayBuffer made directly may begin anywhere. */
function sharedMemory(bytes: number): SharedArrayBuffer {
  const pages = Math.ceil(bytes / WASM_PAGE_BYTES)
  const { buffer } = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
  if (buffer instanceof ArrayBuffer) throw new RangeError('the platform has no shared memory')
  return buffer
}
