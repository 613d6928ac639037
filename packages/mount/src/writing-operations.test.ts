/** What the kernel asks of a volume that is written, answered over a real one in memory. */

import { ROOT_NODE, WriteFlag } from '@cowherd/fuse'
import { VolumeError } from '@cowherd/db'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { bytes, MemoryMount } from './testing/memory-mount.ts'

const O_EXCL = 0o200
const O_TRUNC = 0o1000
const S_IFREG = 0o100000

let mount: MemoryMount
beforeEach(() => {
  mount = new MemoryMount()
})

const error = (value: string) => ({ kind: 'error', value })

describe('making things', () => {
  test('a file: its node, its attributes, and its name', () => {
    const made = mount.ask((to, request) => to.create(request, ROOT_NODE, bytes('a'), 0, S_IFREG | 0o666, 0o27), {
      uid: 7,
      gid: 8,
    })
    expect(made).toMatchObject({ kind: 'created', attributes: { mode: S_IFREG | 0o640, uid: 7, gid: 8, nlink: 1 } })
    expect(mount.lookup('a')).toMatchObject({ kind: 'entry', value: made.value })
    expect(mount.getattr(ROOT_NODE).attributes?.mtimeSeconds).toBeGreaterThan(0)
  })

  test('what may be done with it: all, but to execute what nobody may', () => {
    const node = mount.file('a')
    const may = (of: number, mask: number) => mount.ask((to, request) => to.access(request, of, mask))
    expect([0, 2, 4, 6].map((mask) => may(node, mask).kind)).toEqual(['ok', 'ok', 'ok', 'ok'])
    expect([1, 7].map((mask) => may(node, mask))).toEqual([error('EACCES'), error('EACCES')])
    mount.setattr(node, ['mode'], { mode: S_IFREG | 0o604 | 0o010 })
    expect([may(node, 1).kind, may(mount.directory('d'), 7).kind, may(1000, 0)]).toEqual(['ok', 'ok', error('ESTALE')])
  })

  test('a file that is there: EEXIST if it must not be, else it is opened', () => {
    const node = mount.file('a')
    const again = (flags: number, name = 'a') =>
      mount.ask((to, request) => to.create(request, ROOT_NODE, bytes(name), flags, S_IFREG | 0o600, 0))
    expect(again(O_EXCL)).toEqual(error('EEXIST'))
    expect(again(0)).toMatchObject({ kind: 'created', value: node, attributes: { mode: S_IFREG | 0o644 } })
    mount.directory('d')
    expect(again(0, 'd')).toEqual(error('EEXIST'))
  })

  test('directories, nodes of all kinds, links', () => {
    mount.directory('d')
    expect(mount.getattr(ROOT_NODE).attributes?.nlink).toBe(4) // lost+found is another
    const kinds = [
      [0o010600, 0, 0],
      [0o140600, 0, 0],
      [0o020600, 5, 1],
      [0o060600, 0xfff, 0xf_ffff],
      [0o100600, 0, 0],
    ] as const
    for (const [mode, major, minor] of kinds) {
      const name = bytes(`node-${mode}`)
      const made = mount.ask((to, request) => to.mknod(request, ROOT_NODE, name, mode, major, minor, 0))
      expect(made).toMatchObject({ kind: 'entry', attributes: { mode, rdevMajor: major, rdevMinor: minor } })
    }
    const link = mount.make((to, request) => to.symlink(request, ROOT_NODE, bytes('s'), bytes('../target')))
    expect(mount.getattr(link).attributes?.mode).toBe(0o120777)
    const target = mount.ask((to, request) => to.readlink(request, link)).bytes
    expect(new TextDecoder().decode(target)).toBe('../target')
    const file = mount.file('file')
    const second = mount.ask((to, request) => to.link(request, file, ROOT_NODE, bytes('second')))
    expect(second).toMatchObject({ kind: 'entry', value: file, attributes: { nlink: 2 } })
    expect(mount.ask((to, request) => to.link(request, file, ROOT_NODE, bytes('d')))).toEqual(error('EEXIST'))
  })

  test('an answer that nobody waits for gives no lookup away', () => {
    const made = mount.ask((to, request) => to.mkdir(request, ROOT_NODE, bytes('d'), 0o755, 0), { isAwaited: false })
    expect(mount.nodes.has(Number(made.value))).toBe(false)
    expect(mount.lookup('d').kind).toBe('entry')
    const file = mount.file('f', { isAwaited: false })
    expect([mount.nodes.has(file), mount.lookup('f').kind]).toEqual([false, 'entry'])
  })

  test('names that are too long', () => {
    const name = bytes('x'.repeat(256))
    expect(mount.ask((to, request) => to.mkdir(request, ROOT_NODE, name, 0o755, 0))).toEqual(error('ENAMETOOLONG'))
    expect(mount.ask((to, request) => to.unlink(request, ROOT_NODE, name))).toEqual(error('ENAMETOOLONG'))
    mount.file('y'.repeat(255))
  })
})

