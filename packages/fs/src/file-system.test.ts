import { describe, expect, test } from 'vitest'
import { BtreeId } from '@cowherd/db'
import { decodeUtf8, encodeUtf8 } from '@cowherd/kernel-lib'
import { FIRST_NAME } from './directory.ts'
import { openFileSystem } from './file-system.ts'
import type { FileSystem } from './file-system.ts'
import { NodeRef } from './node-ref.ts'
import { MemoryVolume, TOP, homeOffset } from './testing/memory-volume.ts'
import { inodeValue } from './testing/keys.ts'
import { walk } from './walk.ts'

const ROOT = 4096
const ENOENT = expect.objectContaining({ code: 'ENOENT' }) as Error
const ENOTDIR = expect.objectContaining({ code: 'ENOTDIR' }) as Error
const ELOOP = expect.objectContaining({ code: 'ELOOP' }) as Error

function emptyVolume(strHash = 3): MemoryVolume {
  return new MemoryVolume().putSubvolume(1, TOP, ROOT).putInode(ROOT, { mode: 0o40755, strHash, subvol: 1 })
}

function names(fs: FileSystem, directory: Readonly<NodeRef> = fs.root): string[] {
  const reader = fs.openDirectory(directory)
  const found: string[] = []
  for (let more = reader.seek(0, 0); more; more = reader.next()) found.push(decodeUtf8(reader.name))
  return found
}

function lookup(fs: FileSystem, name: string, directory: Readonly<NodeRef> = fs.root): number | undefined {
  const target = new NodeRef()
  return fs.lookup(directory, name, target) ? target.inodeLo : undefined
}

describe('names', () => {
  test('a name is found at its home offset, and behind it while offsets are taken', () => {
    const volume = emptyVolume()
    const home = volume.putName(ROOT, 'here', 5000)
    volume.putName(ROOT, 'displaced', 5001, { shift: 3 })
    const displaced = homeOffset('displaced', 3)
    volume.put(BtreeId.dirents, { type: 4, inode: ROOT, offset: displaced, snapshot: TOP })
    volume.put(BtreeId.dirents, { type: 4, inode: ROOT, offset: displaced + 1n, snapshot: TOP })
    volume.put(BtreeId.dirents, { type: 4, inode: ROOT, offset: displaced + 2n, snapshot: TOP })
    volume.putName(ROOT, 'beyond a gap', 5002, { shift: 1 })
    const fs = openFileSystem(volume)
    expect(home).toBe(homeOffset('here', 3))
    expect(lookup(fs, 'here')).toBe(5000)
    expect(lookup(fs, 'displaced')).toBe(5001)
    expect(lookup(fs, 'beyond a gap')).toBe(undefined)
    expect(lookup(fs, 'nothing')).toBe(undefined)
    expect(names(fs).sort()).toEqual(['.', '..', 'beyond a gap', 'displaced', 'here'])
  })

  test('long names, and directories that are none', () => {
    const volume = emptyVolume().putInode(5000, {})
    volume.putName(ROOT, 'file', 5000)
    const fs = openFileSystem(volume)
    expect(() => lookup(fs, 'x'.repeat(513))).toThrow(expect.objectContaining({ code: 'ENAMETOOLONG' }) as Error)
    expect(lookup(fs, 'x'.repeat(512))).toBe(undefined)
    expect(() => lookup(fs, 'x', NodeRef.of(1, 0, 5000))).toThrow(ENOTDIR)
    expect(() => lookup(fs, 'x', NodeRef.of(1, 0, 5001))).toThrow(ENOENT)
  })

  test('reading a directory goes on from any offset', () => {
    const volume = emptyVolume(0)
    for (let i = 0; i < 20; i++) volume.putName(ROOT, `name ${i}`, 5000 + i, { strHash: 0 })
    const fs = openFileSystem(volume)
    const all = names(fs)
    expect(all.slice(0, 2)).toEqual(['.', '..'])
    const inPieces: string[] = []
    let [hi, lo] = [0, 0]
    for (;;) {
      const reader = fs.openDirectory(fs.root)
      if (!reader.seek(hi, lo)) break
      inPieces.push(decodeUtf8(reader.name))
      hi = reader.nextOffsetHi
      lo = reader.nextOffsetLo
    }
    expect(inPieces).toEqual(all)
  })
})

