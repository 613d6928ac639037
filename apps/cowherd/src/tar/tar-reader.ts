/**
 * Reads a tar archive as a stream: of the formats v7, ustar, pax, GNU and star, with long names, large numbers, times to the nanosecond, extended attributes, ACLs, and
 * files with holes in all of GNU's formats.
 *
 *     for (let entry = await tar.next(); entry !== undefined; entry = await tar.next()) {
 *       for (let piece = await tar.data(); piece !== undefined; piece = await tar.data()) use(piece)
 *     }
 *
 * What is read is hostile until checked: numbers and maps are, and bounds kept. A damaged header ends it, as nothing behind it can be found with
 * certainty. Sources: as in tar-writer.ts and header-block.ts.
 */

import type { Attribute, Time } from '@cowherd/fs'
import { BLOCK, isHeader, isZeroBlock, parseHeader, parseSparseBlock, type HeaderFields } from './header-block.ts'
import { paxFields } from './pax-fields.ts'
import { parsePaxRecords, type PaxRecord } from './pax-records.ts'
import { isSoundMap, readSparseMap, sparseRecords } from './sparse-map.ts'
import { damaged, TarError, TarSource, type ReadMore } from './tar-source.ts'
import type { Segment, TarType } from './tar-writer.ts'

/** An entry as it was read. */
export interface ReadEntry {
  readonly path: Uint8Array
  readonly type: TarType | 'unknown'
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly mtime: Time
  readonly atime: Time | undefined
  /** Of a file, its holes included. */
  readonly size: number
  /** Only some of it is stored. */
  readonly isSparse: boolean
  readonly target: Uint8Array
  readonly major: number
  readonly minor: number
  readonly attributes: readonly Attribute[]
  /** ACLs as text, by the names of their attributes. */
  readonly accessLists: readonly { readonly name: string; readonly text: string }[]
  /** What else is said of it that no volume can keep. */
  readonly others: readonly string[]
}

/** Some of a file's data. */
export interface TarPiece {
  readonly offset: number
  readonly bytes: Uint8Array
}

const HEADER_BYTES_MAX = 32 << 20
const SEGMENTS_MAX = 1 << 21
const NO_BYTES = new Uint8Array(0)

const TYPES: Readonly<Record<string, TarType | undefined>> = {
  '\0': 'file',
  '0': 'file',
  '7': 'file', // contiguous
  S: 'file', // sparse
  '1': 'hard link',
  '2': 'symbolic link',
  '3': 'character device',
  '4': 'block device',
  '5': 'directory',
  D: 'directory', // of an incremental archive: its data are names
  '6': 'fifo',
}
/** Types of GNU and others that are no files: the archive's label, a name for an older program. */
const IGNORED = new Set(['V', 'N'])

export class TarReader {
  private readonly source: TarSource
  /** Records of global headers: they hold for all entries behind them. */
  private readonly globals = new Map<string, PaxRecord>()
  private isBegun = false
  private isEnded = false
  /** Of the current entry: bytes that are stored still, and what follows them. */
  private stored = 0
  private padding = 0
  /** Where stored bytes belong. */
  private segments: readonly Segment[] = []
  private segment = 0
  private inSegment = 0

  constructor(readMore: ReadMore) {
    this.source = new TarSource(readMore)
  }

  /** True if the archive had its end mark. */
  get hasEnd(): boolean {
    return this.isEnded
  }

  /** Goes to the next entry, whatever was read of the last one's data. Undefined at the end. Throws TarError. */
  async next(): Promise<ReadEntry | undefined> {
    await this.skipData()
    const extra = new Extra()
    for (;;) {
      const header = await this.header()
      if (header === undefined) return undefined
      switch (header.type) {
        case 'x':
        case 'X': // Sun's
          for (const record of await this.records(header)) extra.records.push(record)
          break
        case 'g':
          for (const record of await this.records(header)) this.globals.set(record.keyword, record)
          break
        case 'L':
          extra.path = withoutEnd(await this.content(header))
          break
        case 'K':
          extra.target = withoutEnd(await this.content(header))
          break
        default:
          if (IGNORED.has(header.type)) await this.skipBlocks(header.size)
          else return this.begin(header, extra)
      }
    }
  }

  /** The next piece of the current entry's data, valid until more is read; undefined when there is no more. Throws TarError. */
  async data(): Promise<TarPiece | undefined> {
    while (this.segment < this.segments.length) {
      const { offset, length } = this.segments[this.segment]
      const left = length - this.inSegment
      if (left === 0) {
        this.segment++
        this.inSegment = 0
        continue
      }
      const bytes = await this.source.some(left)
      const piece = { offset: offset + this.inSegment, bytes }
      this.inSegment += bytes.length
      this.stored -= bytes.length
      return piece
    }
    return undefined
  }

  private async skipData(): Promise<void> {
    await this.source.skip(this.stored + this.padding)
    this.stored = 0
    this.padding = 0
  }

  /** The next header, or undefined at the end of the archive. */
  private async header(): Promise<HeaderFields | undefined> {
    for (;;) {
      if (this.isEnded) return undefined
      const { at } = this.source
      if (!this.isBegun) refuseOthers(await this.source.peek())
      const block = await this.source.take(BLOCK)
      if (block === undefined) return undefined
      if (isZeroBlock(block)) {
        const next = await this.source.take(BLOCK)
        this.isBegun = true
        this.isEnded = next === undefined || isZeroBlock(next)
        if (this.isEnded || next === undefined) return undefined
        return this.parse(next, at + BLOCK)
      }
      return this.parse(block, at)
    }
  }