describe('files without names', () => {
  test('an unlinked file lives until the kernel forgets it', () => {
    const node = mount.file('a')
    const words = mount.wordsOf(node)
    expect(mount.ask((to, request) => to.unlink(request, ROOT_NODE, bytes('a')))).toEqual({ kind: 'ok' })
    expect(mount.getattr(node)).toMatchObject({ kind: 'attributes', attributes: { nlink: 0 } })
    expect(mount.setattr(node, ['mode'], { mode: 0o600 }).attributes?.mode).toBe(S_IFREG | 0o600)
    mount.lookup('a')
    mount.operations.forget(node, 1)
    expect(mount.hasInode(words)).toBe(false)
    expect(mount.getattr(node)).toEqual(error('ESTALE'))
  })

  test('one of several lookups forgotten is not enough', () => {
    const node = mount.file('a')
    mount.lookup('a')
    const words = mount.wordsOf(node)
    mount.ask((to, request) => to.unlink(request, ROOT_NODE, bytes('a')))
    mount.operations.forget(node, 1)
    expect(mount.hasInode(words)).toBe(true)
    mount.operations.forget(node, 1)
    expect(mount.hasInode(words)).toBe(false)
  })

  test('one that the kernel does not know is deleted at once', () => {
    const node = mount.file('a')
    const words = mount.wordsOf(node)
    mount.operations.forget(node, 1)
    mount.ask((to, request) => to.unlink(request, ROOT_NODE, bytes('a')))
    expect(mount.hasInode(words)).toBe(false)
  })

  test('one that has another name stays', () => {
    const node = mount.file('a')
    mount.ask((to, request) => to.link(request, node, ROOT_NODE, bytes('b')))
    mount.ask((to, request) => to.unlink(request, ROOT_NODE, bytes('a')))
    mount.operations.forget(node, 2)
    expect(mount.lookup('b')).toMatchObject({ kind: 'entry', attributes: { nlink: 1 } })
  })

  test('one that was replaced', () => {
    const [old, other] = [mount.file('old'), mount.file('other')]
    const words = mount.wordsOf(old)
    const rename = (flags: number) =>
      mount.ask((to, request) => to.rename(request, ROOT_NODE, bytes('other'), ROOT_NODE, bytes('old'), flags))
    expect(rename(1)).toEqual(error('EEXIST'))
    expect(rename(0)).toEqual({ kind: 'ok' })
    expect(mount.lookup('old').value).toBe(other)
    expect(mount.getattr(old)).toMatchObject({ attributes: { nlink: 0 } })
    mount.operations.forget(old, 1)
    expect(mount.hasInode(words)).toBe(false)
  })

  test('a file made without one, and one that is given a name', () => {
    const tmpfile = (isAwaited = true) =>
      mount.make((to, request) => to.tmpfile(request, ROOT_NODE, 0, S_IFREG | 0o600, 0), { isAwaited })
    const [first, second] = [tmpfile(), tmpfile()]
    const [firstWords, secondWords] = [mount.wordsOf(first), mount.wordsOf(second)]
    expect(mount.getattr(first)).toMatchObject({ attributes: { nlink: 0 } })
    mount.make((to, request) => to.link(request, second, ROOT_NODE, bytes('named')))
    mount.operations.forget(first, 1)
    mount.operations.forget(second, 2)
    expect([mount.hasInode(firstWords), mount.hasInode(secondWords)]).toEqual([false, true])
    const lost = tmpfile(false)
    expect(mount.nodes.has(lost)).toBe(false)
  })

  test('a directory that is removed while somebody is in it', () => {
    const node = mount.directory('d')
    expect(mount.ask((to, request) => to.rmdir(request, ROOT_NODE, bytes('d')))).toEqual({ kind: 'ok' })
    expect(mount.getattr(node)).toMatchObject({ kind: 'attributes', attributes: { nlink: 0 } })
    expect(mount.ask((to, request) => to.mkdir(request, node, bytes('x'), 0o755, 0)).kind).toBe('error')
    mount.operations.forget(node, 1)
    expect(mount.duties).toEqual([])
  })

  test('what is still used at the end is deleted when the volume is closed', () => {
    const words = mount.wordsOf(mount.file('a'))
    mount.ask((to, request) => to.unlink(request, ROOT_NODE, bytes('a')))
    mount.fs.close()
    expect(new MemoryMount(mount.disk).hasInode(words)).toBe(false)
  })
})

