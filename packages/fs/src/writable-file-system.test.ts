import { bpos, BtreeId, Key, openDatabase, u64, VolumeError } from '@cowherd/db'
import type { Bpos, Database, ErrorCode } from '@cowherd/db'
import { fuzzCodecs as codecs, Random } from '@cowherd/fuzz'
import { decodeUtf8, encodeUtf8 } from '@cowherd/kernel-lib'
import { writableMemoryStore } from '@cowherd/store'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { fsDatabaseParts } from './database-parts.ts'
import type { Caller, Time } from './file-system-writer.ts'
import { Field } from './inode-fields.ts'
import { INODE_GENERATION, INODE_V3, InodeFlag, type Inode } from './inode.ts'
import { storeInode } from './inode-versions.ts'
import { NodeRef } from './node-ref.ts'
import { takeSnapshot } from './testing/take-snapshot.ts'
import { BIRTH_SECONDS, blankDisk, cutPower, judge, openDisk, type BlankOptions } from './testing/volumes.ts'
import { openWritableFileSystem, type WritableFileSystem } from './writable-file-system.ts'

const ROOT: Caller = { uid: 0, gid: 0, umask: 0o022 }
const USER: Caller = { uid: 1000, gid: 100, umask: 0o002 }
const NO_DEVICE = { major: 0, minor: 0 }

/** A filesystem with calls that are shorter to write. What is left of it is judged when the test is over. */
class Rig {
  disk: Uint8Array
  fs: WritableFileSystem
  readonly inode: Inode
  seconds = BIRTH_SECONDS + 100
  private readonly now = (): Time => ({ seconds: this.seconds, nanoseconds: 5 })
  private hasSnapshots = false

  constructor(options: BlankOptions = {}) {
    this.disk = blankDisk(options)
    this.fs = openDisk(this.disk, this.now)
    this.inode = this.fs.newInode()
    onTestFinished(async () => {
      if (this.db.failure === undefined) this.fs.close()
      await judge(this.disk, true, this.hasSnapshots)
    })
  }

  get db(): Database {
    return this.fs.volume as Database
  }

  get root(): Readonly<NodeRef> {
    return this.fs.root
  }

  file(name: string, directory = this.root, mode = 0o644, caller = ROOT): NodeRef {
    const ref = new NodeRef()
    this.fs.create(directory, name, mode, caller, ref, this.inode)
    return ref
  }

  directory(name: string, directory = this.root, mode = 0o755, caller = ROOT): NodeRef {
    const ref = new NodeRef()
    this.fs.mkdir(directory, name, mode, caller, ref, this.inode)
    return ref
  }

  link(name: string, target: string, directory = this.root): NodeRef {
    const ref = new NodeRef()
    this.fs.symlink(directory, name, encodeUtf8(target), ROOT, ref, this.inode)
    return ref
  }

  attributesOf(ref: Readonly<NodeRef>): Inode {
    this.fs.getattr(ref, this.inode)
    return this.inode
  }

  names(directory: Readonly<NodeRef> = this.root): string[] {
    const found: string[] = []
    const reader = this.fs.openDirectory(directory)
    for (let more = reader.seek(0, 2); more; more = reader.next()) found.push(decodeUtf8(reader.name))
    return found.sort()
  }

  has(path: string): boolean {
    try {
      this.fs.resolve(path, { followLast: false })
      return true
    } catch (error) {
      if (error instanceof VolumeError && error.code === 'ENOENT') return false
      throw error
    }
  }

  reopen(subvolume?: number): void {
    this.fs.close()
    this.fs = openDisk(this.disk, this.now, subvolume)
  }

  snapshot(id: number, name: string, options: { source?: number; parent?: number; readOnly?: boolean } = {}): void {
    const { source = 1, parent = 1, readOnly = false } = options
    this.fs.close()
    const random = new Random(3)
    const device = writableMemoryStore(this.disk, 'disk')
    const db = openDatabase([device], { ...fsDatabaseParts, codecs, random: (target) => void random.fill(target) })
    takeSnapshot(db, { source, id, directory: NodeRef.of(parent, 0, 4096), name, readOnly })
    db.close()
    this.hasSnapshots = true
    this.fs = openDisk(this.disk, this.now)
  }

  /** Sets flags of an inode. */
  flag(ref: Readonly<NodeRef>, flags: number): void {
    this.fs.getattr(ref, this.inode)
    this.inode.flagsWord ^= flags
    this.db.write((updates) => storeInode(updates, this.inode))
  }
}

function expectError(code: ErrorCode, call: () => void): void {
  let thrown: unknown
  try {
    call()
  } catch (error) {
    thrown = error
  }
  expect(thrown).toBeInstanceOf(VolumeError)
  expect((thrown as VolumeError).code).toBe(code)
}

