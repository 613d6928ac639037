/** The files that are open, by number. What is open stays, although its last name goes. */

import { VolumeError } from '@cowherd/db'
import type { FileSystem, FileSystemWriter, NodeRef, OpenFile } from '@cowherd/fs'
import type { OpenFlags } from './messages.ts'

const HANDLES_MAX = 1 << 20
const CODE_OF_BAD_HANDLE = 'EBADF'

/** A file that is open. */
export interface Handle {
  readonly ref: NodeRef
  readonly flags: OpenFlags
  /** Where what is read or written without a position goes on. */
  position: number
  /** For reading, once something was read. */
  data: OpenFile | undefined
}

/** There is no such handle, or it was not opened for that. */
export class HandleError extends Error {
  override readonly name = 'HandleError'
  readonly code = CODE_OF_BAD_HANDLE
  readonly syscall = 'handle'
}

export class Handles {
  private readonly fs: FileSystem
  private readonly writer: FileSystemWriter | undefined
  private readonly open = new Map<number, Handle>()
  private last = 0

  constructor(fs: FileSystem, writer: FileSystemWriter | undefined) {
    this.fs = fs
    this.writer = writer
  }

  add(ref: NodeRef, flags: OpenFlags): number {
    if (this.open.size >= HANDLES_MAX) throw new VolumeError('EBUSY', '', 'too many open files')
    this.writer?.hold(ref)
    this.open.set(++this.last, { ref, flags, position: 0, data: undefined })
    return this.last
  }

  /** Throws HandleError. */
  at(number: number): Handle {
    const handle = this.open.get(number)
    if (handle === undefined) throw new HandleError('the file is not open')
    return handle
  }

  /** The data of a file that is open for reading. Throws HandleError, VolumeError. */
  dataAt(number: number): { readonly handle: Handle; readonly data: OpenFile } {
    const handle = this.at(number)
    if (!handle.flags.reads) throw new HandleError('the file is not open for reading')
    const data = (handle.data ??= this.fs.open(handle.ref))
    return { handle, data }
  }

  /** A file that is open for writing. Throws HandleError. */
  writableAt(number: number): Handle {
    const handle = this.at(number)
    if (!handle.flags.writes) throw new HandleError('the file is not open for writing')
    return handle
  }

  close(number: number): void {
    const { ref, data } = this.at(number)
    this.open.delete(number)
    data?.close()
    this.writer?.forget(ref)
  }

  closeAll(): void {
    for (const number of this.open.keys()) this.close(number)
  }
}