describe('renaming', () => {
  const rename = (flags: number, from = 'a', to = 'b') =>
    mount.ask((operations, request) => operations.rename(request, ROOT_NODE, bytes(from), ROOT_NODE, bytes(to), flags))

  test('flags', () => {
    const [a, b] = [mount.file('a'), mount.directory('b')]
    expect(rename(2)).toEqual({ kind: 'ok' })
    expect([mount.lookup('a').value, mount.lookup('b').value]).toEqual([b, a])
    expect([3, 4, 5, 8].map((flags) => rename(flags))).toEqual([3, 4, 5, 8].map(() => error('EINVAL')))
    expect(rename(0)).toEqual(error('ENOTDIR'))
    expect(rename(0, 'b', 'a')).toEqual(error('EISDIR'))
    expect(rename(0, 'none')).toEqual(error('ENOENT'))
    expect(rename(1, 'a', 'c')).toEqual({ kind: 'ok' })
  })

  test('a directory has another parent then', () => {
    const [from, to] = [mount.directory('from'), mount.directory('to')]
    const inner = mount.directory('inner', from)
    const parentOf = (node: number): number => {
      const names: number[] = []
      const listing = {
        beginNames: () => undefined,
        addName: (_name: Uint8Array, _hi: number, lo: number) => names.push(lo) > 0,
        sendNames: () => true,
      }
      mount.operations.readdir(listing as never, node, 0, 0, 0, 4096)
      return names[1] ?? 0
    }
    expect(parentOf(inner)).toBe(mount.wordsOf(from)[2])
    const moved = mount.ask((operations, request) =>
      operations.rename(request, from, bytes('inner'), to, bytes('moved'), 0),
    )
    expect(moved).toEqual({ kind: 'ok' })
    expect(parentOf(inner)).toBe(mount.wordsOf(to)[2])
    const intoItself = mount.ask((operations, request) =>
      operations.rename(request, ROOT_NODE, bytes('to'), inner, bytes('to'), 0),
    )
    expect(intoItself).toEqual(error('EINVAL'))
  })
})