describe('errors', () => {
  test('of names', () => {
    const rig = new Rig()
    const { fs, root } = rig
    const file = rig.file('file')
    rig.directory('directory')
    expectError('EEXIST', () => rig.file('file'))
    expectError('EEXIST', () => rig.directory('file'))
    expectError('EEXIST', () => rig.link('directory', 'x'))
    expectError('EEXIST', () => rig.link('directory', 'x'.repeat(3000)))
    expectError('EEXIST', () => fs.link(file, root, 'directory', rig.inode))
    for (const name of ['', '.', '..', 'a/b', 'a\0b']) expectError('EINVAL', () => rig.file(name))
    expectError('ENAMETOOLONG', () => rig.file('x'.repeat(256)))
    rig.file('x'.repeat(255))
    expectError('ENAMETOOLONG', () => rig.file('ä'.repeat(128)))
    expectError('ENOENT', () => rig.link('link', ''))
    expectError('ENAMETOOLONG', () => rig.link('link', 'x'.repeat(4096)))
    expectError('ENOTDIR', () => rig.file('x', file))
    expectError('ENOTDIR', () => fs.unlink(file, 'x'))
    expectError('ENOENT', () => rig.file('x', NodeRef.of(1, 0, 999_999)))
    expectError('ENOENT', () => fs.unlink(root, 'nothing'))
    expectError('ENOENT', () => fs.rmdir(root, 'nothing'))
    expectError('EISDIR', () => fs.unlink(root, 'directory'))
    expectError('ENOTDIR', () => fs.rmdir(root, 'file'))
    rig.file('inner', rig.fs.resolve('directory'))
    expectError('ENOTEMPTY', () => fs.rmdir(root, 'directory'))
    expectError('EPERM', () => fs.link(fs.resolve('directory'), root, 'other', rig.inode))
    expectError('ENOENT', () => fs.link(NodeRef.of(1, 0, 999_999), root, 'other', rig.inode))
    expectError('EINVAL', () => fs.mknod(root, 'x', 0o040755, NO_DEVICE, ROOT, new NodeRef(), rig.inode))
    expect(rig.names()).toEqual(['directory', 'file', 'lost+found', 'x'.repeat(255)])
  })

  test('of rename', () => {
    const rig = new Rig()
    const { fs, root } = rig
    rig.file('file')
    const outer = rig.directory('outer')
    const inner = rig.directory('inner', outer)
    rig.directory('empty')
    expectError('ENOENT', () => fs.rename(root, 'nothing', root, 'x'))
    expectError('ENOENT', () => fs.rename(root, 'file', root, 'nothing', { exchange: true }))
    expectError('EEXIST', () => fs.rename(root, 'file', root, 'outer', { noReplace: true }))
    expectError('EINVAL', () => fs.rename(root, 'file', root, 'outer', { noReplace: true, exchange: true }))
    expectError('EINVAL', () => fs.rename(root, 'outer', inner, 'x'))
    expectError('EINVAL', () => fs.rename(root, 'outer', outer, 'x'))
    expectError('EINVAL', () => fs.rename(outer, 'inner', root, 'outer', { exchange: true }))
    expectError('ENOTEMPTY', () => fs.rename(outer, 'inner', root, 'outer'))
    expectError('ENOTEMPTY', () => fs.rename(root, 'empty', root, 'outer'))
    expectError('EISDIR', () => fs.rename(root, 'file', root, 'empty'))
    expectError('ENOTDIR', () => fs.rename(root, 'empty', root, 'file'))
    expectError('EINVAL', () => fs.rename(root, 'file', root, '..'))
    fs.rename(root, 'outer', root, 'empty')
    expect(rig.names()).toEqual(['empty', 'file', 'lost+found'])
    expect(rig.has('empty/inner')).toBe(true)
  })

  test('of attributes', () => {
    const rig = new Rig()
    const { fs } = rig
    const file = rig.file('file')
    const value = new Uint8Array(1)
    expectError('EOPNOTSUPP', () => fs.setAttribute(file, 'unknown.x', value))
    expectError('EINVAL', () => fs.setAttribute(file, 'user.', value))
    expectError('EINVAL', () => fs.setAttribute(file, 'user.a\0b', value))
    expectError('ERANGE', () => fs.setAttribute(file, `user.${'x'.repeat(251)}`, value))
    expectError('ERANGE', () => fs.setAttribute(file, 'user.foo', new Uint8Array(1994)))
    expectError('ENODATA', () => fs.setAttribute(file, 'user.foo', value, 'replace'))
    fs.setAttribute(file, 'user.foo', new Uint8Array(1993), 'create')
    expectError('EEXIST', () => fs.setAttribute(file, 'user.foo', value, 'create'))
    fs.setAttribute(file, 'user.foo', Uint8Array.of(7), 'replace')
    fs.setAttribute(file, `trusted.${'x'.repeat(247)}`, new Uint8Array(0))
    expect(fs.getAttribute(file, 'user.foo')).toEqual(Uint8Array.of(7))
    expectError('ENODATA', () => fs.removeAttribute(file, 'user.bar'))
    fs.removeAttribute(file, 'user.foo')
    expect(fs.listAttributes(file)).toHaveLength(1)
    expectError('ENOENT', () => fs.setAttribute(NodeRef.of(1, 0, 999_999), 'user.foo', value))
    expectError('EISDIR', () => fs.setattr(fs.root, { size: 0 }, rig.inode))
    expectError('EINVAL', () => fs.setattr(rig.link('link', 'x'), { size: 0 }, rig.inode))
    expectError('EOPNOTSUPP', () => fs.setattr(fs.resolve('link', { followLast: false }), { mode: 0o600 }, rig.inode))
  })

  test('of what must not change', () => {
    const rig = new Rig()
    const { fs, root } = rig
    const directory = rig.directory('directory')
    const fixed = rig.file('fixed')
    rig.file('inner', directory)
    rig.flag(fixed, InodeFlag.immutable)
    rig.flag(directory, InodeFlag.append)
    expectError('EPERM', () => fs.unlink(root, 'fixed'))
    expectError('EPERM', () => fs.rename(root, 'fixed', root, 'x'))
    expectError('EPERM', () => fs.link(fixed, root, 'x', rig.inode))
    expectError('EPERM', () => fs.setattr(fixed, { mode: 0o600 }, rig.inode))
    expectError('EPERM', () => fs.setattr(fixed, { size: 5 }, rig.inode))
    expectError('EPERM', () => fs.setAttribute(fixed, 'user.x', new Uint8Array(1)))
    expectError('EPERM', () => fs.write(fixed, 0, new Uint8Array(1)))
    expectError('EPERM', () => fs.unlink(directory, 'inner'))
    expectError('EPERM', () => fs.rename(directory, 'inner', root, 'x'))
    rig.file('another', directory)
    rig.flag(directory, InodeFlag.append | InodeFlag.immutable)
    expectError('EPERM', () => rig.file('x', directory))
    rig.flag(directory, InodeFlag.immutable)
    fs.unlink(directory, 'inner')
  })

  test('a call that fails changes nothing', () => {
    const rig = new Rig()
    const file = rig.file('file')
    const { fs, root } = rig
    rig.seconds += 10
    expectError('EEXIST', () => rig.file('file'))
    expectError('ENODATA', () => fs.removeAttribute(file, 'user.x'))
    expectError('EINVAL', () => fs.setAttribute(file, 'system.posix_acl_access', Uint8Array.of(1)))
    expect(rig.attributesOf(root).mtimeSeconds).toBe(rig.seconds - 10)
    expect(rig.attributesOf(file).ctimeSeconds).toBe(rig.seconds - 10)
  })
})

