/** Files beside plain arrays of bytes that they have to equal, on volumes in memory; for tests of file data. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  BtreeId,
  Key,
  makeVolume,
  openDatabase,
  openVolume,
  setBpos,
  type Database,
  type NewVolumeOptions,
} from '@cowherd/db'
import { Random } from '@cowherd/fuzz'
import { referee } from '@cowherd/referee'
import { nativeCodecs, type WritableBlockDevice } from '@cowherd/shim'
import { memoryStore, writableMemoryStore } from '@cowherd/store'
import { verifyVolume } from '@cowherd/verify'
import { expect } from 'vitest'
import { fsDatabaseParts } from '../database-parts.ts'
import { isAllocated } from '../extents/extent-key.ts'
import { openFileSystem } from '../file-system.ts'
import type { AllocateMode } from '../file-system-writer.ts'
import { addFirstKeys } from '../first-start.ts'
import { storeInode } from '../inode-versions.ts'
import type { Inode } from '../inode.ts'
import { Field } from '../inode-fields.ts'
import { fsKeyTypes } from '../key-types/index.ts'
import { NodeRef } from '../node-ref.ts'
import { Subvolumes } from '../subvolumes.ts'
import { takeSnapshot } from './take-snapshot.ts'
import { writableFileSystem, type WritableFileSystem } from '../writable-file-system.ts'
import { FileData } from '../data/file-data.ts'

const MIB = 2 ** 20
const SECTOR = 512
export const codecs = nativeCodecs()

export interface Setting {
  readonly devices?: number
  readonly bytes?: number
  readonly blockBytes?: number
  readonly bucketBytes?: number
  readonly encrypted?: boolean
  readonly inlineData?: boolean
  readonly options?: NewVolumeOptions['options']
}

/** A file, and what it has to hold. */
export interface Twin {
  readonly ref: Readonly<NodeRef>
  bytes: Uint8Array
}

const NOTHING_ELSE = (): void => undefined

export class FileRig {
  readonly setting: Setting
  readonly disks: Uint8Array[]
  db: Database
  fs: WritableFileSystem
  data: FileData
  twins: Twin[] = []
  now = 1
  /** What devices are to be taken for, by tests of failures. */
  wrap: (device: WritableBlockDevice) => WritableBlockDevice = (device) => device
  private subvolumes = 1
  private opened = 0

  constructor(setting: Setting = {}) {
    this.setting = setting
    this.disks = blankDisks(setting)
    ;({ db: this.db, fs: this.fs, data: this.data } = this.open())
  }

  /** Makes empty files in the first subvolume's root. */
  makeFiles(count: number, change: (inode: Inode) => void = () => undefined): void {
    for (let i = 0; i < count; i++) {
      const ref = new NodeRef()
      const inode = this.fs.newInode()
      const name = `file ${this.twins.length}`
      this.fs.create(this.fs.root, name, 0o644, { uid: 0, gid: 0, umask: 0 }, ref, inode)
      change(inode)
      this.db.write((updates) => storeInode(updates, inode))
      this.twins.push({ ref, bytes: new Uint8Array(0) })
    }
  }

  write(twin: Twin, offset: number, data: Uint8Array): void {
    this.data.write(twin.ref, offset, data)
    if (data.length === 0) return
    this.grow(twin, offset + data.length)
    twin.bytes.set(data, offset)
  }

  /** Writes what may take effect later: by `this.data.settle`, or any other change. */
  gather(twin: Twin, offset: number, data: Uint8Array): void {
    this.data.gather(twin.ref, offset, data, NOTHING_ELSE)
    this.grow(twin, offset + data.length)
    twin.bytes.set(data, offset)
  }

  resize(twin: Twin, size: number): void {
    this.data.resize(twin.ref, size)
    const bytes = new Uint8Array(size)
    bytes.set(twin.bytes.subarray(0, size))
    twin.bytes = bytes
  }

  allocate(twin: Twin, offset: number, length: number, mode: AllocateMode): void {
    this.data.allocate(twin.ref, offset, length, mode)
    if (mode === 'allocate' || mode === 'zero-range') this.grow(twin, offset + length)
    if (mode !== 'allocate' && mode !== 'allocate-keep-size') twin.bytes.fill(0, offset, offset + length)
  }

  copy(from: Twin, fromOffset: number, to: Twin, toOffset: number, length: number): void {
    const bytes = from.bytes.slice(fromOffset, fromOffset + length)
    expect(this.data.copyRange(from.ref, fromOffset, to.ref, toOffset, length)).toBe(bytes.length)
    if (bytes.length === 0) return
    this.grow(to, toOffset + bytes.length)
    to.bytes.set(bytes, toOffset)
  }

  /** Takes a snapshot of a subvolume: the files in it are there twice from now on. */
  snapshot(source: number): void {
    const id = ++this.subvolumes
    takeSnapshot(this.db, { source, id, directory: NodeRef.of(1, 0, 4096), name: `snapshot ${id}` })
    const taken = this.twins.filter(({ ref }) => ref.subvolume === source)
    for (const { ref, bytes } of taken) {
      this.twins.push({ ref: NodeRef.of(id, ref.inodeHi, ref.inodeLo), bytes: bytes.slice() })
    }
    this.reopen('clean')
  }