describe('attributes', () => {
  test('what is asked for is changed, and nothing else', () => {
    const node = mount.file('a', { uid: 1, gid: 2 })
    expect(mount.setattr(node, ['mode'], { mode: 0o107777, uid: 9 }).attributes).toMatchObject({
      ...{ mode: 0o107777, uid: 1, gid: 2 },
    })
    expect(mount.setattr(node, ['uid'], { uid: 0xffff_fffe }).attributes).toMatchObject({
      ...{ mode: 0o101777, uid: 0xffff_fffe, gid: 2 }, // set-user-id goes with chown(2), and set-group-id of programs
    })
    const times = { atimeSeconds: -5, atimeNanoseconds: 1, mtimeSeconds: 2 ** 33, mtimeNanoseconds: 999_999_999 }
    const after = mount.setattr(node, ['atime', 'mtime', 'ctime'], { ...times, ctimeSeconds: 77, ctimeNanoseconds: 5 })
    expect(after.attributes).toMatchObject({ ...times, ctimeSeconds: 77, ctimeNanoseconds: 5 })
  })

  test('now is now', () => {
    const node = mount.file('a')
    mount.setattr(node, ['atime', 'mtime'], {})
    const before = Date.now() / 1000 - 1
    const { attributes } = mount.setattr(node, ['atime', 'atimeNow', 'mtime', 'mtimeNow'])
    expect(attributes?.atimeSeconds).toBeGreaterThan(before)
    expect(attributes?.mtimeSeconds).toBeGreaterThan(before)
  })

  test('rights beyond the user end when the kernel says so', () => {
    const node = mount.file('a', { mode: 0o6755 })
    expect(mount.setattr(node, ['killSuidgid']).attributes?.mode).toBe(S_IFREG | 0o755)
    const other = mount.file('b', { mode: 0o4755 })
    expect(mount.setattr(other, ['handle']).attributes?.mode).toBe(S_IFREG | 0o755)
    const directory = mount.directory('d')
    mount.setattr(directory, ['mode'], { mode: 0o2755 })
    expect(mount.setattr(directory, []).attributes?.mode).toBe(0o042755)
  })

  test('modes that a write may change are asked for each time', () => {
    expect(mount.getattr(mount.file('a')).seconds).toBeGreaterThan(1e6)
    const node = mount.file('b', { mode: 0o4755 })
    expect(mount.getattr(node).seconds).toBe(0)
    expect(mount.setattr(node, ['mode'], { mode: 0o755 }).seconds).toBeGreaterThan(1e6)
    expect(mount.setattr(node, ['mode'], { mode: 0o2755 }).seconds).toBe(0)
    expect(mount.getattr(ROOT_NODE).seconds).toBeGreaterThan(1e6)
  })
})

describe('extended attributes', () => {
  const set = (node: number, name: string, value: string, flags = 0, killsSgid = false) =>
    mount.ask((to, request) => to.setxattr(request, node, bytes(name), bytes(value), flags, killsSgid))
  const get = (node: number, name: string) => mount.ask((to, request) => to.getxattr(request, node, bytes(name), 99))

  test('set, replaced, removed', () => {
    const node = mount.file('a')
    expect(set(node, 'user.a', 'one', 2)).toEqual(error('ENODATA'))
    expect(set(node, 'user.a', 'one', 1)).toEqual({ kind: 'ok' })
    expect(set(node, 'user.a', 'two', 1)).toEqual(error('EEXIST'))
    expect(set(node, 'user.a', 'two', 2)).toEqual({ kind: 'ok' })
    expect(set(node, 'user.a', 'three', 3)).toEqual(error('EINVAL'))
    expect(get(node, 'user.a')).toEqual({ kind: 'data', bytes: bytes('two') })
    const remove = () => mount.ask((to, request) => to.removexattr(request, node, bytes('user.a')))
    expect([remove(), remove()]).toEqual([{ kind: 'ok' }, error('ENODATA')])
    expect(set(node, 'other.a', 'x')).toEqual(error('EOPNOTSUPP'))
    expect(get(node, 'other.a')).toEqual(error('EOPNOTSUPP'))
    expect(get(node, 'bcachefs.none')).toEqual(error('ENODATA'))
  })

  test('with an access control list set-group-id goes, if the kernel says so', () => {
    const node = mount.file('a', { mode: 0o2755 })
    set(node, 'user.a', 'x', 0, false)
    expect(mount.getattr(node).attributes?.mode).toBe(S_IFREG | 0o2755)
    set(node, 'user.a', 'x', 0, true)
    expect(mount.getattr(node).attributes?.mode).toBe(S_IFREG | 0o755)
  })

  test('capabilities go with what is cut off', () => {
    const node = mount.file('a')
    set(node, 'security.capability', 'x')
    mount.setattr(node, ['mode'], { mode: 0o600 })
    expect(get(node, 'security.capability').kind).toBe('data')
    mount.setattr(node, ['size'], { size: 10 })
    expect(get(node, 'security.capability')).toEqual(error('ENODATA'))
  })
})