describe('new files', () => {
  test('are what was asked for', () => {
    const rig = new Rig()
    const { fs, inode, root } = rig
    const ref = rig.file('file', root, 0o666, USER)
    for (const shown of [inode, rig.attributesOf(ref)]) {
      expect(shown.mode).toBe(0o100664)
      expect([shown.uid, shown.gid, shown.linkCount, shown.size]).toEqual([1000, 100, 1, 0])
      expect([shown.atimeSeconds, shown.mtimeSeconds, shown.ctimeSeconds]).toEqual(Array(3).fill(rig.seconds))
      expect([shown.otimeSeconds, shown.otimeNanoseconds]).toEqual([rig.seconds, 5])
    }
    fs.mknod(root, 'tty', 0o020620, { major: 4, minor: 70_000 }, ROOT, ref, inode)
    expect([rig.attributesOf(ref).mode, inode.deviceMajor, inode.deviceMinor]).toEqual([0o020600, 4, 70_000])
    fs.mknod(root, 'socket', 0o140777, NO_DEVICE, ROOT, ref, inode)
    expect(rig.attributesOf(ref).mode).toBe(0o140755)
    fs.mknod(root, 'plain', 0o600, NO_DEVICE, ROOT, ref, inode)
    expect(rig.attributesOf(ref).mode).toBe(0o100600)
  })

  test('symbolic links of all lengths', () => {
    const rig = new Rig()
    for (const length of [1, 59, 1024, 1025, 4095]) {
      const target = 'x'.repeat(length)
      const ref = rig.link(`${length}`, target)
      expect(rig.inode.mode).toBe(0o120777)
      expect(rig.attributesOf(ref).size).toBe(length)
      expect(rig.inode.sectors).toBe(8)
      expect(decodeUtf8(rig.fs.readlink(ref))).toBe(target)
    }
  })

  test('take over the group of a directory, if it says so, and its options', () => {
    const rig = new Rig()
    const { fs, inode } = rig
    const directory = rig.directory('directory', rig.root, 0o2775, USER)
    fs.setAttribute(directory, 'bcachefs.compression', encodeUtf8('zstd:9'))
    const inner = rig.directory('inner', directory)
    expect([inode.gid, inode.mode]).toEqual([100, 0o042755])
    rig.file('file', inner)
    expect([inode.gid, inode.uid, inode.mode]).toEqual([100, 0, 0o100644])
    expect([inode.fields[2 * Field.compression], inode.fieldsSet]).toEqual([148, 0])
  })

  test('without names are deleted, unless they get one', () => {
    const rig = new Rig()
    const { fs, inode, root } = rig
    const lost = new NodeRef()
    const kept = new NodeRef()
    for (const ref of [lost, kept]) {
      fs.tmpfile(root, 0o600, ROOT, ref, inode)
      fs.hold(ref)
      fs.write(ref, 0, new Uint8Array(100_000).fill(7))
      expect(rig.attributesOf(ref).linkCount).toBe(0)
    }
    fs.link(kept, root, 'kept', inode)
    expect(inode.linkCount).toBe(1)
    fs.forget(lost)
    fs.forget(kept)
    expectError('ENOENT', () => rig.attributesOf(lost))
    expect(rig.attributesOf(kept).size).toBe(100_000)
    fs.tmpfile(root, 0o600, ROOT, lost, inode)
  })
})

