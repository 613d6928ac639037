/**
 * What is on a disk, in memory and without its holes. Copies share what neither has changed, so that thousands of states of one disk cost
 * what they differ by.
 */

import * as fs from 'node:fs'
import { DeviceError, refuseOutside, type WritableBlockDevice } from '@cowherd/shim'

const PAGE_BYTES = 4096
/** Unit in which a file is read, and zeros are left out of one. */
const PIECE_BYTES = 1 << 20
const ZEROS = Buffer.alloc(PAGE_BYTES)

export class Image {
  readonly size: number
  /** By number; what is missing is zeros. */
  private readonly pages: Map<number, Uint8Array>
  /** Pages that no other image has. */
  private own = new Set<number>()

  private constructor(size: number, pages: Map<number, Uint8Array>) {
    this.size = size
    this.pages = pages
  }

  /** `size` bytes of zeros. */
  static empty(size: number): Image {
    return new Image(size, new Map())
  }

  static load(path: string): Image {
    const fd = fs.openSync(path, 'r')
    try {
      const image = Image.empty(fs.fstatSync(fd).size)
      const piece = Buffer.alloc(PIECE_BYTES)
      for (let at = 0; at < image.size; at += PIECE_BYTES) {
        const length = fs.readSync(fd, piece, 0, Math.min(PIECE_BYTES, image.size - at), at)
        for (let within = 0; within < length; within += PAGE_BYTES) {
          const page = piece.subarray(within, Math.min(within + PAGE_BYTES, length))
          if (!isZero(page)) image.write(page, at + within)
        }
      }
      return image
    } finally {
      fs.closeSync(fd)
    }
  }

  /** As a sparse file. */
  save(path: string): void {
    const fd = fs.openSync(path, 'w')
    try {
      fs.ftruncateSync(fd, this.size)
      for (const [number, page] of this.pages) {
        const at = number * PAGE_BYTES
        if (!isZero(page)) fs.writeSync(fd, page, 0, Math.min(PAGE_BYTES, this.size - at), at)
      }
    } finally {
      fs.closeSync(fd)
    }
  }

  /** Another one with the same content. */
  copy(): Image {
    this.own = new Set()
    return new Image(this.size, new Map(this.pages))
  }

  /** Both ends lie inside the image. */
  read(target: Uint8Array, offset: number): void {
    for (let done = 0; done < target.length;) {
      const { number, within, length } = placeOf(offset + done, target.length - done)
      const page = this.pages.get(number)
      if (page === undefined) target.fill(0, done, done + length)
      else target.set(page.subarray(within, within + length), done)
      done += length
    }
  }

  /** Both ends lie inside the image. */
  write(source: Uint8Array, offset: number): void {
    for (let done = 0; done < source.length;) {
      const { number, within, length } = placeOf(offset + done, source.length - done)
      this.ownPage(number).set(source.subarray(done, done + length), within)
      done += length
    }
  }

  /** A device with this content, whose writes land here at once. */
  device(name: string): WritableBlockDevice {
    const { size } = this
    let isOpen = true
    const refuse = (offset: number, length: number): void => {
      if (!isOpen) throw new DeviceError('EBADF', name, 'used after it was closed')
      refuseOutside(name, size, offset, length)
    }
    const write = (source: Uint8Array, offset: number): void => {
      refuse(offset, source.length)
      this.write(source, offset)
    }
    return {
      ...{ name, size, alignment: 1, canDiscard: true, write, writeThrough: write },
      read: (target, offset) => {
        refuse(offset, target.length)
        this.read(target, offset)
      },
      flush: () => refuse(0, 0),
      discard: (offset, length) => write(new Uint8Array(length), offset),
      close: () => {
        isOpen = false
      },
    }
  }

  private ownPage(number: number): Uint8Array {
    const present = this.pages.get(number)
    if (present !== undefined && this.own.has(number)) return present
    const page = new Uint8Array(PAGE_BYTES)
    if (present !== undefined) page.set(present)
    this.pages.set(number, page)
    this.own.add(number)
    return page
  }
}

function placeOf(at: number, left: number): { number: number; within: number; length: number } {
  const number = Math.floor(at / PAGE_BYTES)
  const within = at - number * PAGE_BYTES
  return { number, within, length: Math.min(PAGE_BYTES - within, left) }
}

function isZero(page: Uint8Array): boolean {
  return ZEROS.compare(page, 0, page.length, 0, page.length) === 0
}
