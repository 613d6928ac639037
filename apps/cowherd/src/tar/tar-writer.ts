/**
 * Writes a tar archive of the pax interchange format, as a stream: nothing of it is kept.
 *
 * Beyond what ustar holds, an entry gets a pax header: long and non-ASCII names (`hdrcharset=BINARY` if they aren't UTF-8),
 * sizes from 8 GiB, large ids, times to the nanosecond, extended attributes (`SCHILY.xattr.`) and ACLs (`SCHILY.acl.`) as GNU
 * tar, star and bsdtar read them. Files with holes are stored without them (GNU sparse format 1.0).
 *
 *     header "x": pax records      only if there are some
 *     header                       512 bytes, ustar
 *     [sparse map]                 decimal lines, padded to 512
 *     data                         padded to 512
 *
 * Sources: POSIX.1-2017 (pax), the GNU tar manual, "Storing Sparse Files" and "Extended attributes".
 */

import { utf8 } from '../cli/text.ts'
import { aclText } from './acl-text.ts'
import { PaxRecords, paxTime } from './pax-records.ts'

export type TarType =
  'file' | 'hard link' | 'symbolic link' | 'character device' | 'block device' | 'directory' | 'fifo'

/** A stretch of a file that has data. */
export interface Segment {
  readonly offset: number
  readonly length: number
}

export interface TarEntry {
  /** Relative, without a slash at the end. */
  readonly path: Uint8Array
  readonly type: TarType
  /** Permissions, without the type. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly mtimeSeconds: number
  readonly mtimeNanoseconds: number
  /** Size of a file. */
  readonly size?: number
  /** Where a file has data, in order; left out if everywhere. All but the last are a multiple of 512 bytes long. */
  readonly segments?: readonly Segment[]
  /** What a link points to: for a hard link the path of an entry before. */
  readonly target?: Uint8Array
  readonly major?: number
  readonly minor?: number
  /** Extended attributes by full name, ACLs in Linux' form among them. */
  readonly xattrs?: readonly { readonly name: string; readonly value: Uint8Array }[]
}

const BLOCK = 512
const RECORD_BLOCKS = 20
const NAME_BYTES = 100
const PREFIX_BYTES = 155
const MAX_SIZE = 0o77777777777
const MAX_ID = 0o7777777

const TYPE_FLAGS: Readonly<Record<TarType, string>> = {
  file: '0',
  'hard link': '1',
  'symbolic link': '2',
  'character device': '3',
  'block device': '4',
  directory: '5',
  fifo: '6',
}

const ACLS: ReadonlyMap<string, string> = new Map([
  ['system.posix_acl_access', 'SCHILY.acl.access'],
  ['system.posix_acl_default', 'SCHILY.acl.default'],
])

const encoder = new TextEncoder()
const ZEROS = new Uint8Array(64 * 1024)

export class TarWriter {
  readonly #write: (bytes: Uint8Array) => void
  readonly #records = new PaxRecords()
  /** Bytes of data that the current entry still has to get. */
  #owed = 0
  #padding = 0
  #blocks = 0

  /** `write` takes the archive's bytes, which are not kept or changed afterwards, in order. */
  constructor(write: (bytes: Uint8Array) => void) {
    this.#write = write
  }

