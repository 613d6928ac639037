/**
 * Requests that a thread is going to submit together: fixed records of words in its own memory, used again and again.
 *
 * Buffers are named by the number that they were registered under, and a byte in them. The cookie, any 32-bit integer, comes back
 * with the completion. All `add` methods return false, and add nothing, if the batch is full; they throw RangeError for numbers that
 * can't be meant. Whatever else is wrong with a request is told by its completion.
 */

import { SEGMENT_WORDS, TRANSFER_MAX } from './performer.ts'
import { Operation, REQUEST_WORDS, THROUGH } from './slots.ts'
import { AT, BUFFER, COOKIE, DEVICE, LENGTH_HIGH, LENGTH_LOW, OFFSET_HIGH, OFFSET_LOW, OPERATION } from './slots.ts'

/** The most segments of one request. */
export const SEGMENTS_MAX = 2 ** 20

export class RequestBatch {
  /** The most requests it can hold. */
  readonly capacity: number
  /** The completion queue that its requests go to. */
  readonly queue: number
  /** @internal */
  readonly words: Int32Array
  private first = 0
  private end = 0

  constructor(capacity: number, queue = 0) {
    if (!(Number.isInteger(capacity) && capacity >= 1)) throw new RangeError(`a batch of ${capacity} requests`)
    this.capacity = capacity
    this.queue = queue
    this.words = new Int32Array(capacity * REQUEST_WORDS)
  }

  /** How many requests wait to be submitted. */
  get length(): number {
    return this.end - this.first
  }

  /** Forgets the requests that were not submitted yet. */
  clear(): void {
    this.first = this.end = 0
  }

  /** Reads `length` bytes at `offset` of the device into the buffer at byte `at`. */
  read(device: number, offset: number, buffer: number, at: number, length: number, cookie: number): boolean {
    if (!(length <= TRANSFER_MAX)) throw new RangeError(`a transfer of ${length} bytes`)
    return this.add(Operation.read, device, offset, buffer, at, length, cookie)
  }

  /** Writes `length` bytes from the buffer at byte `at` to `offset` of the device. */
  write(device: number, offset: number, buffer: number, at: number, length: number, cookie: number): boolean {
    if (!(length <= TRANSFER_MAX)) throw new RangeError(`a transfer of ${length} bytes`)
    return this.add(Operation.write, device, offset, buffer, at, length, cookie)
  }

  /** `write` that is on stable storage when it completes (FUA). */
  writeThrough(device: number, offset: number, buffer: number, at: number, length: number, cookie: number): boolean {
    if (!(length <= TRANSFER_MAX)) throw new RangeError(`a transfer of ${length} bytes`)
    return this.add(Operation.write | THROUGH, device, offset, buffer, at, length, cookie)
  }

  /**
   * Reads into `count` pieces of memory, one after another. Their list lies in the buffer at byte `at`, a multiple of 4, until the
   * request has completed: three words each, the number of a buffer, the first byte there, and how many.
   */
  readVector(device: number, offset: number, buffer: number, at: number, count: number, cookie: number): boolean {
    refuseList(at, count)
    return this.add(Operation.readVector, device, offset, buffer, at, count, cookie)
  }

  /** Writes from `count` pieces of memory, listed as for `readVector`. */
  writeVector(device: number, offset: number, buffer: number, at: number, count: number, cookie: number): boolean {
    refuseList(at, count)
    return this.add(Operation.writeVector, device, offset, buffer, at, count, cookie)
  }

  /** `writeVector` that is on stable storage when it completes. */
  writeVectorThrough(
    device: number,
    offset: number,
    buffer: number,
    at: number,
    count: number,
    cookie: number,
  ): boolean {
    refuseList(at, count)
    return this.add(Operation.writeVector | THROUGH, device, offset, buffer, at, count, cookie)
  }

  /** Brings to stable storage what completed before this is submitted. */
  flush(device: number, cookie: number): boolean {
    return this.add(Operation.flush, device, 0, 0, 0, 0, cookie)
  }

  /** Says that bytes of the device are not needed any more; EOPNOTSUPP where that can't be told to it. */
  discard(device: number, offset: number, length: number, cookie: number): boolean {
    return this.add(Operation.discard, device, offset, 0, 0, length, cookie)
  }

  private add(
    operation: number,
    device: number,
    offset: number,
    buffer: number,
    at: number,
    length: number,
    cookie: number,
  ): boolean {
    if (!(Number.isSafeInteger(offset) && offset >= 0)) throw new RangeError(`offset ${offset}`)
    if (!(Number.isSafeInteger(at) && at >= 0 && at < 2 ** 32)) throw new RangeError(`byte ${at} of a buffer`)
    if (!(Number.isSafeInteger(length) && length >= 0)) throw new RangeError(`length ${length}`)
    if (this.end === this.capacity && !this.makeRoom()) return false
    const { words } = this
    const record = this.end++ * REQUEST_WORDS - OPERATION
    words[record + OPERATION] = operation
    words[record + DEVICE] = device
    words[record + OFFSET_LOW] = offset
    words[record + OFFSET_HIGH] = offset / 2 ** 32
    words[record + BUFFER] = buffer
    words[record + AT] = at
    words[record + LENGTH_LOW] = length
    words[record + LENGTH_HIGH] = length / 2 ** 32
    words[record + COOKIE] = cookie
    return true
  }

  /** @internal Moves the next request's words to `target` at word `at`. */
  moveTo(target: Int32Array, at: number): void {
    const record = this.first++ * REQUEST_WORDS
    for (let word = 0; word < REQUEST_WORDS; word++) target[at + word] = this.words[record + word]
    if (this.first === this.end) this.first = this.end = 0
  }

  private makeRoom(): boolean {
    if (this.first === 0) return false
    this.words.copyWithin(0, this.first * REQUEST_WORDS, this.end * REQUEST_WORDS)
    this.end -= this.first
    this.first = 0
    return true
  }
}

function refuseList(at: number, count: number): void {
  if (at % 4 !== 0) throw new RangeError(`a list of segments at byte ${at}, which is not a multiple of 4`)
  if (!(count <= SEGMENTS_MAX)) throw new RangeError(`${count} segments`)
}

/** Bytes of a list of so many segments. */
export function segmentListBytes(count: number): number {
  return 4 * SEGMENT_WORDS * count
}