describe('files that are used when their last name goes', () => {
  test('are there until they are not', () => {
    const rig = new Rig()
    const { fs, root } = rig
    const ref = rig.file('file')
    fs.hold(ref)
    fs.hold(ref)
    fs.write(ref, 0, Uint8Array.of(1, 2, 3))
    fs.unlink(root, 'file')
    fs.forget(ref)
    fs.write(ref, 3, Uint8Array.of(4))
    expect(rig.attributesOf(ref).linkCount).toBe(0)
    expect(rig.inode.size).toBe(4)
    fs.forget(ref)
    expectError('ENOENT', () => rig.attributesOf(ref))
    expect(() => fs.forget(ref)).toThrow(RangeError)
  })

  test('are deleted by a shutdown, and by the start after a crash', async () => {
    const rig = new Rig()
    const { fs, root } = rig
    const ref = rig.file('file')
    fs.hold(ref)
    fs.write(ref, 0, new Uint8Array(200_000).fill(3))
    fs.unlink(root, 'file')
    fs.sync()
    const cut = cutPower(rig.disk)
    await judge(cut, true)
    openDisk(cut).close()
    await judge(cut, true)
    rig.reopen()
    expectError('ENOENT', () => rig.attributesOf(ref))
  })

  test('make way for others: rename over a file in use', () => {
    const rig = new Rig()
    const { fs, root } = rig
    const ref = rig.file('old')
    fs.hold(ref)
    rig.file('new')
    fs.rename(root, 'new', root, 'old')
    expect(rig.attributesOf(ref).linkCount).toBe(0)
    fs.forget(ref)
    expect(rig.names()).toEqual(['lost+found', 'old'])
  })

  test('directories are shown empty, and nothing can be made in them', async () => {
    const rig = new Rig()
    const { fs, root, inode } = rig
    const ref = rig.directory('directory')
    fs.hold(ref)
    fs.rmdir(root, 'directory')
    expect([rig.attributesOf(ref).linkCount, inode.isDirectory]).toEqual([0, true])
    expect(rig.names(ref)).toEqual([])
    expect(fs.lookup(ref, 'x', new NodeRef())).toBe(false)
    expectError('ENOENT', () => rig.file('x', ref))
    expectError('ENOENT', () => fs.rename(root, 'lost+found', ref, 'x'))
    fs.sync()
    await judge(cutPower(rig.disk), true)
    fs.forget(ref)
    expectError('ENOENT', () => rig.attributesOf(ref))
  })

  test('large ones are deleted in several transactions', () => {
    const rig = new Rig()
    const ref = rig.file('file')
    for (let i = 0; i < 100; i++) rig.fs.write(ref, i * 8192, new Uint8Array(4096).fill(i))
    for (let i = 0; i < 50; i++) rig.fs.setAttribute(ref, `user.${i}`, new Uint8Array(100))
    const writes = vi.spyOn(rig.db, 'write')
    rig.fs.unlink(rig.root, 'file')
    expect(writes.mock.calls.length).toBeGreaterThan(3)
    expectError('ENOENT', () => rig.attributesOf(ref))
  })

  test('an empty directory with many attributes goes at once, or nearly', () => {
    const rig = new Rig()
    const ref = rig.directory('directory')
    for (let i = 0; i < 400; i++) rig.fs.setAttribute(ref, `user.${i}`, new Uint8Array(10))
    rig.fs.rmdir(rig.root, 'directory')
    expectError('ENOENT', () => rig.attributesOf(ref))
  })
})

describe('attributes', () => {
  test('change with the times that POSIX wants', () => {
    const rig = new Rig()
    const { fs, root, inode } = rig
    const file = rig.file('file')
    const directory = rig.directory('directory')
    const times = (ref: Readonly<NodeRef>): number[] => {
      const { atimeSeconds, mtimeSeconds, ctimeSeconds } = rig.attributesOf(ref)
      return [atimeSeconds, mtimeSeconds, ctimeSeconds].map((each) => each - BIRTH_SECONDS)
    }
    rig.seconds = BIRTH_SECONDS + 200
    fs.link(file, directory, 'link', inode)
    expect([times(file), times(directory), times(root)]).toEqual([
      ...[
        [100, 100, 200],
        [100, 200, 200],
        [0, 100, 100],
      ],
    ])
    rig.seconds += 100
    fs.unlink(root, 'file')
    expect([times(file), times(directory), times(root)]).toEqual([
      ...[
        [100, 100, 300],
        [100, 200, 200],
        [0, 300, 300],
      ],
    ])
    rig.seconds += 100
    fs.rename(directory, 'link', root, 'file')
    expect([times(file), times(directory), times(root)]).toEqual([
      ...[
        [100, 100, 400],
        [100, 400, 400],
        [0, 400, 400],
      ],
    ])
    rig.seconds += 100
    fs.setAttribute(file, 'user.x', new Uint8Array(1))
    expect(times(file)).toEqual([100, 100, 500])
    rig.seconds += 100
    fs.setattr(file, { atime: { seconds: -5, nanoseconds: 7 }, mtime: 'now' }, inode)
    expect([inode.atimeSeconds, inode.atimeNanoseconds, inode.mtimeSeconds]).toEqual([-5, 7, rig.seconds])
    rig.seconds += 100
    fs.write(file, 0, new Uint8Array(1))
    expect(times(file).slice(1)).toEqual([700, 700])
    rig.seconds += 100
    fs.setattr(file, { size: 1, mode: 0o600 }, inode)
    expect([times(file).slice(1), inode.size, inode.mode]).toEqual([[800, 800], 1, 0o100600])
    fs.setattr(file, { size: 10, mtime: { seconds: 3, nanoseconds: 0 }, ctime: { seconds: 4, nanoseconds: 0 } }, inode)
    expect([inode.size, inode.mtimeSeconds, inode.ctimeSeconds]).toEqual([10, 3, 4])
  })

  test('the rights of a program go with its owner', () => {
    const rig = new Rig()
    const { fs, inode } = rig
    const file = rig.file('file')
    const capability = (): boolean => fs.getAttribute(file, 'security.capability') !== undefined
    const mode = 0o6755
    fs.setattr(file, { mode }, inode)
    fs.setAttribute(file, 'security.capability', new Uint8Array(20))
    fs.setattr(file, { uid: 5 }, inode)
    expect([inode.mode, inode.uid, capability()]).toEqual([0o100755, 5, false])
    fs.setattr(file, { mode: 0o6644 }, inode)
    fs.setattr(file, { killPrivileges: true }, inode)
    expect(inode.mode).toBe(0o102644)
    fs.setattr(file, { gid: 5, mode }, inode)
    expect([inode.mode, inode.gid]).toEqual([0o106755, 5])
    const directory = rig.directory('directory', rig.root, 0o2755)
    fs.setattr(directory, { gid: 7 }, inode)
    expect(inode.mode).toBe(0o042755)
  })

  test('links are counted', () => {
    const rig = new Rig()
    const { fs, root, inode } = rig
    const a = rig.directory('a')
    const b = rig.directory('b')
    rig.directory('x', a)
    rig.directory('y', a)
    const count = (ref: Readonly<NodeRef>): number => rig.attributesOf(ref).linkCount
    expect([count(root), count(a), count(b)]).toEqual([5, 4, 2])
    fs.rename(a, 'x', b, 'x')
    expect([count(a), count(b)]).toEqual([3, 3])
    fs.rename(a, 'y', b, 'x')
    expect([count(a), count(b)]).toEqual([2, 3])
    rig.file('f', a)
    fs.rename(a, 'f', b, 'x', { exchange: true })
    expect([count(a), count(b)]).toEqual([3, 2])
    fs.rmdir(a, 'f')
    expect([count(root), count(a), count(b)]).toEqual([5, 2, 2])
    const file = rig.fs.resolve('b/x')
    fs.link(file, root, '1', inode)
    fs.link(file, root, '2', inode)
    fs.rename(root, '1', root, '2')
    expect([count(file), rig.has('1'), rig.has('2')]).toEqual([3, true, true])
  })
})