  /** All files hold what they have to, in whatever pieces they are read, and say how many sectors they have. */
  compare(): void {
    const inode = this.fs.newInode()
    for (const { ref, bytes } of this.twins) {
      this.fs.getattr(ref, inode)
      expect(inode.size, ref.toString()).toBe(bytes.length)
      expect(inode.sectors, ref.toString()).toBe(this.sectorsOf(ref))
      const file = this.fs.open(ref)
      const read = new Uint8Array(bytes.length)
      expect(file.readFully(0, read)).toBe(bytes.length)
      expectSame(read, bytes, ref.toString())
      file.close()
    }
  }

  reopen(how: 'clean' | 'crash'): void {
    if (how === 'clean') this.db.close()
    else {
      this.db.flush()
      this.db.abandon()
    }
    this.reopenAsIs()
  }

  /** Opens the volume, which is closed. */
  reopenAsIs(): void {
    ;({ db: this.db, fs: this.fs, data: this.data } = this.open())
  }

  /** Says what is wrong with the volume as it is on the devices. */
  faults(): string[] {
    const stores = this.disks.map((disk, i) => writableMemoryStore(disk.slice(), `disk ${i}`))
    return verifyVolume(stores, { codecs, keyTypes: fsKeyTypes })
  }

  /** What the real fsck has to say of it, if it is installed. */
  async complaints(): Promise<readonly string[]> {
    if (!referee.available()) return []
    const folder = mkdtempSync(join(tmpdir(), 'cowherd-test-'))
    try {
      const images = this.disks.map((disk, i) => {
        const path = join(folder, `${i}.img`)
        writeFileSync(path, disk)
        return path
      })
      const { complaints } = await referee.fsck(images)
      return complaints
    } finally {
      rmSync(folder, { recursive: true })
    }
  }

  /** Who only reads sees the same. The volume was closed. */
  compareClosed(): void {
    const stores = this.disks.map((disk, i) => memoryStore(disk, `disk ${i}`))
    const volume = openVolume(stores, { codecs, keyTypes: fsKeyTypes })
    const fs = openFileSystem(volume)
    for (const { ref, bytes } of this.twins) {
      const read = new Uint8Array(bytes.length)
      expect(fs.open(ref).readFully(0, read)).toBe(bytes.length)
      expectSame(read, bytes, ref.toString())
    }
  }

  /** The keys of a file's extents that its subvolume sees. */
  extents(ref: Readonly<NodeRef>): Key[] {
    const keys: Key[] = []
    const { snapshot } = new Subvolumes(this.db, this.fs.times).view(ref.subvolume)
    const cursor = this.db.snapshotCursor(BtreeId.extents, snapshot)
    const pos = new Uint32Array(5)
    setBpos(pos, ref.inodeHi, ref.inodeLo, 0, 0, 0)
    for (let found = cursor.seek(pos); found && cursor.key.inodeLo === ref.inodeLo; found = cursor.next()) {
      const key = new Key()
      key.set(cursor.key.words, 0)
      keys.push(key)
    }
    return keys
  }

  private sectorsOf(ref: Readonly<NodeRef>): number {
    return this.extents(ref).reduce((sum, { type, size }) => sum + (isAllocated(type) ? size : 0), 0)
  }

  private grow(twin: Twin, size: number): void {
    if (size <= twin.bytes.length) return
    const bytes = new Uint8Array(size)
    bytes.set(twin.bytes)
    twin.bytes = bytes
  }

  private open(): { db: Database; fs: WritableFileSystem; data: FileData } {
    const source = new Random(8, ++this.opened)
    const random = (target: Uint8Array): void => void source.fill(target)
    const db = openDatabase(
      this.disks.map((disk, i) => this.wrap(writableMemoryStore(disk, `disk ${i}`))),
      { ...fsDatabaseParts, codecs, random, nowSeconds: () => 5n },
    )
    const fs = writableFileSystem(db, { random, now: () => ({ seconds: 5, nanoseconds: this.now++ }) })
    const touch = (inode: Inode): void => {
      inode.fields[2 * Field.mtime] = inode.fields[2 * Field.ctime] = this.now++
    }
    const { inlineData = true } = this.setting
    return { db, fs, data: new FileData(db, new Subvolumes(db, fs.times), fs.times, { touch, inlineData }) }
  }
}

function blankDisks({
  devices = 1,
  bytes = 64 * MIB,
  blockBytes = 4096,
  bucketBytes = 256 << 10,
  encrypted = false,
  options = {},
}: Setting): Uint8Array[] {
  const disks = Array.from({ length: devices }, () => new Uint8Array(bytes))
  const source = new Random(7)
  const random = (target: Uint8Array): void => void source.fill(target)
  makeVolume(
    disks.map((disk, i) => ({ device: writableMemoryStore(disk, `disk ${i}`), blockBytes, bucketBytes })),
    {
      ...{ codecs, nowNs: 1n, btreeNodeBytes: 64 << 10, options, random },
      ...(encrypted ? { encryption: { passphrase: undefined } } : {}),
      fill: (builder) => addFirstKeys(builder, { codecs, random, strHash: 'siphash' }),
    },
  )
  return disks
}

export function expectSame(is: Uint8Array, should: Uint8Array, what: string): void {
  if (Buffer.compare(is, should) === 0) return
  let at = 0
  while (is[at] === should[at]) at++
  expect.fail(`${what}: byte ${at} (sector ${at / SECTOR}) is ${is[at]}, should be ${should[at]}`)
}
