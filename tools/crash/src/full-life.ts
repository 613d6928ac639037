/** A volume of files that is nearly full and written for long, beside plain arrays of bytes that the files have to equal. */

import { DataType, makeVolume, openDatabase, type Database, type NewVolumeOptions } from '@cowherd/db'
import { addFirstKeys, fsDatabaseParts, NodeRef, walk, writableFileSystem, type WritableFileSystem } from '@cowherd/fs'
import { fuzzCodecs as codecs, Random } from '@cowherd/fuzz'
import type { WritableBlockDevice } from '@cowherd/shim'
import { Image } from './image.ts'

const BLOCK = 4096
/** Files are so large at most. */
const FILE_BLOCKS = 24
const CALLER = { uid: 0, gid: 0, umask: 0 }

interface Twin {
  readonly ref: NodeRef
  bytes: Uint8Array
}

export interface LifeOptions {
  readonly devices?: number
  readonly sizeBytes: number
  readonly volume?: NewVolumeOptions['options']
  /** Whether what is written can be compressed. */
  readonly isCompressible?: boolean
}

/** New disks with an empty filesystem on them. */
export function emptyFileSystem({ devices = 1, sizeBytes, volume = {} }: LifeOptions, seed = 1): Image[] {
  const images = Array.from({ length: devices }, () => Image.empty(sizeBytes))
  const random = randomOf(seed)
  makeVolume(
    images.map((image, disk) => ({ device: image.device(`disk ${disk}`), blockBytes: BLOCK })),
    {
      ...{ codecs, random, nowNs: 1_800_000_000_000_000_000n, options: volume },
      fill: (builder) => addFirstKeys(builder, { codecs, random, strHash: 'siphash' }),
    },
  )
  return images
}

export class FullLife {
  readonly db: Database
  readonly fs: WritableFileSystem
  readonly twins: Twin[] = []
  private readonly random: Random
  private readonly isCompressible: boolean
  private names = 0
  private clockMs = 0

  constructor(devices: readonly WritableBlockDevice[], { isCompressible = false }: LifeOptions, seed: number) {
    this.random = new Random(seed)
    this.isCompressible = isCompressible
    this.db = openDatabase(devices, {
      ...{ ...fsDatabaseParts, codecs, random: randomOf(seed, 2), nowSeconds: () => 1_800_000_000n },
      cacheBytes: 8 << 20,
    })
    this.fs = writableFileSystem(this.db, {
      random: randomOf(seed, 3),
      now: () => ({ seconds: 1_800_000_000, nanoseconds: 0 }),
    })
  }

  /** Part of the room that is left. */
  get left(): number {
    const { capacity } = this.db
    return capacity.freeSectors / capacity.totalSectors
  }

  /** Makes files until so little is left. */
  fill(left: number): void {
    while (this.left > left) this.make()
  }

  /** Does something to a file. With less than `least` of its room left, files are deleted. */
  step(least: number): void {
    const { random, twins, fs } = this
    if (random.chance(0.01)) this.db.work((this.clockMs += 1000))
    if (this.left < least) this.remove(random.below(twins.length))
    else if (random.chance(0.02)) this.make()
    else {
      const twin = random.pick(twins)
      const first = random.below(FILE_BLOCKS)
      const count = 1 + random.below(Math.min(8, FILE_BLOCKS - first))
      if (random.chance(0.05)) {
        const start = Math.min(first * BLOCK, twin.bytes.length)
        const end = Math.min((first + count) * BLOCK, twin.bytes.length)
        if (end <= start) return
        fs.allocate(twin.ref, start, end - start, 'punch-hole')
        twin.bytes.fill(0, start, end)
      } else this.write(twin, first * BLOCK, this.bytes(count * BLOCK - random.below(BLOCK)))
    }
  }

  /** Throws if a file isn't what it should be. */
  check(): void {
    checkFiles(this.fs, this.twins)
  }

  get fragmentedSectors(): number {
    return this.db.usage.fragmentedSectors(0, DataType.user)
  }

  private make(): void {
    const ref = new NodeRef()
    this.fs.create(this.fs.root, `file ${this.names++}`, 0o644, CALLER, ref, this.fs.newInode())
    const twin = { ref, bytes: new Uint8Array(0) }
    this.twins.push(twin)
    this.write(twin, 0, this.bytes(1 + this.random.below(FILE_BLOCKS * BLOCK)))
  }

  private remove(index: number): void {
    const [twin] = this.twins.splice(index, 1)
    const path = this.fs.pathOf(twin.ref)
    if (path === undefined) throw new Error('a file without a path')
    this.fs.unlink(this.fs.root, path.subarray(path.lastIndexOf(0x2f) + 1))
  }

  private write(twin: Twin, offset: number, data: Uint8Array): void {
    this.fs.write(twin.ref, offset, data)
    if (offset + data.length > twin.bytes.length) {
      const larger = new Uint8Array(offset + data.length)
      larger.set(twin.bytes)
      twin.bytes = larger
    }
    twin.bytes.set(data, offset)
  }

  private bytes(length: number): Uint8Array {
    const { random } = this
    if (!this.isCompressible) return random.fill(new Uint8Array(length))
    const words = random.fill(new Uint8Array(64))
    return Uint8Array.from({ length }, (_, i) => words[(i + (i >>> 8)) % 64] ^ ((i >>> 12) & 0xff))
  }
}

function checkFiles(fs: WritableFileSystem, twins: readonly Twin[]): void {
  for (const { ref, bytes } of twins) {
    const file = fs.open(ref)
    const read = new Uint8Array(file.size)
    file.readFully(0, read)
    file.close()
    if (Buffer.compare(read, bytes) !== 0) throw new Error(`${ref.toString()} is not what was written`)
  }
}

/** Recovers the filesystem, reads all files, whose checksums have to be right, and shuts it down. */
export function readAll(devices: readonly WritableBlockDevice[]): void {
  const db = openDatabase(devices, {
    ...fsDatabaseParts,
    codecs,
    random: randomOf(9),
    nowSeconds: () => 1_900_000_000n,
  })
  const fs = writableFileSystem(db, { random: randomOf(8) })
  walk(fs, {
    visit: ({ ref, inode }) => {
      if (inode.isDirectory) return
      const file = fs.open(ref)
      file.readFully(0, new Uint8Array(file.size))
      file.close()
    },
    fail: (_, error) => {
      throw error
    },
  })
  fs.close()
}

function randomOf(...seed: readonly number[]): (target: Uint8Array) => void {
  const random = new Random(...seed)
  return (target) => void random.fill(target)
}