/** Subvolume 1 with subvolume 2 in it, and snapshot 3 of subvolume 1. */
function nestedVolume(): MemoryVolume {
  const volume = new MemoryVolume()
  const [first, snapshot, current] = [TOP, TOP - 2, TOP - 3]
  volume.parents
    .set(TOP - 1, 0)
    .set(snapshot, first)
    .set(current, first)
  volume
    .putSubvolume(1, current, ROOT)
    .putSubvolume(2, TOP - 1, 6000)
    .putSubvolume(3, snapshot, ROOT)
    .putInode(ROOT, { mode: 0o40755, subvol: 1 }, first)
    .putInode(
      ROOT,
      { mode: 0o40755, subvol: 3, parentSubvol: 1, dir: ROOT, dirOffset: homeOffset('snap', 3) },
      snapshot,
    )
    .putInode(6000, { mode: 0o40755, subvol: 2, parentSubvol: 1, dir: ROOT, dirOffset: homeOffset('vol', 3) }, TOP - 1)
    .putInode(5000, { mode: 0o100644, size: 1n, dir: ROOT, dirOffset: homeOffset('file', 3) }, first)
    .putInode(5000, { mode: 0o100644, size: 2n, dir: ROOT, dirOffset: homeOffset('file', 3) }, current)
    .putInode(5001, { mode: 0o40755, dir: 6000, dirOffset: homeOffset('below', 3) }, TOP - 1)
    .put(BtreeId.inodes, { type: 9, offset: 5002, snapshot: current, value: '0100000000000000' })
    .putInode(5002, { mode: 0o100644 }, first)
  volume.putName(ROOT, 'file', 5000, { snapshot: first })
  volume.putName(ROOT, 'gone', 5002, { snapshot: first })
  volume.put(BtreeId.dirents, { type: 1, inode: ROOT, offset: homeOffset('gone', 3), snapshot: current })
  volume.putName(ROOT, 'vol', { child: 2, parent: 1 }, { snapshot: first })
  volume.putName(ROOT, 'snap', { child: 3, parent: 1 }, { snapshot: current })
  volume.putName(6000, 'below', 5001, { type: 4, snapshot: TOP - 1 })
  return volume
}

describe('subvolumes', () => {
  test('each sees its own versions', () => {
    const fs = openFileSystem(nestedVolume())
    const size = (path: string): number => {
      const inode = fs.newInode()
      fs.getattr(fs.resolve(path), inode)
      return inode.size
    }
    expect(size('file')).toBe(2)
    expect(size('snap/file')).toBe(1)
    expect(names(fs).sort()).toEqual(['.', '..', 'file', 'snap', 'vol'])
    expect(names(fs, fs.resolve('snap')).sort()).toEqual(['.', '..', 'file', 'gone'])
    expect(() => fs.resolve('gone')).toThrow(ENOENT)
    expect(() => fs.resolve('snap/vol')).toThrow(ENOENT)
    expect(fs.resolve('snap/gone')).toEqual(NodeRef.of(3, 0, 5002))
  })

  test('an inode number that has only its generation left is no file', () => {
    const fs = openFileSystem(nestedVolume())
    expect(() => fs.getattr(NodeRef.of(1, 0, 5002), fs.newInode())).toThrow(ENOENT)
    fs.getattr(NodeRef.of(3, 0, 5002), fs.newInode())
  })

  test('their names lead to their roots, and back', () => {
    const fs = openFileSystem(nestedVolume())
    const below = fs.resolve('vol/below')
    expect(below).toEqual(NodeRef.of(2, 0, 5001))
    const reader = fs.openDirectory(fs.root)
    for (let more = reader.seek(0, FIRST_NAME); more; more = reader.next()) {
      if (decodeUtf8(reader.name) !== 'vol') continue
      expect(reader.target).toEqual(NodeRef.of(2, 0, 6000))
      expect(reader.type).toBe(4)
    }
    const parent = new NodeRef()
    fs.parentOf(below, parent)
    expect(parent).toEqual(NodeRef.of(2, 0, 6000))
    fs.parentOf(parent, parent)
    expect(parent).toEqual(NodeRef.of(1, 0, ROOT))
    fs.parentOf(parent, parent)
    expect(parent).toEqual(NodeRef.of(1, 0, ROOT))
    for (const path of ['', 'file', 'vol', 'vol/below', 'snap']) {
      expect(decodeUtf8(fs.pathOf(fs.resolve(path)) ?? encodeUtf8('?'))).toBe(path)
    }
    expect(fs.resolve('vol/below/../../file')).toEqual(fs.resolve('file'))
  })

  test('one is opened by number or path', () => {
    const volume = nestedVolume()
    expect(names(openFileSystem(volume, { subvolume: 2 }))).toEqual(['.', '..', 'below'])
    expect(names(openFileSystem(volume, { subvolume: 'vol' }))).toEqual(['.', '..', 'below'])
    expect(openFileSystem(volume, { subvolume: 2 }).resolve('../..')).toEqual(NodeRef.of(2, 0, 6000))
    expect(() => openFileSystem(volume, { subvolume: 9 })).toThrow(ENOENT)
    expect(() => openFileSystem(volume, { subvolume: 'vol/below' })).toThrow('not the root of a subvolume')
    expect(
      openFileSystem(volume)
        .listSubvolumes()
        .map(({ id }) => id),
    ).toEqual([1, 2, 3])
  })

  test('volumes from before there were any', () => {
    const volume = new MemoryVolume().putInode(ROOT, { mode: 0o40755 }).putInode(5000, {})
    volume.putName(ROOT, 'file', 5000)
    const fs = openFileSystem(volume)
    expect(names(fs)).toEqual(['.', '..', 'file'])
    expect(fs.listSubvolumes()).toHaveLength(1)
  })

  test('a name of a missing subvolume is listed and leads nowhere', () => {
    const volume = emptyVolume()
    volume.putName(ROOT, 'lost', { child: 7, parent: 1 })
    const fs = openFileSystem(volume)
    expect(names(fs)).toEqual(['.', '..', 'lost'])
    expect(() => fs.resolve('lost')).toThrow(ENOENT)
    const failures: string[] = []
    walk(fs, { visit: () => undefined, fail: (path) => failures.push(decodeUtf8(path)) })
    expect(failures).toEqual(['lost'])
  })
})