describe('data', () => {
  const text = (answer: { readonly bytes?: Uint8Array }) => new TextDecoder().decode(answer.bytes)

  test('what is written is read, again and again', () => {
    const node = mount.file('a')
    expect(mount.write(node, 0, bytes('hello'))).toEqual({ kind: 'written', value: 5 })
    expect(text(mount.read(node, 0, 100))).toBe('hello')
    mount.write(node, 4, bytes('p me'), WriteFlag.cache)
    expect(text(mount.read(node, 0, 100))).toBe('hellp me')
    expect(mount.setattr(node, ['size'], { size: 3 }).attributes?.size).toBe(3)
    expect(text(mount.read(node, 0, 100))).toBe('hel')
    mount.setattr(node, ['size'], { size: 5 })
    expect(text(mount.read(node, 0, 100))).toBe('hel\0\0')
  })

  test('the kernel tells the times of what it has kept; of what comes at once it is now', () => {
    const node = mount.file('a')
    const times = { mtimeSeconds: 77, mtimeNanoseconds: 1, ctimeSeconds: 88, ctimeNanoseconds: 2 }
    mount.setattr(node, ['mtime', 'ctime'], times)
    mount.write(node, 0, bytes('x'), WriteFlag.cache)
    expect(mount.getattr(node).attributes).toMatchObject({ ...times, size: 1 })
    mount.write(node, 0, bytes('y'))
    expect(mount.getattr(node).attributes?.mtimeSeconds).toBeGreaterThan(1e9)
  })

  test('blocks that the kernel writes back one by one become one transaction, when something else is asked for', () => {
    const node = mount.file('a')
    const other = mount.file('b')
    const block = (value: number) => new Uint8Array(4096).fill(value)
    mount.write(node, 0, new Uint8Array(40 * 4096).fill(9))
    mount.write(other, 0, new Uint8Array(4 * 4096).fill(9))
    const before = mount.db.changes
    for (const at of [3, 30, 7]) mount.write(node, at * 4096, block(at), WriteFlag.cache)
    expect(mount.db.changes).toBe(before)
    mount.write(node, 7 * 4096, block(77), WriteFlag.cache) // again: the first comes before it
    expect(mount.db.changes).toBe(before + 1)
    mount.write(other, 4096, block(1), WriteFlag.cache)
    expect(mount.db.changes).toBe(before + 2)
    expect([3, 30, 7, 8].map((at) => mount.read(node, at * 4096, 1).bytes?.[0])).toEqual([3, 30, 77, 9])
    expect(mount.read(other, 4096, 1).bytes?.[0]).toBe(1)
    const later = mount.db.changes
    for (let at = 0; at < 40; at++) mount.write(node, at * 4096, block(at), WriteFlag.cache)
    expect(mount.db.changes).toBe(later + 1) // they are not put off without end
    mount.operations.doorbell()
    expect(mount.db.changes).toBe(later + 2)
  })

  test('blocks that are lost on their way to the devices: who brings their file to stable storage hears of it', () => {
    const [node, other] = [mount.file('a'), mount.file('b')]
    mount.write(node, 0, new Uint8Array(8 * 4096).fill(9))
    mount.write(node, 4096, new Uint8Array(4096), WriteFlag.cache)
    const write = vi.spyOn(mount.db, 'write').mockImplementationOnce(() => {
      throw new VolumeError('EIO', 'disk', 'is gone')
    })
    expect(mount.getattr(node).kind).toBe('attributes')
    write.mockRestore()
    expect(mount.duties.at(-1)).toMatch(/^what was written to inode \d+ in subvolume 1 is lost: disk: is gone/)
    const sync = (of: number) => mount.ask((to, request) => to.fsync(request, of)).value
    expect([other, node, node].map(sync)).toEqual([undefined, 'EIO', undefined])
    expect(mount.read(node, 4096, 1).bytes?.[0]).toBe(9)
  })

  test('with a write go capabilities, and set-user-id if the kernel says so', () => {
    const node = mount.file('a', { mode: 0o4755 })
    mount.ask((to, request) => to.setxattr(request, node, bytes('security.capability'), bytes('x'), 0, false))
    mount.write(node, 0, bytes('x'))
    expect(mount.getattr(node).attributes?.mode).toBe(S_IFREG | 0o4755)
    const capability = mount.ask((to, request) => to.getxattr(request, node, bytes('security.capability'), 9))
    expect(capability).toEqual(error('ENODATA'))
    mount.write(node, 0, bytes('y'), WriteFlag.killSuidgid)
    expect(mount.getattr(node).attributes?.mode).toBe(S_IFREG | 0o755)
    // set again after a write, it goes with the next
    mount.ask((to, request) => to.setxattr(request, node, bytes('security.capability'), bytes('x'), 0, false))
    mount.write(node, 0, bytes('z'))
    expect(mount.ask((to, request) => to.listxattr(request, node, 999)).bytes).toEqual(new Uint8Array(0))
  })

  test('room that is set aside, holes, zeros', () => {
    const node = mount.file('a')
    const allocate = (offset: number, length: number, mode: number) =>
      mount.ask((to, request) => to.fallocate(request, node, 0, offset, length, mode))
    expect(allocate(0, 8192, 0)).toEqual({ kind: 'ok' })
    expect(mount.getattr(node).attributes).toMatchObject({ size: 8192, blocks: 16 })
    expect(allocate(8192, 4096, 1)).toEqual({ kind: 'ok' })
    expect(mount.getattr(node).attributes).toMatchObject({ size: 8192, blocks: 24 })
    mount.write(node, 0, bytes('abcdef'))
    expect(allocate(1, 2, 3)).toEqual({ kind: 'ok' })
    expect(allocate(4, 1, 0x10)).toEqual({ kind: 'ok' })
    expect(text(mount.read(node, 0, 6))).toBe('a\0\0d\0f')
    expect([2, 8, 0x20, 0x12, 4].map((mode) => allocate(0, 1, mode))).toEqual(
      [2, 8, 0x20, 0x12, 4].map(() => error('EOPNOTSUPP')),
    )
  })

  test('copied from file to file', () => {
    const [from, to] = [mount.file('from'), mount.file('to')]
    mount.write(from, 0, bytes('abcdefgh'))
    const copied = mount.ask((operations, request) => operations.copyFileRange(request, from, 0, 2, to, 0, 1, 100))
    expect(copied).toEqual({ kind: 'copied', value: 6 })
    expect(text(mount.read(to, 0, 100))).toBe('\0cdefgh')
  })

  test('a file that is opened to be cut', () => {
    const node = mount.file('a')
    mount.write(node, 0, bytes('abc'))
    const again = mount.ask((to, request) => to.create(request, ROOT_NODE, bytes('a'), O_TRUNC, S_IFREG, 0))
    expect(again).toMatchObject({ kind: 'created', value: node, attributes: { size: 0 } })
  })

  test('room on the volume is counted anew each time', () => {
    const freeOf = () => mount.ask((to, request) => to.statfs(request)).room?.freeBlocks ?? 0
    const node = mount.file('a')
    const before = freeOf()
    mount.write(node, 0, new Uint8Array(1 << 20).fill(7))
    expect(before - freeOf()).toBeGreaterThanOrEqual(256)
  })
})

