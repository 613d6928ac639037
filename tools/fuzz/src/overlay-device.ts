/**
 * A device whose content is a base image with changes laid over it, block by block, in memory. The base is shared by all
 * cases; what a case changes is gone with the device.
 *
 * It counts what is read and ends a case that reads far more than any image of this size justifies: so an endless loop over
 * nodes or buckets shows at once, and always in the same place. There is no way to write through the `BlockDevice` interface.
 */

import { DeviceError, type BlockDevice } from '@cowherd/shim'
import type { SparseImage } from './sparse-image.ts'

const BLOCK_BYTES = 4096

/** A case read more than it may. Not one of the errors that the code under test knows: nothing catches it. */
export class BudgetExceeded extends Error {
  override readonly name = 'BudgetExceeded'
}

export class OverlayDevice implements BlockDevice {
  readonly name: string
  readonly base: SparseImage
  size: number
  /** Bytes that may still be read. */
  budget = Infinity
  private readonly blocks = new Map<number, Uint8Array>()
  /** Bytes that the medium doesn't give back: reading any of them fails. */
  private readonly bad: { from: number; to: number }[] = []

  constructor(base: SparseImage, name: string) {
    this.base = base
    this.name = name
    this.size = base.size
  }

  read(target: Uint8Array, offset: number): void {
    this.budget -= target.length + 64
    if (this.budget < 0) throw new BudgetExceeded(`${this.name}: read far more than it holds, last at byte ${offset}`)
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + target.length > this.size) {
      throw new DeviceError('EIO', this.name, `${target.length} bytes at ${offset} are outside its ${this.size} bytes`)
    }
    if (this.bad.some(({ from, to }) => offset < to && offset + target.length > from)) {
      throw new DeviceError('EIO', this.name, `the medium can't read ${target.length} bytes at ${offset}`)
    }
    this.copyTo(target, offset)
  }

  close(): void {
    // Nothing to give back.
  }

  /** The bytes at `offset`, in memory of their own; not counted. What lies behind the end of the base reads as zeros. */
  bytes(offset: number, length: number): Uint8Array {
    const target = new Uint8Array(length)
    const inside = Math.max(0, Math.min(length, this.base.size - offset))
    this.copyTo(target.subarray(0, inside), offset)
    return target
  }

  /** Changes the content. What lies behind the end of the base is dropped. */
  overwrite(offset: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length && offset + done < this.base.size;) {
      const block = Math.floor((offset + done) / BLOCK_BYTES)
      const within = offset + done - block * BLOCK_BYTES
      const length = Math.min(BLOCK_BYTES - within, bytes.length - done)
      let content = this.blocks.get(block)
      if (content === undefined) {
        content = this.bytes(block * BLOCK_BYTES, BLOCK_BYTES)
        this.blocks.set(block, content)
      }
      content.set(bytes.subarray(done, done + length), within)
      done += length
    }
  }

  /** Lets reads of bytes [from, to) fail from now on. */
  breakRange(from: number, to: number): void {
    this.bad.push({ from, to })
  }

  /** Forgets all changes. */
  reset(): void {
    this.blocks.clear()
    this.bad.length = 0
    this.size = this.base.size
  }

  private copyTo(target: Uint8Array, offset: number): void {
    if (this.blocks.size === 0) {
      this.base.read(target, offset)
      return
    }
    for (let done = 0; done < target.length;) {
      const block = Math.floor((offset + done) / BLOCK_BYTES)
      const within = offset + done - block * BLOCK_BYTES
      const length = Math.min(BLOCK_BYTES - within, target.length - done)
      const part = target.subarray(done, done + length)
      const changed = this.blocks.get(block)
      if (changed === undefined) this.base.read(part, offset + done)
      else part.set(changed.subarray(within, within + length))
      done += length
    }
  }
}