describe('paths', () => {
  function linked(links: Record<string, string>): FileSystem {
    const volume = emptyVolume()
      .putInode(5000, { mode: 0o40755, dir: ROOT, dirOffset: homeOffset('dir', 3) })
      .putInode(5001, { mode: 0o100644, dir: 5000, dirOffset: homeOffset('file', 3) })
    volume.putName(ROOT, 'dir', 5000, { type: 4 })
    volume.putName(5000, 'file', 5001)
    Object.entries(links).forEach(([path, target], i) => {
      const [directory, name] = path.startsWith('dir/') ? [5000, path.slice(4)] : [ROOT, path]
      const bytes = encodeUtf8(target)
      volume.putName(directory, name, 5100 + i, { type: 10 })
      volume.putInode(5100 + i, { mode: 0o120777, size: BigInt(bytes.length) })
      volume.put(BtreeId.extents, { type: 17, inode: 5100 + i, offset: 8, snapshot: TOP, size: 8, value: bytes })
    })
    return openFileSystem(volume)
  }

  test('links are followed, the last one on demand', () => {
    const fs = linked({ relative: 'dir/file', 'dir/up': '../dir/file', 'dir/absolute': '/dir/file', 'dir/here': '.' })
    for (const path of ['dir/file', 'relative', 'dir/up', 'dir/absolute', '/dir//./file', 'dir/here/here/up']) {
      expect(fs.resolve(path).inodeLo, path).toBe(5001)
    }
    expect(fs.resolve('relative', { followLast: false }).inodeLo).toBe(5100)
    expect(decodeUtf8(fs.readlink(fs.resolve('relative', { followLast: false })))).toBe('dir/file')
    expect(fs.resolve('up', { from: fs.resolve('dir') }).inodeLo).toBe(5001)
    expect(fs.resolve('../dir/file', { from: fs.resolve('dir') }).inodeLo).toBe(5001)
    expect(fs.resolve('')).toEqual(fs.root)
    expect(fs.resolve('../../..')).toEqual(fs.root)
  })

  test('circles and dead ends', () => {
    const chain = Object.fromEntries(Array.from({ length: 41 }, (_, i) => [`l${i}`, i === 0 ? 'dir' : `l${i - 1}`]))
    const fs = linked({ a: 'b', b: 'a', dead: 'nowhere', ...chain })
    expect(() => fs.resolve('a')).toThrow(ELOOP)
    expect(() => fs.resolve('dead')).toThrow(ENOENT)
    expect(fs.resolve('l39').inodeLo).toBe(5000)
    expect(() => fs.resolve('l40')).toThrow(ELOOP)
    expect(() => fs.resolve('dir/file/x')).toThrow(ENOTDIR)
    expect(() => fs.resolve('dir/file/')).toThrow(ENOTDIR)
    expect(() => fs.resolve('dir/file/..')).toThrow(ENOTDIR)
    expect(() => fs.readlink(fs.root)).toThrow('not a symbolic link')
  })
})