describe('data and holes', () => {
  const BLOCK = 4096
  const [DATA, HOLE] = [3, 4]
  const seek = (node: number, offset: number, whence: number) =>
    mount.ask((to, request) => to.lseek(request, node, 0, offset, whence))
  const at = (value: number) => ({ kind: 'offset', value })

  /** A file of a block of data, a hole of two, and another block of data. */
  function fileWithHole(): number {
    const node = mount.file('a')
    mount.write(node, 0, new Uint8Array(BLOCK).fill(1))
    mount.write(node, 3 * BLOCK, new Uint8Array(BLOCK).fill(2))
    return node
  }

  test('of a file of which the kernel keeps nothing', () => {
    const node = fileWithHole()
    const found = [0, 5, BLOCK, 4 * BLOCK - 1].map((offset) => seek(node, offset, DATA))
    expect(found).toEqual([0, 5, 3 * BLOCK, 4 * BLOCK - 1].map(at))
    expect([0, BLOCK + 5, 3 * BLOCK].map((offset) => seek(node, offset, HOLE))).toEqual([
      ...[BLOCK, BLOCK + 5, 4 * BLOCK].map(at),
    ])
    for (const whence of [DATA, HOLE]) {
      expect([4 * BLOCK, -1].map((offset) => seek(node, offset, whence))).toEqual([error('ENXIO'), error('ENXIO')])
    }
    expect(seek(node, 0, 2)).toEqual(error('EINVAL'))
    expect(seek(1000, 0, DATA)).toEqual(error('ESTALE'))
  })

  test('what the kernel keeps where there seems to be a hole is written back first', () => {
    const node = fileWithHole()
    const asked: [number, number, number][] = []
    mount.writeBack = (of, start, end, then) => {
      asked.push([of, start, end])
      if (start <= BLOCK && end > BLOCK) mount.write(node, BLOCK, new Uint8Array(BLOCK).fill(3), WriteFlag.cache)
      then()
    }
    expect(seek(node, 0, DATA)).toEqual(at(0))
    expect(asked).toEqual([]) // there is no doubt
    expect(seek(node, BLOCK, DATA)).toEqual(at(BLOCK))
    expect(asked).toEqual([[node, BLOCK, 3 * BLOCK]])
    expect(seek(node, 0, HOLE)).toEqual(at(2 * BLOCK))
    expect(asked.slice(1)).toEqual([[node, 2 * BLOCK, 3 * BLOCK]])
  })

  test('behind the end of what we know of', () => {
    const node = fileWithHole()
    let ends = 0
    mount.writeBack = (_of, _start, end, then) => {
      if (end === Infinity && ends++ < 2) mount.write(node, (3 + ends) * BLOCK, new Uint8Array(BLOCK).fill(4))
      then()
    }
    expect(seek(node, 4 * BLOCK, DATA)).toEqual(at(4 * BLOCK))
    expect(seek(node, 3 * BLOCK, HOLE)).toEqual(at(6 * BLOCK))
    expect(seek(node, 6 * BLOCK, HOLE)).toEqual(error('ENXIO'))
  })

  test('an end of it comes although it changes for ever', () => {
    const node = mount.file('a')
    let blocks = 0
    mount.writeBack = (_of, _start, _end, then) => {
      mount.write(node, blocks++ * BLOCK, new Uint8Array(BLOCK).fill(4))
      then()
    }
    expect(seek(node, 0, HOLE).kind).toBe('offset')
    expect(blocks).toBeLessThan(20)
  })

  test('a file that was damaged meanwhile: the caller gets the error', () => {
    const node = fileWithHole()
    mount.writeBack = (_of, _start, _end, then) => {
      mount.operations.forget(node, 1) // as if there were none any more
      mount.ask((to, request) => to.unlink(request, ROOT_NODE, bytes('a')))
      then()
    }
    expect(seek(node, BLOCK, DATA)).toEqual(error('ENOENT'))
  })
})