  /** Begins an entry. A file's data follows, by `data`: its size in all, or the segments' lengths. */
  begin(entry: TarEntry): void {
    this.endEntry()
    const records = this.#records
    records.clear()
    const map = entry.segments === undefined ? undefined : sparseMap(entry.segments, entry.size ?? 0)
    const dataSize = entry.segments?.reduce((sum, { length }) => sum + length, 0) ?? entry.size ?? 0
    const storedSize = dataSize + (map?.length ?? 0)
    const path = entry.type === 'directory' ? concat(entry.path, SLASH) : entry.path

    if (isBinary(path) || isBinary(entry.target)) records.add('hdrcharset', 'BINARY')
    let name = path
    if (map !== undefined) {
      records.add('GNU.sparse.major', '1')
      records.add('GNU.sparse.minor', '0')
      records.add('GNU.sparse.name', path)
      records.add('GNU.sparse.realsize', `${entry.size ?? 0}`)
      name = encoder.encode(`GNUSparseFile.0/${asciiBaseName(path)}`)
    }
    const split = splitName(name)
    if (split === undefined) records.add('path', path)
    const target = entry.target ?? EMPTY
    if (target.length > NAME_BYTES || !isAscii(target)) records.add('linkpath', target)
    if (storedSize > MAX_SIZE) records.add('size', `${storedSize}`)
    if (entry.uid > MAX_ID) records.add('uid', `${entry.uid}`)
    if (entry.gid > MAX_ID) records.add('gid', `${entry.gid}`)
    const { mtimeSeconds, mtimeNanoseconds } = entry
    if (mtimeNanoseconds !== 0 || mtimeSeconds < 0 || mtimeSeconds > MAX_SIZE) {
      records.add('mtime', paxTime(mtimeSeconds, mtimeNanoseconds))
    }
    for (const { name, value } of entry.xattrs ?? []) addXattr(records, name, value)

    if (records.size > 0) this.#paxHeader(records, path)
    const header = new Header(TYPE_FLAGS[entry.type], split?.name ?? path, split?.prefix ?? EMPTY)
    header.number(100, 8, entry.mode & 0o7777)
    header.number(108, 8, Math.min(entry.uid, MAX_ID))
    header.number(116, 8, Math.min(entry.gid, MAX_ID))
    header.number(124, 12, Math.min(storedSize, MAX_SIZE))
    header.number(136, 12, Math.max(0, Math.min(mtimeSeconds, MAX_SIZE)))
    header.bytes(157, target.subarray(0, NAME_BYTES))
    header.number(329, 8, entry.major ?? 0)
    header.number(337, 8, entry.minor ?? 0)
    this.#out(header.finish())
    if (map !== undefined) this.#out(map)
    this.#owed = dataSize
    this.#padding = padding(dataSize)
  }

  /** Gives data of the current entry. Throws RangeError for more than it has. */
  data(bytes: Uint8Array): void {
    if (bytes.length > this.#owed) throw new RangeError(`${bytes.length} bytes of data, ${this.#owed} are left`)
    this.#owed -= bytes.length
    this.#out(bytes)
  }

  /** Ends the current entry: data that it still owes becomes zeros. Returns how many bytes that were. */
  endEntry(): number {
    const missing = this.#owed
    this.#zeros(missing + this.#padding)
    this.#owed = 0
    this.#padding = 0
    return missing
  }

  /** Ends the archive. */
  finish(): void {
    this.endEntry()
    const blocks = this.#blocks + 2
    this.#zeros((2 + ((RECORD_BLOCKS - (blocks % RECORD_BLOCKS)) % RECORD_BLOCKS)) * BLOCK)
  }

  #paxHeader(records: PaxRecords, path: Uint8Array): void {
    const name = encoder.encode(`PaxHeaders/${asciiBaseName(path)}`)
    const header = new Header('x', name, EMPTY)
    header.number(100, 8, 0o644)
    header.number(108, 8, 0)
    header.number(116, 8, 0)
    header.number(124, 12, records.size)
    header.number(136, 12, 0)
    this.#out(header.finish())
    this.#out(records.bytes())
    this.#zeros(padding(records.size))
  }

  #written = 0

  #out(bytes: Uint8Array): void {
    this.#write(bytes)
    this.#written += bytes.length
    this.#blocks = (this.#blocks + Math.floor(this.#written / BLOCK)) % RECORD_BLOCKS
    this.#written %= BLOCK
  }

  #zeros(count: number): void {
    for (let left = count; left > 0; left -= ZEROS.length) this.#out(ZEROS.subarray(0, left))
  }
}

