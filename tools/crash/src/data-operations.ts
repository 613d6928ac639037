/**
 * Changes of what files hold, at random: writes of all sizes and at all places, cutting, space set aside, holes, zeros, copies; and files of very
 * many extents, which take several transactions.
 */

import type { AllocateMode, WritableFileSystem } from '@cowherd/fs'
import type { Random } from '@cowherd/fuzz'
import type { ChangingFile, Chooser, Operation } from './operation.ts'
import type { TreeModel } from './tree-model.ts'
import type { TreeNode } from './tree-state.ts'

const KIB = 1024
/** Files are made up to this size, a few larger ones apart. */
const FILE_BYTES = 200 * KIB
const LARGE_BYTES = 2600 * KIB
/** Writes over fewer extents, which blocks are at least, are one transaction. */
const PIECE_EXTENTS = 64
/** Extents of a file that is made to have many, of which some calls deal with half at once. */
const MANY_EXTENTS = 70

export class DataOperations {
  private readonly fs: WritableFileSystem
  private readonly model: TreeModel
  private readonly random: Random
  private readonly blockBytes: number
  /** What comes next. */
  private readonly queue: Chooser[] = []

  constructor(fs: WritableFileSystem, model: TreeModel, random: Random, blockBytes: number) {
    this.fs = fs
    this.model = model
    this.random = random
    this.blockBytes = blockBytes
  }

  /** Whether something has been begun. */
  get isBegun(): boolean {
    return this.queue.length > 0
  }

  next(): Operation | undefined {
    const { random } = this
    const begun = this.queue.shift()
    if (begun !== undefined) return begun()
    const id = this.file()
    if (id === undefined) return undefined
    switch (random.below(random.chance(0.12) ? 9 : 8)) {
      case 0:
        return this.append(id)
      case 1:
        return this.resize(id, this.size(id))
      case 2:
      case 3:
        return this.allocate(
          id,
          this.place(this.length(id)),
          1 + random.below(random.pick([5000, 100 * KIB, 2000 * KIB])),
        )
      case 4:
        return this.copy(id)
      case 8:
        return this.scatter(id)
      default:
        return this.write(id)
    }
  }

  /** Writes to every other block of a file, and then does something with all of them, as a rule. */
  private scatter(id: string): Operation {
    const { random, blockBytes, queue } = this
    const length = 2 * MANY_EXTENTS * blockBytes
    for (let block = 2; block < 2 * MANY_EXTENTS; block += 2) {
      queue.push(() => this.writing(id, block * blockBytes, this.bytes(1 + random.below(blockBytes))))
    }
    queue.push(
      random.pick<Chooser>([
        () => this.resize(id, random.below(3 * blockBytes)),
        () => this.allocate(id, random.below(blockBytes), length - random.below(blockBytes)),
        () => this.allocate(id, random.below(blockBytes), length - random.below(blockBytes)),
        () => this.writing(id, random.below(blockBytes), this.bytes(length)),
        () => this.copying(id, 0, this.file() ?? id, 0, length),
        () => undefined,
      ]),
    )
    return this.writing(id, 0, this.bytes(blockBytes))
  }

  private write(id: string): Operation {
    const { random } = this
    const isLarge = random.chance(0.05)
    const data = this.bytes(1 + random.below(isLarge ? LARGE_BYTES : random.pick([10, 1500, 20 * KIB, 100 * KIB])))
    return this.writing(id, isLarge ? 0 : this.place(this.length(id)), data)
  }

  private append(id: string): Operation | undefined {
    const length = this.length(id)
    return length > FILE_BYTES ? undefined : this.writing(id, length, this.bytes(1 + this.random.below(5000)))
  }

  private writing(id: string, offset: number, data: Uint8Array): Operation {
    const to = offset + data.length
    const blocks = Math.ceil(to / this.blockBytes) - Math.floor(offset / this.blockBytes)
    const write = (): void => {
      this.fs.write(this.ref(id), offset, data)
      this.model.write(id, offset, data)
    }
    return this.changing(
      ...([`write ${data.length} at ${offset} of ${id}`, { id, isFinished: false, from: offset, to }, write] as const),
      blocks < PIECE_EXTENTS ? 1 : Infinity,
    )
  }