describe('times of access', () => {
  const atimeOf = (node: number): number => mount.getattr(node).attributes?.atimeSeconds ?? 0
  const age = (node: number, seconds: number): void => {
    const times = { atimeSeconds: seconds, mtimeSeconds: 2000, ctimeSeconds: 2000 }
    mount.setattr(node, ['atime', 'mtime', 'ctime'], times)
  }
  const isNow = (seconds: number): boolean => Math.abs(seconds - Date.now() / 1000) < 100

  const list = (node: number) => {
    const listing = { beginNames: () => undefined, addName: () => true, sendNames: () => true }
    mount.operations.readdir(listing as never, node, 0, 0, 0, 4096)
  }

  test('of files, directories and links: after a change, or a day; not all the time', () => {
    const file = mount.file('file')
    mount.write(file, 0, bytes('x'))
    const link = mount.make((to, request) => to.symlink(request, ROOT_NODE, bytes('s'), bytes('file')))
    const directory = mount.directory('d')
    for (const [node, read] of [
      [file, () => mount.read(file, 0, 1)],
      [link, () => mount.ask((to, request) => to.readlink(request, link))],
      [directory, () => list(directory)],
    ] as const) {
      age(node, 1000)
      read()
      expect(isNow(atimeOf(node))).toBe(true)
      expect(mount.getattr(node).attributes?.ctimeSeconds).toBe(2000)
      age(node, 1001)
      read()
      expect(atimeOf(node)).toBe(1001)
    }
  })

  test('newer than the last change, and of today: they stay', () => {
    const file = mount.file('file')
    mount.write(file, 0, bytes('x'))
    const recent = Math.floor(Date.now() / 1000) - 3600
    age(file, recent)
    mount.read(file, 0, 1)
    expect(atimeOf(file)).toBe(recent)
  })

  test('who does not want it to be noticed', () => {
    const file = mount.file('file')
    mount.write(file, 0, bytes('x'))
    age(file, 1000)
    mount.read(file, 0, 1, 0o1000000)
    expect(atimeOf(file)).toBe(1000)
  })

  test('a volume that can not be written is read all the same', () => {
    const file = mount.file('file')
    mount.write(file, 0, bytes('x'))
    age(file, 1000)
    mount.db.abandon()
    expect(mount.ask((to, request) => to.readlink(request, file)).kind).toBe('error')
    expect(atimeOf(file)).toBe(1000)
  })
})