/** As Linux shows it: `user_obj:7 user 1001:5 ...`. */
function acl(...entries: readonly (readonly [tag: number, permissions: number, id?: number])[]): Uint8Array {
  const bytes = new Uint8Array(4 + 8 * entries.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, 2, true)
  entries.forEach(([tag, permissions, id = 0xffffffff], i) => {
    view.setUint16(4 + 8 * i, tag, true)
    view.setUint16(6 + 8 * i, permissions, true)
    view.setUint32(8 + 8 * i, id, true)
  })
  return bytes
}

describe('access control lists', () => {
  const ACCESS = 'system.posix_acl_access'
  const DEFAULT = 'system.posix_acl_default'
  const [USER_OBJ, NAMED, GROUP_OBJ, MASK, OTHER] = [1, 2, 4, 0x10, 0x20]
  const list = (owner: number, user: number, group: number, mask: number, other: number): Uint8Array =>
    acl([USER_OBJ, owner], [NAMED, user, 1001], [GROUP_OBJ, group], [MASK, mask], [OTHER, other])

  test('and the mode follow each other', () => {
    const rig = new Rig()
    const { fs, inode } = rig
    const file = rig.file('file')
    fs.setAttribute(file, ACCESS, list(7, 5, 4, 6, 1))
    expect(rig.attributesOf(file).mode).toBe(0o100761)
    expect(fs.getAttribute(file, ACCESS)).toEqual(list(7, 5, 4, 6, 1))
    fs.setattr(file, { mode: 0o640 }, inode)
    expect(fs.getAttribute(file, ACCESS)).toEqual(list(6, 5, 4, 4, 0))
    fs.setAttribute(file, ACCESS, acl([USER_OBJ, 7], [GROUP_OBJ, 5], [OTHER, 0]))
    expect([rig.attributesOf(file).mode, fs.getAttribute(file, ACCESS)]).toEqual([0o100750, undefined])
    fs.setAttribute(file, ACCESS, list(7, 5, 4, 6, 1))
    fs.setAttribute(file, ACCESS, acl())
    expect(fs.getAttribute(file, ACCESS)).toBeUndefined()
    fs.removeAttribute(file, ACCESS)
  })

  test('are inherited', () => {
    const rig = new Rig()
    const { fs, inode } = rig
    const directory = rig.directory('directory')
    fs.setAttribute(directory, DEFAULT, list(7, 5, 7, 7, 5))
    expect(rig.attributesOf(directory).mode).toBe(0o040755)
    const file = rig.file('file', directory, 0o640, USER)
    expect(inode.mode).toBe(0o100640)
    expect(fs.getAttribute(file, ACCESS)).toEqual(list(6, 5, 7, 4, 0))
    expect(fs.getAttribute(file, DEFAULT)).toBeUndefined()
    const inner = rig.directory('inner', directory, 0o777, USER)
    expect(inode.mode).toBe(0o040775)
    expect(fs.getAttribute(inner, ACCESS)).toEqual(list(7, 5, 7, 7, 5))
    expect(fs.getAttribute(inner, DEFAULT)).toEqual(list(7, 5, 7, 7, 5))
    rig.link('link', 'target', directory)
    expect(inode.mode).toBe(0o120777)

    fs.setAttribute(inner, DEFAULT, acl([USER_OBJ, 7], [GROUP_OBJ, 5], [OTHER, 0]))
    const plain = rig.file('plain', inner, 0o666, USER)
    expect([inode.mode, fs.getAttribute(plain, ACCESS)]).toEqual([0o100640, undefined])
    fs.removeAttribute(inner, DEFAULT)
    rig.file('masked', inner, 0o666, USER)
    expect(inode.mode).toBe(0o100664)
  })

  test('that are none are refused', () => {
    const rig = new Rig()
    const { fs } = rig
    const file = rig.file('file')
    const plain = list(7, 5, 4, 6, 1)
    const wrong = [
      Uint8Array.of(2, 0, 0, 0, 1),
      Uint8Array.of(1, 0, 0, 0),
      acl([USER_OBJ, 7], [GROUP_OBJ, 5]),
      acl([USER_OBJ, 7], [NAMED, 5, 1001], [GROUP_OBJ, 5], [OTHER, 5]),
      acl([USER_OBJ, 8], [GROUP_OBJ, 5], [OTHER, 0]),
      acl([GROUP_OBJ, 5], [USER_OBJ, 7], [OTHER, 0]),
      acl([USER_OBJ, 7], [USER_OBJ, 7], [GROUP_OBJ, 5], [OTHER, 0]),
      acl([USER_OBJ, 7], [GROUP_OBJ, 5], [OTHER, 0], [0x40, 7]),
    ]
    for (const value of wrong) expectError('EINVAL', () => fs.setAttribute(file, ACCESS, value))
    expectError('EACCES', () => fs.setAttribute(file, DEFAULT, plain))
    expectError('EOPNOTSUPP', () => fs.setAttribute(rig.link('link', 'x'), ACCESS, plain))
    const many = Array.from({ length: 250 }, (_, i) => [NAMED, 7, i] as const)
    const long = acl([USER_OBJ, 7], ...many, [GROUP_OBJ, 5], [MASK, 7], [OTHER, 0])
    expectError('ERANGE', () => fs.setAttribute(file, ACCESS, long))
  })

  test('mean nothing on volumes without them', () => {
    const rig = new Rig({ options: { acl: false } })
    expectError('EOPNOTSUPP', () => rig.fs.setAttribute(rig.file('file'), ACCESS, list(7, 5, 4, 6, 1)))
  })
})

