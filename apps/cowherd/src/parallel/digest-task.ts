/**
 * What a manifest tells of a file that has to be read for it: the sha256 of its content, or the target of a link, and its extended
 * attributes.
 */

import { createHash, hash as hashOf } from 'node:crypto'
import { VolumeError } from '@cowherd/db'
import { NodeRef, type FileSystemReader, type DataReader } from '@cowherd/fs'
import type { Task } from './task.ts'

/** A file: the letter that a manifest has for its type (`f`, `d`, `l` ...), and its path as a manifest has it, empty for the start. */
export type DigestItem = readonly [type: string, name: string, subvolume: number, inodeHi: number, inodeLo: number]

export type DigestResult = readonly [content: string, attributes: string]

/** Files are read in pieces of this size. */
const PIECE_BYTES = 1 << 20

export class DigestTask implements Task<DigestItem, DigestResult> {
  private readonly fs: FileSystemReader
  private readonly ref = new NodeRef()
  private readonly buffer = new Uint8Array(PIECE_BYTES)

  constructor(fs: FileSystemReader) {
    this.fs = fs
  }

  nameOf([, name]: DigestItem): string {
    return name
  }

  *run(
    [type, name, ...numbers]: DigestItem,
    fail: (text: string) => void,
  ): Generator<DigestResult | undefined, void, undefined> {
    const ref = this.ref.set(...numbers)
    let content = '-'
    try {
      if (type === 'l') content = encoded(this.fs.readlink(ref))
      else if (type === 'f') content = yield* this.hashOfContent(ref, name)
    } catch (error) {
      if (!(error instanceof VolumeError)) throw error
      fail(error.message)
      content = type === 'f' ? 'EIO' : ''
    }
    yield [content, this.attributesOf(ref, name, fail)]
  }

  /** Most files fit into the buffer: a hash that is fed in pieces leaves memory behind, which waits for the garbage collector. */
  private *hashOfContent(ref: NodeRef, name: string): Generator<undefined, string, undefined> {
    const { buffer } = this
    const file: DataReader = this.fs.open(ref, name)
    let digest: string
    if (file.size <= buffer.length) {
      digest = hashOf('sha256', buffer.subarray(0, file.readFully(0, buffer)))
    } else {
      const hash = createHash('sha256')
      for (let offset = 0; offset < file.size;) {
        const length = file.read(offset, buffer)
        hash.update(buffer.subarray(0, length))
        offset += length
        yield
      }
      digest = hash.digest('hex')
    }
    file.close()
    return digest
  }

  private attributesOf(ref: NodeRef, name: string, fail: (text: string) => void): string {
    const found: [name: Uint8Array, value: Uint8Array][] = []
    try {
      this.fs.forEachAttribute(ref, (name, value) => found.push([name, value]))
    } catch (error) {
      if (!(error instanceof VolumeError)) throw error
      fail(`${name}: ${error.message}`)
    }
    if (found.length === 0) return '-'
    found.sort(([a], [b]) => Buffer.compare(a, b))
    return found.map(([name, value]) => `${encoded(name)}=${Buffer.from(value).toString('hex')}`).join(',')
  }
}

/** Bytes as a manifest has them: those outside ASCII 33 to 126, `%` and `,` as `%xx`. */
export function encoded(bytes: Uint8Array): string {
  if (bytes.every(isPlain)) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
  let text = ''
  for (const byte of bytes) text += CODES[byte]
  return text
}

function isPlain(byte: number): boolean {
  return byte > 32 && byte < 127 && byte !== 0x25 && byte !== 0x2c
}

const CODES = Array.from({ length: 256 }, (_, byte) =>
  isPlain(byte) ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, '0')}`,
)