test('the name space trusted is for root', () => {
  const node = mount.file('a')
  for (const name of ['trusted.x', 'user.x']) {
    mount.ask((to, request) => to.setxattr(request, node, bytes(name), bytes('1'), 0, false))
  }
  const list = (uid: number) => mount.ask((to, request) => to.listxattr(request, node, 999), { uid }).bytes
  expect(new TextDecoder().decode(list(0)).split('\0').sort()).toEqual(['', 'trusted.x', 'user.x'])
  expect(list(1000)).toEqual(bytes('user.x\0'))
})

test('nodes that are none: ESTALE', () => {
  const none = 1000
  const name = bytes('a')
  const answers = [
    mount.setattr(none, ['mode']),
    mount.ask((to, request) => to.mknod(request, none, name, 0o10600, 0, 0, 0)),
    mount.ask((to, request) => to.mkdir(request, none, name, 0o755, 0)),
    mount.ask((to, request) => to.symlink(request, none, name, name)),
    mount.ask((to, request) => to.create(request, none, name, 0, S_IFREG, 0)),
    mount.ask((to, request) => to.tmpfile(request, none, 0, S_IFREG, 0)),
    mount.ask((to, request) => to.link(request, none, ROOT_NODE, name)),
    mount.ask((to, request) => to.link(request, ROOT_NODE, none, name)),
    mount.ask((to, request) => to.unlink(request, none, name)),
    mount.ask((to, request) => to.rmdir(request, none, name)),
    mount.ask((to, request) => to.rename(request, none, name, ROOT_NODE, name, 0)),
    mount.ask((to, request) => to.rename(request, ROOT_NODE, name, none, name, 0)),
    mount.write(none, 0, name),
    mount.ask((to, request) => to.fallocate(request, none, 0, 0, 1, 0)),
    mount.ask((to, request) => to.copyFileRange(request, none, 0, 0, ROOT_NODE, 0, 0, 1)),
    mount.ask((to, request) => to.copyFileRange(request, ROOT_NODE, 0, 0, none, 0, 0, 1)),
    mount.ask((to, request) => to.setxattr(request, none, name, name, 0, false)),
    mount.ask((to, request) => to.removexattr(request, none, name)),
  ]
  expect(answers).toEqual(answers.map(() => error('ESTALE')))
})

test('what the engine has to do', () => {
  const { operations, duties } = mount
  expect(mount.ask((to, request) => to.fsync(request, ROOT_NODE))).toEqual({ kind: 'ok' })
  for (const sync of ['fsyncdir', 'syncfs'] as const) {
    expect(mount.ask((to, request) => to[sync](request))).toEqual({ kind: 'ok' })
  }
  operations.doorbell()
  expect(mount.ask((to, request) => to.destroy(request))).toEqual({ kind: 'ok' })
  operations.doorbell() // nothing more is done
  expect(duties).toEqual(['sync', 'sync', 'sync', 'work', 'shutDown'])
})