const EMPTY = new Uint8Array(0)
const SLASH = Uint8Array.of(0x2f)

/** One ustar header block. */
class Header {
  readonly #block = new Uint8Array(BLOCK)

  constructor(type: string, name: Uint8Array, prefix: Uint8Array) {
    this.bytes(0, name.subarray(0, NAME_BYTES))
    this.#ascii(156, type)
    this.#ascii(257, 'ustar\x0000')
    this.bytes(345, prefix)
  }

  bytes(at: number, bytes: Uint8Array): void {
    this.#block.set(bytes, at)
  }

  /** An octal number in a field of `width` bytes, the last of them NUL. */
  number(at: number, width: number, value: number): void {
    this.#ascii(at, value.toString(8).padStart(width - 1, '0'))
  }

  #ascii(at: number, text: string): void {
    for (let i = 0; i < text.length; i++) this.#block[at + i] = text.charCodeAt(i)
  }

  finish(): Uint8Array {
    this.#block.fill(0x20, 148, 156)
    let sum = 0
    for (const byte of this.#block) sum += byte
    this.number(148, 7, sum)
    this.#block[154] = 0
    return this.#block
  }
}

/**
 * The sparse map of format 1.0: count, then offset and length of each segment, a line a number. GNU tar begins each segment
 * in a new block, other readers do not: they agree on segments of whole blocks.
 */
function sparseMap(segments: readonly Segment[], size: number): Uint8Array {
  if (segments.slice(0, -1).some(({ length }) => length % BLOCK !== 0)) {
    throw new RangeError('a segment that is not the last has no whole number of blocks')
  }
  const lines = segments.map(({ offset, length }) => `${offset}\n${length}\n`)
  const last = segments.at(-1)
  if (last === undefined || last.offset + last.length < size) lines.push(`${size}\n0\n`) // the hole at the end
  const text = encoder.encode(`${lines.length}\n${lines.join('')}`)
  const map = new Uint8Array(text.length + padding(text.length))
  map.set(text)
  return map
}

function addXattr(records: PaxRecords, name: string, value: Uint8Array): void {
  const acl = ACLS.get(name)
  if (acl !== undefined) {
    const text = aclText(value)
    if (text !== undefined) {
      records.add(acl, text)
      return
    }
  }
  // GNU tar's way for the one character that ends a keyword
  records.add(`SCHILY.xattr.${name.replaceAll('%', '%25').replaceAll('=', '%3D')}`, value)
}

/** Name and prefix as ustar stores a path, or undefined if it takes a pax record. */
function splitName(path: Uint8Array): { name: Uint8Array; prefix: Uint8Array } | undefined {
  if (!isAscii(path)) return undefined
  if (path.length <= NAME_BYTES) return { name: path, prefix: EMPTY }
  // the first slash that leaves a name short enough; a directory's own slash stays with its name
  for (let at = Math.max(1, path.length - NAME_BYTES - 1); at <= PREFIX_BYTES && at < path.length - 1; at++) {
    if (path[at] === 0x2f) return { name: path.subarray(at + 1), prefix: path.subarray(0, at) }
  }
  return undefined
}

/** The last part of a path, shortened and in ASCII: for names that only old programs see. */
function asciiBaseName(path: Uint8Array): string {
  const end = path.at(-1) === 0x2f ? path.length - 1 : path.length
  const start = end === 0 ? 0 : path.lastIndexOf(0x2f, end - 1) + 1
  let text = ''
  for (const byte of path.subarray(start, Math.min(end, start + 60))) {
    text += byte < 0x80 ? String.fromCharCode(byte) : '_'
  }
  return text
}

function isAscii(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte < 0x80)
}

function isBinary(bytes: Uint8Array | undefined): boolean {
  return bytes !== undefined && !isAscii(bytes) && utf8(bytes) === undefined
}

function padding(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const whole = new Uint8Array(a.length + b.length)
  whole.set(a)
  whole.set(b, a.length)
  return whole
}
