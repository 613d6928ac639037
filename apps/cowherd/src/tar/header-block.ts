/**
 * One header block of a tar archive, of any age: v7, ustar, GNU, star. Sources: POSIX.1-2017 (pax), the GNU tar manual ("Basic Tar Format"), star(5).
 *
 *     0 name  100 mode  108 uid  116 gid  124 size  136 mtime  148 checksum  156 type  157 link  257 magic
 *     265 owner, group  329 major  337 minor
 *     345 prefix (ustar: 155 bytes)   |   345 atime  386 map of 4  482 more  483 size   (GNU)   |   345 prefix (131)  476 atime  508 "tar" (star)
 */

import type { Time } from '@cowherd/fs'
import { latin1 } from './pax-records.ts'
import type { Segment } from './tar-writer.ts'

export const BLOCK = 512
const NAME_BYTES = 100
const PREFIX_BYTES = 155
const STAR_PREFIX_BYTES = 131
const CHECKSUM_AT = 148
const CHECKSUM_BYTES = 8
const SPARSE_ENTRY_BYTES = 24

export interface HeaderFields {
  readonly type: string
  readonly path: Uint8Array
  readonly target: Uint8Array
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly mtime: Time
  readonly atime: Time | undefined
  readonly major: number
  readonly minor: number
  /** Of a sparse file of GNU's old format. */
  readonly sparse: { readonly segments: Segment[]; readonly hasMore: boolean; readonly size: number } | undefined
}

/** True if the block has the checksum that it says. Old programs have added signed bytes. */
export function isHeader(block: Uint8Array): boolean {
  let unsigned = 0
  let signed = 0
  for (let i = 0; i < BLOCK; i++) {
    const byte = i >= CHECKSUM_AT && i < CHECKSUM_AT + CHECKSUM_BYTES ? 0x20 : block[i]
    unsigned += byte
    signed += (byte << 24) >> 24
  }
  const said = numberAt(block, CHECKSUM_AT, CHECKSUM_BYTES)
  return said === unsigned || said === signed
}

export function isZeroBlock(block: Uint8Array): boolean {
  return block.every((byte) => byte === 0)
}

/** What a header says; undefined if one of its numbers is none. */
export function parseHeader(block: Uint8Array): HeaderFields | undefined {
  const magic = latin1(block.subarray(257, 265))
  const isUstar = magic.startsWith('ustar\0')
  const isGnu = magic === 'ustar  \0'
  const isStar = isUstar && latin1(block.subarray(508, 512)) === 'tar\0'
  const prefix = isUstar ? stringAt(block, 345, isStar ? STAR_PREFIX_BYTES : PREFIX_BYTES) : new Uint8Array(0)
  const name = stringAt(block, 0, NAME_BYTES)
  const seconds = numberAt(block, 136, 12)
  const mode = numberAt(block, 100, 8)
  const atimeSeconds = isGnu ? numberAt(block, 345, 12) : isStar ? numberAt(block, 476, 12) : 0
  const fields = {
    type: latin1(block.subarray(156, 157)),
    path: prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from('/'), name]),
    target: stringAt(block, 157, NAME_BYTES),
    mode: mode & 0o7777,
    uid: numberAt(block, 108, 8),
    gid: numberAt(block, 116, 8),
    size: numberAt(block, 124, 12),
    mtime: { seconds, nanoseconds: 0 },
    // GNU writes them for incremental archives only
    atime: atimeSeconds > 0 ? { seconds: atimeSeconds, nanoseconds: 0 } : undefined,
    major: isUstar || isGnu ? numberAt(block, 329, 8) : 0,
    minor: isUstar || isGnu ? numberAt(block, 337, 8) : 0,
  }
  const isSound = [mode, fields.uid, fields.gid, fields.size, seconds].every(Number.isSafeInteger)
  if (!isSound || fields.size < 0) return undefined
  const sparse =
    fields.type === 'S'
      ? { segments: sparseEntries(block, 386, 4), hasMore: block[482] !== 0, size: numberAt(block, 483, 12) }
      : undefined
  return { ...fields, sparse }
}

/** Further entries of a sparse file's map: 21 in a block. */
export function parseSparseBlock(block: Uint8Array): { readonly segments: Segment[]; readonly hasMore: boolean } {
  return { segments: sparseEntries(block, 0, 21), hasMore: block[504] !== 0 }
}

function sparseEntries(block: Uint8Array, at: number, count: number): Segment[] {
  const segments: Segment[] = []
  for (let i = 0; i < count; i++, at += SPARSE_ENTRY_BYTES) {
    if (block[at] === 0) break
    segments.push({ offset: numberAt(block, at, 12), length: numberAt(block, at + 12, 12) })
  }
  return segments
}

/** Bytes up to the first NUL. */
function stringAt(block: Uint8Array, at: number, width: number): Uint8Array {
  const field = block.subarray(at, at + width)
  const end = field.indexOf(0)
  return field.slice(0, end < 0 ? width : end)
}

/** An octal number, or GNU's binary one, whose first bit is set. Empty: 0. NaN if it is none. */
function numberAt(block: Uint8Array, at: number, width: number): number {
  const first = block[at]
  if ((first & 0x80) !== 0) return binaryAt(block, at, width)
  const text = latin1(block.subarray(at, at + width))
    .replace(/\0.*$/s, '')
    .trim()
  if (text === '') return 0
  return /^[0-7]+$/.test(text) ? parseInt(text, 8) : NaN
}

/** Big-endian; the first byte is 0x80, or 0xff of a negative number. */
function binaryAt(block: Uint8Array, at: number, width: number): number {
  const isNegative = block[at] === 0xff
  let value = isNegative ? -1 : block[at] & 0x7f
  for (let i = 1; i < width; i++) value = value * 256 + block[at + i]
  return value
}
