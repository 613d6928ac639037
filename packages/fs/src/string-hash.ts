/**
 * Hashes of names: where in its directory a name is kept, and an attribute in its inode. Format chapter 5, 5.4.
 *
 * The type and the seed belong to the inode: a name is hashed with those of the directory, an attribute with those of the file.
 */

import { sipHash24 } from '@cowherd/kernel-lib'
import type { SipHashKey, U64Halves } from '@cowherd/kernel-lib'
import type { Codecs } from '@cowherd/shim'
import type { Inode } from './inode.ts'

export const StringHashType = { crc32c: 0, crc64: 1, siphashOld: 2, siphash: 3 } as const

/** A type byte and the longest name of an attribute. */
const ATTRIBUTE_MESSAGE_MAX = 1 + 255
/** Offsets 0 and 1 of a directory stand for `.` and `..`. */
const FIRST_NAME_OFFSET = 2

/** The result of the last call is in `hi` and `lo`. One object serves a whole filesystem. */
export class StringHash {
  hi = 0
  lo = 0
  private readonly codecs: Pick<Codecs, 'crc32c' | 'crc64' | 'sha256'>
  private readonly result: U64Halves = { lo: 0, hi: 0 }
  private readonly key: { k0: U64Halves; k1: U64Halves } & SipHashKey = { k0: { lo: 0, hi: 0 }, k1: { lo: 0, hi: 0 } }
  private readonly message = new Uint8Array(ATTRIBUTE_MESSAGE_MAX)

  constructor(codecs: Pick<Codecs, 'crc32c' | 'crc64' | 'sha256'>) {
    this.codecs = codecs
  }

  /** Home offset of a name in the directory `inode`. */
  name(inode: Inode, name: Uint8Array): void {
    this.hash(inode, name)
    if (this.hi === 0 && this.lo < FIRST_NAME_OFFSET) this.lo = FIRST_NAME_OFFSET
  }

  /**
   * Home offset of an attribute of `inode`. The reference hashes type and name in two steps, and its SipHash then spoils the last
   * block: where it is a part of one, and not the only one, the type byte stands before its bytes and the last of them is lost (5.4.3).
   */
  attribute(inode: Inode, type: number, name: Uint8Array): void {
    const length = 1 + name.length
    const message = this.message.subarray(0, length)
    message[0] = type
    message.set(name, 1)
    const rest = length % 8
    if (length > 8 && rest !== 0 && inode.strHash >= StringHashType.siphashOld) {
      const lastBlock = length - rest
      message.copyWithin(lastBlock + 1, lastBlock, length - 1)
      message[lastBlock] = type
    }
    this.hash(inode, message)
  }

  private hash(inode: Inode, message: Uint8Array): void {
    const { result, key, codecs } = this
    switch (inode.strHash) {
      case StringHashType.crc32c:
        this.hi = 0
        this.lo = codecs.crc32c(codecs.crc32c(0xffffffff, inode.hashSeed), message)
        return
      case StringHashType.crc64:
        result.hi = 0xffffffff
        result.lo = 0xffffffff
        codecs.crc64(result, inode.hashSeed)
        codecs.crc64(result, message)
        break
      case StringHashType.siphashOld: {
        const digest = codecs.sha256(inode.hashSeed)
        setHalves(key.k0, digest, 0)
        setHalves(key.k1, digest, 8)
        sipHash24(result, key, message)
        break
      }
      default:
        setHalves(key.k0, inode.hashSeed, 0)
        key.k1.lo = 0
        key.k1.hi = 0
        sipHash24(result, key, message)
    }
    this.lo = ((result.lo >>> 1) | (result.hi << 31)) >>> 0
    this.hi = result.hi >>> 1
  }
}

function setHalves(halves: U64Halves, bytes: Uint8Array, at: number): void {
  halves.lo = word(bytes, at)
  halves.hi = word(bytes, at + 4)
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0
}