  private parse(block: Uint8Array, at: number): HeaderFields {
    if (!isHeader(block)) {
      throw this.isBegun ? damaged(at, 'a header with a wrong checksum') : new TarError('this is no tar archive')
    }
    this.isBegun = true
    const header = parseHeader(block)
    if (header === undefined) throw damaged(at, 'a header with a malformed number')
    return header
  }

  /** The content of a header that is about the next one. */
  private async content({ size }: HeaderFields): Promise<Uint8Array> {
    const { source } = this
    if (size > HEADER_BYTES_MAX) throw damaged(source.at, `a header of ${size} bytes`)
    const bytes = size === 0 ? NO_BYTES : (await source.take(size))?.slice()
    if (bytes === undefined) throw damaged(source.at, 'it ends too early')
    await source.skip(paddingOf(size))
    return bytes
  }

  private async records(header: HeaderFields): Promise<PaxRecord[]> {
    const { at } = this.source
    const records = parsePaxRecords(await this.content(header))
    if (records === undefined) throw damaged(at, 'a malformed extended header')
    return records
  }

  private async skipBlocks(size: number): Promise<void> {
    await this.source.skip(size + paddingOf(size))
  }

  private async begin(header: HeaderFields, extra: Extra): Promise<ReadEntry> {
    const { source } = this
    const records = [...this.globals.values(), ...extra.records]
    const fields = paxFields(records)
    if (fields === undefined) throw damaged(source.at, 'a malformed number in an extended header')
    let type: ReadEntry['type'] = TYPES[header.type] ?? 'unknown'
    const path = fields.path ?? extra.path ?? header.path
    if (type === 'file' && header.type !== '7' && path.at(-1) === SLASH) type = 'directory' // as v7 has them
    const hasData = type === 'file' || type === 'unknown' || header.type === 'D'
    this.stored = hasData ? (fields.size ?? header.size) : 0
    this.padding = paddingOf(this.stored)
    const map = await this.sparseMap(header, records)
    const size = map?.size ?? this.stored
    if (map !== undefined && !isSoundMap(map.segments, size, this.stored)) {
      throw damaged(source.at, 'the map of a sparse file is malformed')
    }
    this.segments = type === 'file' ? (map?.segments ?? [{ offset: 0, length: size }]) : []
    this.segment = 0
    this.inSegment = 0
    return {
      path: map?.name ?? path,
      type,
      mode: header.mode,
      uid: fields.uid ?? header.uid,
      gid: fields.gid ?? header.gid,
      mtime: fields.mtime ?? header.mtime,
      atime: fields.atime ?? header.atime,
      size: type === 'file' ? size : 0,
      isSparse: map !== undefined,
      target: fields.target ?? extra.target ?? header.target,
      major: fields.major ?? header.major,
      minor: fields.minor ?? header.minor,
      ...{ attributes: fields.attributes, accessLists: fields.accessLists, others: fields.others },
    }
  }

  /** Where the data of a sparse file belongs; undefined for others. Throws TarError. */
  private async sparseMap(
    { sparse }: HeaderFields,
    records: readonly PaxRecord[],
  ): Promise<{ segments: Segment[]; size: number; name: Uint8Array | undefined } | undefined> {
    const { source } = this
    if (sparse !== undefined) {
      const segments = [...sparse.segments]
      for (let { hasMore } = sparse; hasMore;) {
        const block = await source.take(BLOCK)
        if (block === undefined || segments.length > SEGMENTS_MAX) throw damaged(source.at, 'a map without end')
        const more = parseSparseBlock(block)
        segments.push(...more.segments)
        hasMore = more.hasMore
      }
      return { segments: withoutEmpty(segments), size: sparse.size, name: undefined }
    }
    const said = sparseRecords(records)
    if (said === undefined) return undefined
    if (said === 'malformed' || said.size === undefined) throw damaged(source.at, 'a malformed sparse file')
    const { size, name } = said
    if (!said.isInData) return { segments: withoutEmpty(said.segments), size, name }
    const { segments, bytes } = await readSparseMap(source)
    this.stored -= bytes
    if (this.stored < 0) throw damaged(source.at, 'a malformed sparse file')
    return { segments: withoutEmpty(segments), size, name }
  }
}

/** What headers before an entry say about it. */
class Extra {
  readonly records: PaxRecord[] = []
  path: Uint8Array | undefined
  target: Uint8Array | undefined
}

const SLASH = 0x2f

function withoutEmpty(segments: readonly Segment[]): Segment[] {
  return segments.filter(({ length }) => length !== 0)
}

/** A name that ends with a NUL. */
function withoutEnd(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0)
  return end < 0 ? bytes : bytes.subarray(0, end)
}

function paddingOf(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK
}

/** Throws TarError for what people take for archives. */
function refuseOthers(start: Uint8Array): void {
  if (start.length === 0) throw new TarError('the archive is empty')
  for (const [magic, name, command] of OTHER_FORMATS) {
    if (magic.every((byte, i) => start[i] === byte)) {
      throw new TarError(`the archive is compressed: ${command} ARCHIVE | cowherd untar VOLUME unpacks it (${name})`)
    }
  }
}

const OTHER_FORMATS: readonly (readonly [magic: readonly number[], name: string, command: string])[] = [
  [[0x1f, 0x8b], 'gzip', 'zcat'],
  [[0x28, 0xb5, 0x2f, 0xfd], 'zstd', 'zstdcat'],
  [[0xfd, 0x37, 0x7a, 0x58, 0x5a], 'xz', 'xzcat'],
  [[0x42, 0x5a, 0x68], 'bzip2', 'bzcat'],
  [[0x04, 0x22, 0x4d, 0x18], 'lz4', 'lz4cat'],
]