describe('options of files', () => {
  const shown = (fs: WritableFileSystem, ref: Readonly<NodeRef>): Record<string, string> => {
    const found: Record<string, string> = {}
    fs.forEachOptionAttribute(ref, (name, value) => (found[name] = value))
    return found
  }

  test('are set, inherited and removed', () => {
    const rig = new Rig()
    const { fs, root } = rig
    const directory = rig.directory('directory')
    const set = (ref: Readonly<NodeRef>, name: string, value: string): void =>
      fs.setAttribute(ref, `bcachefs.${name}`, encodeUtf8(value))
    const values = { compression: 'lz4', data_checksum: 'crc64', data_replicas: '2', nocow: '0', erasure_code: '0' }
    for (const [name, value] of Object.entries(values)) set(directory, name, value)
    set(directory, 'foreground_target', 'device 0')
    set(directory, 'promote_target', 'none')
    expect(shown(fs, directory)).toMatchObject({
      ...{ 'bcachefs.compression': 'lz4', 'bcachefs_effective.data_checksum': 'crc64' },
      ...{ 'bcachefs.foreground_target': 'device 0', 'bcachefs.promote_target': 'none' },
    })
    const inner = rig.file('inner', directory)
    expect(shown(fs, inner)).toMatchObject({ 'bcachefs_effective.compression': 'lz4' })
    expect(shown(fs, inner)).not.toHaveProperty(['bcachefs.compression'])
    set(inner, 'compression', 'gzip')
    expect(shown(fs, inner)).toMatchObject({ 'bcachefs.compression': 'gzip' })
    fs.removeAttribute(inner, 'bcachefs.compression')
    expect(shown(fs, inner)).toMatchObject({ 'bcachefs_effective.compression': 'lz4' })
    expectError('ENODATA', () => fs.removeAttribute(inner, 'bcachefs.compression'))
    fs.setAttribute(inner, 'bcachefs_effective.compression', encodeUtf8('none'))
    expect(shown(fs, inner)).toMatchObject({ 'bcachefs_effective.compression': 'lz4' })
    set(root, 'compression', 'zstd:3')
    fs.removeAttribute(root, 'bcachefs.compression')
    expect(shown(fs, root)).toEqual({})
  })

  test.each([
    ['compression', 'lzma'],
    ['compression', 'none:3'],
    ['compression', 'zstd:16'],
    ['data_checksum', 'md5'],
    ['data_replicas', '4'],
    ['project', '5'],
    ['foreground_target', 'nowhere'],
    ['journal_flush_delay', '5'],
  ])('%s is not %s', (name, value) => {
    const rig = new Rig()
    expectError('EINVAL', () => rig.fs.setAttribute(rig.root, `bcachefs.${name}`, encodeUtf8(value)))
  })

  test('keep directories and links out of directories with others', () => {
    const rig = new Rig()
    const { fs, root, inode } = rig
    const other = rig.directory('other')
    fs.setAttribute(other, 'bcachefs.compression', encodeUtf8('lz4'))
    rig.directory('directory')
    const file = rig.file('file')
    expectError('EXDEV', () => fs.rename(root, 'directory', other, 'directory'))
    expectError('EXDEV', () => fs.link(file, other, 'link', inode))
    rig.file('inside', other)
    expectError('EXDEV', () => fs.rename(other, 'inside', root, 'directory', { exchange: true }))
    fs.rename(root, 'file', other, 'file')
    expect(shown(fs, file)).toMatchObject({ 'bcachefs_effective.compression': 'lz4' })
  })
})

const TOP = 0xffffffff

