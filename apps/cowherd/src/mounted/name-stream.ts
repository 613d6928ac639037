/**
 * The names of a directory of a mount, in pieces: however many there are, few are in memory. Their offsets count them, from `FIRST_NAME` on.
 *
 * A reader that goes on where another one has stopped takes over what that one has open, so that names may be removed meanwhile: none is passed over.
 */

import { lstatSync, opendirSync, type BigIntStats, type Dir } from 'node:fs'
import { FIRST_NAME, NodeRef, type NameReader } from '@cowherd/fs'
import { numberOf } from './file-number.ts'
import { asVolume } from './mount-error.ts'
import type { Places } from './places.ts'

const STREAMS_OPEN = 256
const THIS = Buffer.from('.')
const TYPE_SHIFT = 12

/** A directory that is being read. */
interface Stream {
  /** Undefined: given up for others, or taken over. */
  dir: Dir | undefined
  /** Of the next name. */
  offset: number
}

/** What is open of all directories, by their numbers: the last stream of each. */
export class NameStreams {
  private readonly places: Places
  private readonly streams = new Map<bigint, Stream>()

  constructor(places: Places) {
    this.places = places
  }

  close(): void {
    for (const stream of this.streams.values()) end(stream)
    this.streams.clear()
  }

  /** A stream of the names from `offset` on; undefined if there are none. Throws VolumeError. */
  from(directory: Readonly<NodeRef>, offset: number): Stream | undefined {
    const number = numberOf(directory)
    const there = this.streams.get(number)
    const isNext = there?.dir !== undefined && there.offset === offset
    const stream: Stream = isNext
      ? { ...there }
      : { dir: asVolume(directory, () => openNames(this.places.pathIn(directory, THIS))), offset: FIRST_NAME }
    if (isNext) there.dir = undefined
    this.streams.delete(number)
    this.streams.set(number, stream)
    if (this.streams.size > STREAMS_OPEN) this.endOldest()
    while (stream.offset < offset) if (this.read(stream, directory) === undefined) return undefined
    return stream
  }

  /** The next name; undefined at the end, and what was open is closed then. Throws VolumeError. */
  read(stream: Stream, directory: Readonly<NodeRef>): Buffer | undefined {
    const { dir } = stream
    const entry = dir === undefined ? null : asVolume(directory, () => dir.readSync())
    if (entry === null) {
      end(stream)
      return undefined
    }
    stream.offset++
    const name: unknown = entry.name // the types know of strings only
    return Buffer.isBuffer(name) ? name : Buffer.from(entry.name)
  }

  private endOldest(): void {
    for (const [number, stream] of this.streams) {
      this.streams.delete(number)
      end(stream)
      return
    }
  }
}

/** Walks over the names of one directory, and tells which files they lead to. */
export class MountedNames implements NameReader {
  offsetHi = 0
  offsetLo = 0
  nextOffsetHi = 0
  nextOffsetLo = 0
  type = 0
  name: Uint8Array = new Uint8Array(0)
  readonly target = new NodeRef()
  private readonly directory: Readonly<NodeRef>
  private readonly places: Places
  private readonly streams: NameStreams
  private stream: Stream | undefined

  constructor(directory: Readonly<NodeRef>, places: Places, streams: NameStreams) {
    this.directory = new NodeRef().copy(directory)
    this.places = places
    this.streams = streams
  }

  /** The names `.` and `..` are not among them. */
  seek(_offsetHi: number, offsetLo: number): boolean {
    this.stream = this.streams.from(this.directory, Math.max(offsetLo, FIRST_NAME))
    return this.next()
  }

  next(): boolean {
    for (;;) {
      if (this.stream !== undefined && this.stream.dir === undefined) {
        this.stream = this.streams.from(this.directory, this.stream.offset)
      }
      const name = this.stream === undefined ? undefined : this.streams.read(this.stream, this.directory)
      if (name === undefined || this.stream === undefined) {
        this.stream = undefined
        return false
      }
      if (this.take(name, this.stream.offset)) return true
    }
  }

  /** False if the name has gone meanwhile. */
  private take(name: Buffer, nextOffset: number): boolean {
    const { directory, places, target } = this
    const path = places.pathIn(directory, name)
    const stat = asVolume(directory, () => lstatSync(path, { bigint: true, throwIfNoEntry: false }))
    if (stat === undefined) return false
    // what is hidden by another mount leads nowhere
    if (!places.meet(directory, name, stat, target)) target.set(0, 0, 0)
    this.name = name
    this.type = typeOf(stat)
    this.offsetLo = nextOffset - 1
    this.nextOffsetLo = nextOffset
    return true
  }
}

function openNames(path: Buffer): Dir {
  return opendirSync(path, { encoding: 'buffer' as BufferEncoding }) // which Node takes, and its types don't know
}

function typeOf({ mode }: BigIntStats): number {
  return (Number(mode) >> TYPE_SHIFT) & 15
}

function end(stream: Stream): void {
  stream.dir?.closeSync()
  stream.dir = undefined
}