  private resize(id: string, size: number): Operation {
    return this.changing(`resize ${id} to ${size}`, { id, isFinished: true, from: 0, to: 0 }, () => {
      this.fs.setattr(this.ref(id), { size }, this.fs.newInode())
      this.model.resize(id, size)
    })
  }

  private allocate(id: string, offset: number, bytes: number): Operation {
    const { random, model, fs, blockBytes } = this
    const length = this.length(id)
    const mode = random.pick<AllocateMode>([
      ...(['allocate', 'allocate-keep-size', 'zero-range', 'zero-range-keep-size'] as const),
      ...(['punch-hole', 'punch-hole'] as const),
    ])
    const end = offset + bytes
    const grows = mode === 'allocate' || mode === 'zero-range'
    const from = Math.ceil(offset / blockBytes) * blockBytes
    const to = Math.max(from, end >= length ? end : Math.floor(end / blockBytes) * blockBytes)
    return this.changing(`${mode} ${bytes} at ${offset} of ${id}`, { id, isFinished: false, from, to }, () => {
      fs.allocate(this.ref(id), offset, bytes, mode)
      model.resize(id, grows ? Math.max(length, end) : length)
      if (mode !== 'allocate' && mode !== 'allocate-keep-size') model.zero(id, offset, end)
    })
  }

  private copy(from: string): Operation | undefined {
    const { random } = this
    const to = this.file() ?? from
    const fromOffset = Math.min(this.place(this.length(from)), this.length(from))
    const toOffset = random.chance(0.3) ? fromOffset : this.place(this.length(to))
    return this.copying(from, fromOffset, to, toOffset, random.pick([5000, 100 * KIB, LARGE_BYTES]))
  }

  /** Undefined if nothing would be copied, or the ranges overlap. */
  private copying(from: string, fromOffset: number, to: string, toOffset: number, most: number): Operation | undefined {
    const { model, fs } = this
    const { content } = model.node(from)
    const length = Math.min(most, content.length - fromOffset)
    if (length <= 0 || (from === to && Math.abs(fromOffset - toOffset) < length)) return undefined
    const changing: ChangingFile = { id: to, isFinished: false, from: toOffset, to: toOffset + length }
    return this.changing(`copy ${length} at ${fromOffset} of ${from} to ${toOffset} of ${to}`, changing, () => {
      const copied = fs.copyRange(this.ref(from), fromOffset, this.ref(to), toOffset, length)
      if (copied !== length) throw new Error(`${copied} of ${length} bytes were copied`)
      model.write(to, toOffset, content.subarray(fromOffset, fromOffset + length))
    })
  }

  /** One that changes what a file holds. */
  private changing(what: string, changing: ChangingFile, work: () => void, transactionsMax = Infinity): Operation {
    const run = (): void => {
      work()
      const inode = this.fs.newInode()
      this.fs.getattr(this.ref(changing.id), inode)
      this.model.learnSectors(changing.id, inode.sectors)
    }
    return { what, changing, transactionsMax, run }
  }

  private file(): string | undefined {
    const files = this.model.ids('file')
    return files.length === 0 ? undefined : this.random.pick(files)
  }

  private ref(id: string): TreeNode['ref'] {
    return this.model.node(id).ref
  }

  private length(id: string): number {
    return this.model.node(id).content.length
  }

  /** A size for it, smaller more often than not. */
  private size(id: string): number {
    const { random } = this
    const length = this.length(id)
    return random.chance(0.3) ? length + random.below(50 * KIB) : random.below(length + 1)
  }

  /** A byte of a file, more often than not on a block's border, or somewhat behind its end. */
  private place(size: number): number {
    const { random } = this
    const place = random.below(Math.min(size, FILE_BYTES) + (random.chance(0.2) ? 100 * KIB : KIB))
    return random.chance(0.6) ? place - (place % 4096) : place
  }

  private bytes(length: number): Uint8Array {
    return someBytes(this.random, length)
  }
}

/** Half of them repeat. */
export function someBytes(random: Random, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let at = 0; at < length; at += 2048) {
    const part = bytes.subarray(at, at + 2048)
    if (random.chance(0.5)) part.fill(random.below(256))
    else random.fill(part)
  }
  return bytes
}