/** The version of an inode in the first snapshot has lost its name, as it might have before others were taken while somebody used it. */
function orphanAbove(db: Database, ref: Readonly<NodeRef>, inode: Inode): void {
  const key = new Key()
  db.write((updates) => {
    expect(updates.get(BtreeId.inodes, bpos(0, ref.inodeLo, TOP), key)).toBe(true)
    expect(inode.decode(key)).toBeUndefined()
    inode.flagsWord |= InodeFlag.unlinked
    updates.remove(BtreeId.dirents, bpos(inode.dirLo, u64(inode.dirOffsetHi, inode.dirOffsetLo), TOP))
    inode.fields.fill(0, 2 * Field.dir, 2 * Field.dirOffset + 2)
    storeInode(updates, inode)
  })
}

function typeAt(db: Database, pos: Bpos): number {
  const cursor = db.cursor(BtreeId.inodes)
  return cursor.seek(pos) && cursor.key.offset === pos[1] && cursor.key.snapshot === pos[0] ? cursor.key.type : 0
}

describe('subvolumes', () => {
  test('are borders', () => {
    const rig = new Rig()
    const file = rig.file('file')
    rig.directory('directory')
    rig.snapshot(2, 'snapshot')
    rig.snapshot(3, 'frozen', { readOnly: true })
    const { fs, root, inode } = rig
    const other = fs.resolve('snapshot')
    const frozen = fs.resolve('frozen')
    expectError('EXDEV', () => fs.link(file, other, 'x', inode))
    expectError('EXDEV', () => fs.rename(root, 'file', other, 'x'))
    expectError('EXDEV', () => fs.rename(root, 'frozen', other, 'directory'))
    expectError('EBUSY', () => fs.rmdir(root, 'snapshot'))
    expectError('EISDIR', () => fs.unlink(root, 'snapshot'))
    expectError('EBUSY', () => fs.rename(root, 'directory', root, 'snapshot'))
    expectError('EINVAL', () => fs.rename(root, 'snapshot', other, 'x'))
    expectError('EXDEV', () => fs.link(other, root, 'x', inode))
    const calls: (() => void)[] = [
      () => void rig.file('x', frozen),
      () => void rig.link('x', 'y', frozen),
      () => void rig.link('x', 'y'.repeat(2000), frozen),
      () => fs.unlink(frozen, 'file'),
      () => fs.rmdir(frozen, 'directory'),
      () => fs.rename(frozen, 'file', frozen, 'x'),
      () => fs.rename(root, 'snapshot', frozen, 'x'),
      () => fs.setattr(frozen, { mode: 0o700 }, inode),
      () => fs.setAttribute(frozen, 'user.x', new Uint8Array(1)),
      () => fs.write(fs.resolve('frozen/file'), 0, new Uint8Array(1)),
      () => fs.setattr(fs.resolve('frozen/file'), { size: 1 }, inode),
      () => fs.tmpfile(frozen, 0o600, ROOT, new NodeRef(), inode),
    ]
    for (const call of calls) expectError('EROFS', call)
  })

  test('can be moved, also those that are read only, and from one to another', () => {
    const rig = new Rig()
    rig.directory('directory')
    rig.snapshot(2, 'two')
    rig.file('in-two', rig.fs.resolve('two'))
    rig.snapshot(3, 'three', { source: 2 })
    rig.snapshot(4, 'four', { readOnly: true })
    const { fs, root } = rig
    fs.rename(root, 'two', fs.resolve('directory'), 'second')
    fs.rename(root, 'three', fs.resolve('directory/second'), 'third')
    fs.rename(root, 'four', root, 'fourth')
    fs.rename(fs.resolve('directory'), 'second', root, 'fourth', { exchange: true })
    expect(rig.names()).toEqual(['directory', 'fourth', 'lost+found'])
    expect(rig.names(fs.resolve('fourth'))).toEqual(['directory', 'in-two', 'lost+found', 'third'])
    expect(fs.resolve('fourth/third').subvolume).toBe(3)
    expect(fs.resolve('directory/second').subvolume).toBe(4)
    const parents = Object.fromEntries(fs.listSubvolumes().map(({ id, pathParent }) => [id, pathParent]))
    expect(parents).toEqual({ 1: 0, 2: 1, 3: 2, 4: 1 })
    expect(decodeUtf8(fs.pathOf(NodeRef.of(3, 0, 4096)) ?? new Uint8Array(0))).toBe('fourth/third')
  })

  test('can be moved where older snapshots have their names', () => {
    const rig = new Rig()
    rig.directory('directory')
    for (const [id, name] of ['two', 'three', 'four'].entries()) rig.snapshot(id + 2, name)
    rig.snapshot(5, 'five')
    const { fs, root } = rig
    const { numberLo } = rig.attributesOf(fs.resolve('directory'))
    fs.rename(root, 'two', root, 'directory', { exchange: true })
    fs.rename(root, 'three', fs.resolve('two'), 'third')
    fs.rename(fs.resolve('two'), 'third', root, 'four', { exchange: true })
    expect(rig.names()).toEqual(['directory', 'five', 'four', 'lost+found', 'two'])
    expect(['directory', 'four', 'two/third', 'five'].map((path) => fs.resolve(path).subvolume)).toEqual([2, 3, 4, 5])
    expect(fs.resolve('two').inodeLo).toBe(numberLo)
    expect(rig.names(fs.resolve('five'))).toEqual(['directory', 'lost+found'])
  })

  test('what a snapshot was kept for goes with it', () => {
    const rig = new Rig()
    rig.file('x')
    rig.snapshot(2, 'two')
    const { fs, db, root, inode } = rig
    const ref = fs.resolve('x')
    fs.rename(root, 'x', root, 'y')
    fs.unlink(fs.resolve('two'), 'x')
    orphanAbove(db, ref, inode)
    fs.hold(ref)
    fs.unlink(root, 'y')
    const pos = bpos(0, ref.inodeLo, TOP)
    expect(typeAt(db, pos)).toBe(INODE_V3)
    fs.forget(ref)
    expect(typeAt(db, pos)).toBe(INODE_GENERATION)
  })

  test('and at once if nobody uses it', () => {
    const rig = new Rig()
    rig.file('x')
    rig.snapshot(2, 'two')
    const { fs, db, root, inode } = rig
    const ref = fs.resolve('x')
    fs.rename(root, 'x', root, 'y')
    fs.unlink(fs.resolve('two'), 'x')
    orphanAbove(db, ref, inode)
    fs.unlink(root, 'y')
    expect(typeAt(db, bpos(0, ref.inodeLo, TOP))).toBe(INODE_GENERATION)
  })

  test('a directory of which only a foreign subvolume is left is empty', () => {
    const rig = new Rig()
    rig.directory('directory')
    rig.snapshot(2, 'two')
    rig.fs.rename(rig.root, 'two', rig.fs.resolve('directory'), 'two')
    rig.snapshot(3, 'three')
    const { fs } = rig
    expectError('ENOTEMPTY', () => fs.rmdir(fs.root, 'directory'))
    const third = fs.resolve('three')
    expect(rig.names(fs.resolve('three/directory'))).toEqual([])
    rig.file('two', fs.resolve('three/directory'))
    fs.unlink(fs.resolve('three/directory'), 'two')
    fs.rmdir(third, 'directory')
    expect(fs.resolve('directory/two').subvolume).toBe(2)
  })

  test('one can be shown by itself, by its number or its path', () => {
    const rig = new Rig()
    rig.file('file')
    rig.snapshot(2, 'two')
    rig.reopen(2)
    rig.file('another')
    rig.fs.close()
    const device = writableMemoryStore(rig.disk, 'disk')
    const random = (target: Uint8Array): void => void target.fill(1)
    rig.fs = openWritableFileSystem([device], { codecs, random, subvolume: 'two' })
    expect(rig.names()).toEqual(['another', 'file', 'lost+found'])
  })
})

