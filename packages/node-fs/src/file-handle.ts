/** An open file of a volume, with the shape of `FileHandle` of `node:fs/promises`. */

import type { EngineLink } from './engine-link.ts'
import { CALL_BYTES_MAX, type Attributes, type Which } from './messages.ts'
import { timeOf, type TimeLike } from './time-like.ts'
import { VolumeFileError } from './volume-file-error.ts'
import { VolumeStats } from './volume-stats.ts'

/** Text, or bytes. */
export type Data = string | Uint8Array

export interface EncodingOption {
  readonly encoding?: BufferEncoding | null
}

export class VolumeFileHandle {
  /** Its number among the open files of the volume. */
  readonly fd: number
  private readonly link: EngineLink
  private readonly path: string
  private closing: Promise<void> | undefined

  /** @internal */
  constructor(link: EngineLink, fd: number, path: string) {
    this.link = link
    this.fd = fd
    this.path = path
  }

  /**
   * Reads into `buffer`; from where the handle stands if `position` is left out or null. Fewer bytes than `length` come at the end of the file.
   * Memory that threads share is filled by the engine itself.
   */
  async read<Target extends Uint8Array>(
    buffer: Target,
    offset = 0,
    length = buffer.length - offset,
    position: number | null = null,
  ): Promise<{ bytesRead: number; buffer: Target }> {
    if (offset < 0 || length < 0 || offset + length > buffer.length) {
      throw new RangeError(`${length} bytes at ${offset} do not fit into ${buffer.length}`)
    }
    let bytesRead = 0
    for (let isEnd = false; !isEnd && bytesRead < length;) {
      const piece = buffer.subarray(offset + bytesRead, offset + Math.min(length, bytesRead + CALL_BYTES_MAX))
      const done = await this.readPiece(piece, position === null ? null : position + bytesRead)
      bytesRead += done
      isEnd = done < piece.length
    }
    return { bytesRead, buffer }
  }

  /** Writes bytes; where the handle stands, or at the end of a file that is appended to, if `position` is left out or null. All, or it throws. */
  async write(
    buffer: Uint8Array,
    offset = 0,
    length = buffer.length - offset,
    position: number | null = null,
  ): Promise<{ bytesWritten: number; buffer: Uint8Array }> {
    if (offset < 0 || length < 0 || offset + length > buffer.length) {
      throw new RangeError(`there are not ${length} bytes at ${offset} of ${buffer.length}`)
    }
    for (let done = 0; done < length || done === 0;) {
      const data = buffer.subarray(offset + done, offset + Math.min(length, done + CALL_BYTES_MAX))
      const at = position === null ? null : position + done
      done += await this.link.call('write', (sent) => [this.fd, sent, at], this.place('write'), { data })
      if (length === 0) break
    }
    return { bytesWritten: length, buffer }
  }

  /** What is left of the file, from where the handle stands. */
  async readFile(options?: (EncodingOption & { readonly encoding?: null }) | null): Promise<Buffer>
  async readFile(options: (EncodingOption & { readonly encoding: BufferEncoding }) | BufferEncoding): Promise<string>
  async readFile(options?: EncodingOption | BufferEncoding | null): Promise<Buffer | string> {
    const pieces: Uint8Array[] = []
    for (;;) {
      const answerBytes = CALL_BYTES_MAX
      const words = (): [number, number, null] => [this.fd, answerBytes, null]
      const piece = await this.link.call('read', words, this.place('read'), { answerBytes })
      if (typeof piece === 'number' || piece.length === 0) break
      pieces.push(piece)
    }
    return decoded(Buffer.concat(pieces), options)
  }

  /** Writes where the handle stands. */
  async writeFile(data: Data, options?: EncodingOption | BufferEncoding | null): Promise<void> {
    await this.write(encoded(data, options))
  }

  async appendFile(data: Data, options?: EncodingOption | BufferEncoding | null): Promise<void> {
    await this.writeFile(data, options)
  }

  async stat(): Promise<VolumeStats> {
    return new VolumeStats(await this.link.call('stat', () => [this.which], this.place('fstat')))
  }

  async truncate(size = 0): Promise<void> {
    await this.change('ftruncate', { size })
  }

  async chmod(mode: number): Promise<void> {
    await this.change('fchmod', { mode })
  }

  async chown(uid: number, gid: number): Promise<void> {
    await this.change('fchown', { uid, gid })
  }

  async utimes(atime: TimeLike, mtime: TimeLike): Promise<void> {
    await this.change('futime', { atime: timeOf(atime), mtime: timeOf(mtime) })
  }

  /** Brings this file, and all else that was done on the volume, to stable storage. */
  async sync(): Promise<void> {
    await this.link.call('sync', () => [], this.place('fsync'))
  }

  async datasync(): Promise<void> {
    await this.sync()
  }

  /** Nothing can be done with it after. Closing it again does nothing. */
  async close(): Promise<void> {
    this.closing ??= this.link.call('closeHandle', () => [this.fd], this.place('close'))
    await this.closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  private get which(): Which {
    return { handle: this.fd }
  }

  private async change(syscall: string, attributes: Attributes): Promise<void> {
    await this.link.call('change', () => [this.which, attributes], this.place(syscall))
  }

  private async readPiece(piece: Uint8Array, position: number | null): Promise<number> {
    const isShared = !(piece.buffer instanceof ArrayBuffer)
    const words = (): [number, number | Uint8Array, number | null] => [
      this.fd,
      isShared ? piece : piece.length,
      position,
    ]
    const answer = await this.link.call(
      'read',
      words,
      this.place('read'),
      isShared ? {} : { answerBytes: piece.length },
    )
    if (typeof answer === 'number') return answer
    piece.set(answer)
    return answer.length
  }

  private place(syscall: string): { syscall: string; path: string } {
    if (this.closing !== undefined && syscall !== 'close')
      throw new VolumeFileError('EBADF', { syscall, path: this.path })
    return { syscall, path: this.path }
  }
}

/** The encoding that was asked for. */
export function encodingOf(options: EncodingOption | string | null | undefined): string | undefined {
  return (typeof options === 'string' ? options : options?.encoding) ?? undefined
}

export function decoded(bytes: Buffer, options: EncodingOption | BufferEncoding | null | undefined): Buffer | string {
  const encoding = encodingOf(options)
  return encoding === undefined ? bytes : bytes.toString(encoding as BufferEncoding)
}

export function encoded(data: Data, options: EncodingOption | BufferEncoding | null | undefined): Uint8Array {
  return typeof data === 'string' ? Buffer.from(data, (encodingOf(options) ?? 'utf8') as BufferEncoding) : data
}