describe('attributes', () => {
  const attribute = (name: string): Uint8Array => encodeUtf8(name)

  test('found, listed, and ACLs as Linux shows them', () => {
    const volume = emptyVolume(0).putInode(5000, { strHash: 0 })
    // user.foo = "bar value" at its crc32c hash for seed 0, then an ACL
    const at = { inode: 5000, snapshot: TOP, type: 11 }
    const fs = openFileSystem(volume)
    volume.put(BtreeId.xattrs, { ...at, offset: 3, value: '01 00 0c00 | 01000000 | 0100 0700 | 2000 0100' })
    expect(fs.listAttributes(NodeRef.of(1, 0, 5000))).toEqual([])
    const [found] = openFileSystem(volume).listAttributes(NodeRef.of(1, 0, 5000))
    expect(decodeUtf8(found.name)).toBe('system.posix_acl_access')
    expect(Buffer.from(found.value).toString('hex')).toBe('02000000' + '01000700ffffffff' + '20000100ffffffff')
    for (const name of ['user.foo', 'user.', 'nothing', 'system.posix_acl_access2', '', 'user.' + 'x'.repeat(300)]) {
      expect(openFileSystem(volume).getAttribute(NodeRef.of(1, 0, 5000), attribute(name)), name).toBe(undefined)
    }
  })

  test('a malformed ACL is damage', () => {
    const volume = emptyVolume().putInode(5000, {})
    volume.put(BtreeId.xattrs, { type: 11, inode: 5000, snapshot: TOP, offset: 3, value: '01 00 0400 | 02000000' })
    expect(() => openFileSystem(volume).listAttributes(NodeRef.of(1, 0, 5000))).toThrow('malformed access control')
  })

  test('options', () => {
    const volume = emptyVolume().putInode(5000, { compression: 0x93 + 1, dataReplicas: 3, fieldsSet: 2, nocow: 1 })
    const found: string[] = []
    openFileSystem(volume).forEachOptionAttribute(NodeRef.of(1, 0, 5000), (name, value) =>
      found.push(`${name}=${value}`),
    )
    expect(found).toEqual([
      'bcachefs.compression=zstd:9',
      'bcachefs_effective.compression=zstd:9',
      'bcachefs_effective.data_replicas=2',
      'bcachefs_effective.nocow=0',
    ])
  })
})

test('inodes of the older versions', () => {
  const fields = { mode: 0o100600, uid: 7, size: 77n, sectors: 8n, nlink: 1 }
  const at = { inode: 0, snapshot: TOP }
  const volume = emptyVolume()
    .put(BtreeId.inodes, { ...at, type: 8, offset: 5001, value: inodeValue(1, fields, 'old') })
    .put(BtreeId.inodes, { ...at, type: 8, offset: 5002, value: inodeValue(1, fields) })
    .put(BtreeId.inodes, { ...at, type: 23, offset: 5003, value: inodeValue(2, fields) })
  const fs = openFileSystem(volume)
  const inode = fs.newInode()
  for (const number of [5001, 5002, 5003]) {
    fs.getattr(NodeRef.of(1, 0, number), inode)
    expect([inode.mode, inode.uid, inode.size, inode.sectors, inode.linkCount]).toEqual([0o100600, 7, 77, 8, 2])
    expect(fs.open(NodeRef.of(1, 0, number)).size).toBe(77)
  }
})

describe('walking', () => {
  test('depth first, by the bytes of the names', () => {
    const volume = emptyVolume()
      .putInode(5000, { mode: 0o40755, dir: ROOT, dirOffset: homeOffset('b', 3) })
      .putInode(5001, { nlink: 1 })
    volume.putName(ROOT, 'b', 5000, { type: 4 })
    volume.putName(ROOT, 'b!', 5001)
    volume.putName(ROOT, 'a', 5001)
    volume.putName(ROOT, 'é', 5002)
    volume.putName(5000, 'z', 5001)
    const seen: string[] = []
    walk(openFileSystem(volume), {
      visit: ({ path, depth }) => void seen.push(`${'  '.repeat(depth)}${decodeUtf8(path)}`),
      leave: ({ path }) => void seen.push(`end of ${decodeUtf8(path)}`),
      fail: (path, error) => seen.push(`${decodeUtf8(path)}: ${error.code}`),
    })
    expect(seen).toEqual(['', '  a', '  b', '    b/z', 'end of b', '  b!', 'é: ENOENT', 'end of '])
  })

  test('directories in a circle, and with many names, end', () => {
    const volume = emptyVolume()
    volume.putName(ROOT, 'd0', 5000, { type: 4 })
    for (let i = 0; i < 30; i++) {
      // Two names each, and neither is the one pointed back to.
      volume.putInode(5000 + i, { mode: 0o40755, dir: 4999, dirOffset: 77 })
      volume.putName(5000 + i, 'left', 5001 + i, { type: 4 })
      volume.putName(5000 + i, 'right', 5001 + i, { type: 4 })
    }
    volume.putInode(5030, { mode: 0o40755, dir: 5030, dirOffset: homeOffset('self', 3) })
    volume.putName(5030, 'self', 5030, { type: 4 })
    let [visits, failures] = [0, 0]
    walk(openFileSystem(volume), { visit: () => void visits++, fail: () => failures++ })
    expect(visits).toBe(63)
    expect(failures).toBe(31)
  })
})