describe('directories of any size', () => {
  test('calls look at no more than a few keys', () => {
    const rig = new Rig()
    const { fs } = rig
    const directory = rig.directory('directory')
    let peeks = 0
    const original = rig.db.write.bind(rig.db)
    const counted = (call: () => void): number => {
      const spy = vi.spyOn(rig.db, 'write').mockImplementation((change, options) =>
        original((tx) => {
          const peek = vi.spyOn(tx, 'peek')
          try {
            change(tx)
          } finally {
            peeks += peek.mock.calls.length
            peek.mockRestore()
          }
        }, options),
      )
      peeks = 0
      call()
      spy.mockRestore()
      return peeks
    }
    const calls = (): number[] => [
      counted(() => void rig.file('x', directory)),
      counted(() => fs.rename(directory, 'x', directory, 'y')),
      counted(() => fs.unlink(directory, 'y')),
      counted(() => expectError('ENOTEMPTY', () => fs.rmdir(fs.root, 'directory'))),
    ]
    rig.file('first', directory)
    const few = calls()
    for (let i = 0; i < 5000; i++) rig.file(`${i}`, directory)
    const many = calls()
    expect(many).toEqual(few)
    for (let i = 0; i < 5000; i++) fs.unlink(directory, `${i}`)
    expect(calls()).toEqual(few)
  })
})

test('a full volume can be emptied', { timeout: 120_000 }, () => {
  const rig = new Rig({ bytes: 24 << 20 })
  const { fs, root } = rig
  const value = new Uint8Array(1900)
  let count = 0
  expectError('ENOSPC', () => {
    for (; ; count++) fs.setAttribute(rig.file(`${count}`), 'user.x', value)
  })
  expect(count).toBeGreaterThan(1000)
  fs.sync()
  for (const name of rig.names()) if (name !== 'lost+found') fs.unlink(root, name)
  expect(rig.names()).toEqual(['lost+found'])
  rig.file('again')
})

test('a subvolume that is not there is refused, and nothing stays open', async () => {
  const disk = blankDisk()
  for (const [subvolume, code] of [
    [7, 'ENOENT'],
    ['x', 'ENOENT'],
    ['lost+found', 'EINVAL'],
  ] as const) {
    const device = writableMemoryStore(disk, 'disk')
    const closed = vi.spyOn(device, 'close')
    expectError(code, () => void openWritableFileSystem([device], { codecs, random: () => undefined, subvolume }))
    expect(closed).toHaveBeenCalled()
  }
  await judge(disk, true)
})

test('after a failure of its device the filesystem is read only, and can be closed', () => {
  const disk = blankDisk()
  const store = writableMemoryStore(disk, 'disk')
  let isBroken = false
  const device = new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      if (isBroken && name !== 'close' && name !== 'read') {
        return () => {
          throw Object.assign(new Error('broken'), { code: 'EIO' })
        }
      }
      return value.bind(target) as unknown
    },
  })
  const random = (target: Uint8Array): void => void target.fill(1)
  const fs = openWritableFileSystem([device], { codecs, random })
  const ref = new NodeRef()
  fs.create(fs.root, 'file', 0o644, ROOT, ref, fs.newInode())
  fs.hold(ref)
  fs.unlink(fs.root, 'file')
  isBroken = true
  expect(() => fs.sync()).toThrow()
  expectError('EROFS', () => fs.mkdir(fs.root, 'x', 0o755, ROOT, ref, fs.newInode()))
  fs.forget(ref)
  fs.close()
})
