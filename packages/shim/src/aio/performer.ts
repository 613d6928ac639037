/**
 * Performs requests in the thread that it belongs to, on the devices and buffers that this thread knows. What fails is the
 * request's result; nothing is thrown.
 */

import type { DeviceHandle } from '../block-device.ts'
import type { AioMemory } from './aio-memory.ts'
import { resultOf, resultOfError } from './errno.ts'
import { targetOf, type IoTarget } from './io-target.ts'
import {
  AT,
  BUFFER,
  DEVICE,
  LENGTH_HIGH,
  LENGTH_LOW,
  OFFSET_HIGH,
  OFFSET_LOW,
  OPERATION,
  OPERATION_MASK,
  Operation,
  THROUGH,
} from './slots.ts'

/** What a thread learns of devices and buffers; it can be posted. */
export type IoNews =
  | { readonly kind: 'device'; readonly number: number; readonly handle: DeviceHandle }
  | { readonly kind: 'removed'; readonly number: number }
  | { readonly kind: 'buffer'; readonly number: number; readonly buffer: ArrayBufferLike }

/** Words of a segment of a vectored request: buffer, byte in it, bytes. */
export const SEGMENT_WORDS = 3
/** The most bytes that a read or write transfers. */
export const TRANSFER_MAX = 2 ** 31 - 1

export class Performer {
  private readonly memory: AioMemory
  private readonly words: Int32Array
  private readonly devices: (IoTarget | Promise<IoTarget> | undefined)[] = []
  private readonly buffers: Uint8Array[] = []

  constructor(memory: AioMemory) {
    this.memory = memory
    this.words = memory.words
  }

  learn(news: IoNews): void {
    if (news.kind === 'buffer') this.buffers[news.number] = new Uint8Array(news.buffer)
    else if (news.kind === 'removed') this.devices[news.number] = undefined
    else this.addDevice(news.number, targetOf(news.handle))
  }

  addDevice(number: number, target: IoTarget | Promise<IoTarget>): void {
    this.devices[number] = target
    if (!(target instanceof Promise)) return
    target.catch(() => undefined) // whoever needs it finds out
  }

  /** What must be awaited, once, before requests on this device can be performed. */
  pending(number: number): Promise<void> | undefined {
    const target = this.devices[number]
    if (!(target instanceof Promise)) return undefined
    return target.then(
      (loaded) => void (this.devices[number] = loaded),
      (error: unknown) => void (this.devices[number] = failing(error)),
    )
  }

  /** Performs the request in a slot, which this thread has taken. Returns its result. */
  perform(slot: number): number {
    const at = this.memory.slotAt(slot)
    const device = this.words[at + DEVICE]
    if (!this.memory.hasDevice(device)) return resultOf('EBADF')
    const target = this.devices[device]
    if (target === undefined || target instanceof Promise) return resultOf('EBADF')
    try {
      return this.performOn(target, at)
    } catch (error) {
      return resultOfError(error)
    }
  }

  private performOn(target: IoTarget, at: number): number {
    const { words } = this
    const operation = words[at + OPERATION]
    const through = (operation & THROUGH) !== 0
    const offset = (words[at + OFFSET_HIGH] >>> 0) * 2 ** 32 + (words[at + OFFSET_LOW] >>> 0)
    const from = words[at + AT] >>> 0
    const length = words[at + LENGTH_LOW] >>> 0
    switch (operation & OPERATION_MASK) {
      case Operation.read: {
        const buffer = this.bufferFor(words[at + BUFFER], from, length)
        if (buffer === undefined) return resultOf('EFAULT')
        target.read(buffer, from, length, offset)
        return length
      }
      case Operation.write: {
        const buffer = this.bufferFor(words[at + BUFFER], from, length)
        if (buffer === undefined) return resultOf('EFAULT')
        target.write(buffer, from, length, offset, through)
        return length
      }
      case Operation.readVector:
      case Operation.writeVector: {
        const segments = this.segmentsAt(words[at + BUFFER], from, length)
        if (segments === undefined) return resultOf('EFAULT')
        const bytes = segments.reduce((sum, segment) => sum + segment.length, 0)
        if (bytes > TRANSFER_MAX) return resultOf('EINVAL')
        if ((operation & OPERATION_MASK) === Operation.readVector) target.readVector(segments, bytes, offset)
        else target.writeVector(segments, bytes, offset, through)
        return bytes
      }
      case Operation.flush:
        target.flush()
        return 0
      case Operation.discard:
        target.discard(offset, (words[at + LENGTH_HIGH] >>> 0) * 2 ** 32 + length)
        return 0
      default:
        return resultOf('EINVAL')
    }
  }

  /** The buffer, if it has these bytes. */
  private bufferFor(number: number, at: number, length: number): Uint8Array | undefined {
    if (!(number >= 0 && number < this.buffers.length)) return undefined
    const buffer = this.buffers[number]
    return at + length <= buffer.length ? buffer : undefined
  }

  /** Views of the segments in a list, which is all that is allocated for a vectored request: one call is worth more. */
  private segmentsAt(number: number, at: number, count: number): Uint8Array[] | undefined {
    const list = this.bufferFor(number, at, 4 * SEGMENT_WORDS * count)
    if (list === undefined) return undefined
    const words = new Int32Array(list.buffer, at, SEGMENT_WORDS * count)
    const segments: Uint8Array[] = []
    for (let word = 0; word < words.length; word += SEGMENT_WORDS) {
      const from = words[word + 1] >>> 0
      const length = words[word + 2] >>> 0
      const buffer = this.bufferFor(words[word], from, length)
      if (buffer === undefined) return undefined
      segments.push(buffer.subarray(from, from + length))
    }
    return segments
  }
}

/** A target that could not be made. */
function failing(error: unknown): IoTarget {
  const fail = (): never => {
    throw error
  }
  return { read: fail, write: fail, readVector: fail, writeVector: fail, flush: fail, discard: fail }
}
