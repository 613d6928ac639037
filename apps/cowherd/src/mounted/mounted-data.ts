/** A regular file of a mount, open for reading. What the kernel keeps of it, and the volume doesn't have yet, is read too: it is the kernel who reads. */

import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { VolumeError } from '@cowherd/db'
import type { ByteRange, DataReader } from '@cowherd/fs'
import type { Native } from '@cowherd/shim'
import { asVolume } from './mount-error.ts'

/** Named by Linux, and by Node on Linux only. */
const O_NOATIME = 0o1000000

export class MountedData implements DataReader {
  private readonly fd: number
  private readonly native: Native | undefined
  private readonly who: { toString(): string }
  private bytes: number
  private isOpen = true

  /** `fd` is the file's own. */
  constructor(fd: number, who: { toString(): string }, native: Native | undefined) {
    this.fd = fd
    this.who = who
    this.native = native
    this.bytes = fstatSync(fd).size
  }

  /** In bytes: what it was when it was opened, or where it was found to end. */
  get size(): number {
    return this.bytes
  }

  read(offset: number, target: Uint8Array): number {
    const wanted = Math.min(target.length, this.bytes - offset)
    let done = 0
    try {
      while (done < wanted) {
        const length = asVolume(this.who, () => readSync(this.fd, target, done, wanted - done, offset + done))
        if (length === 0) {
          this.bytes = offset + done // it was cut meanwhile
          break
        }
        done += length
      }
    } catch (error) {
      if (!(error instanceof VolumeError) || done === 0) throw error // who reads on gets the error
    }
    return Math.max(done, 0)
  }

  readFully(offset: number, target: Uint8Array): number {
    let done = this.read(offset, target)
    while (done < Math.min(target.length, this.size - offset)) done += this.read(offset + done, target.subarray(done))
    return done
  }

  nextData(offset: number, range: ByteRange): boolean {
    if (offset >= this.bytes) return false
    const { native, fd } = this
    if (native === undefined) {
      range.start = offset
      range.end = this.bytes
      return true
    }
    const start = asVolume(this.who, () => native.nextData(fd, offset))
    if (start === undefined || start >= this.bytes) return false
    range.start = start
    range.end = Math.min(
      asVolume(this.who, () => native.nextHole(fd, start)),
      this.bytes,
    )
    return range.end > start
  }

  close(): void {
    if (!this.isOpen) return
    this.isOpen = false
    closeSync(this.fd)
  }
}

/** Opens a file for reading, and leaves its time of access alone where that may be asked for. */
export function openToRead(path: Buffer): number {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  try {
    return openSync(path, flags | O_NOATIME)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) throw error
    return openSync(path, flags)
  }
}
