import { VolumeError } from '@cowherd/db'
import { Random } from '@cowherd/fuzz'
import { encodeUtf8 } from '@cowherd/kernel-lib'
import { describe, expect, test } from 'vitest'
import type { WholeFile } from '../file-system-writer.ts'
import { NodeRef } from '../node-ref.ts'
import { blankDisk, cutPower, judge, openDisk } from '../testing/volumes.ts'
import type { WritableFileSystem } from '../writable-file-system.ts'

const KIB = 1024
const random = new Random(3)

function whole(name: string, bytes: number, more: Partial<WholeFile> = {}): WholeFile {
  const data = new Uint8Array(bytes)
  random.fill(data)
  const time = { seconds: 1_000_000_000, nanoseconds: 123_456_789 }
  return { name, mode: 0o640, uid: 12, gid: 34, atime: time, mtime: time, attributes: [], data, ...more }
}

const refs = (count: number): NodeRef[] => Array.from({ length: count }, () => new NodeRef())

/** What is to be seen of a file. */
function seen(fs: WritableFileSystem, name: string): object {
  const ref = fs.resolve(name)
  const inode = fs.newInode()
  fs.getattr(ref, inode)
  const data = new Uint8Array(inode.size)
  const file = fs.open(ref)
  expect(file.readFully(0, data)).toBe(data.length)
  file.close()
  return {
    ...{ name, mode: inode.mode & 0o7777, uid: inode.uid, gid: inode.gid, data },
    atime: { seconds: inode.atimeSeconds, nanoseconds: inode.atimeNanoseconds },
    mtime: { seconds: inode.mtimeSeconds, nanoseconds: inode.mtimeNanoseconds },
    // by their names' lengths: they lie in the order of a hash
    attributes: fs.listAttributes(ref).sort((a, b) => a.name.length - b.name.length),
  }
}

describe.each([
  ['plain', {}],
  ['compressed', { compression: { type: 'lz4', level: 0 } as const }],
  ['without checksums', { dataChecksum: 'none' as const }],
])('files of all sizes, %s', (_name, options) => {
  test('are as they were wanted, at once and after the next start', async () => {
    const disk = blankDisk({ options })
    const files = [0, 1, 500, 1024, 1025, 4 * KIB, 4 * KIB + 1, 70_000, 300 * KIB].map((bytes) =>
      whole(`file-${bytes}`, bytes),
    )
    files.push(whole('zeros', 0, { data: new Uint8Array(50 * KIB) }))
    const value = encodeUtf8('value')
    const attributes = [
      { name: encodeUtf8('user.one'), value },
      { name: encodeUtf8('trusted.two'), value: new Uint8Array(0) },
    ]
    files.push(whole('attributed', 10, { mode: 0o4755, attributes }))
    const fs = openDisk(disk)
    const targets = refs(files.length)
    fs.createWhole(fs.root, files, targets)
    for (const [i, file] of files.entries()) {
      expect(seen(fs, file.name as string)).toEqual({ ...file })
      expect(fs.resolve(file.name as string).equals(targets[i])).toBe(true)
    }
    fs.write(targets[5], 4000, new Uint8Array(200).fill(1)) // they are files like others
    fs.unlink(fs.root, 'file-70000')
    fs.close()
    await judge(disk, true)
    const again = openDisk(disk)
    expect(seen(again, 'file-500')).toEqual({ ...files[2] })
    again.close()
  })
})

test('all of them are there, or none', async () => {
  const disk = blankDisk()
  const fs = openDisk(disk)
  fs.createWhole(fs.root, [whole('there', 100)], refs(1))
  const before = fs.space()
  const attempt = (files: readonly WholeFile[]): unknown => {
    try {
      fs.createWhole(fs.root, files, refs(files.length))
    } catch (error) {
      return error instanceof VolumeError ? error.code : error
    }
    return 'made'
  }
  const large = { name: encodeUtf8('user.x'), value: new Uint8Array(5000) }
  const foreign = { name: encodeUtf8('os2.x'), value: new Uint8Array(1) }
  expect(attempt([whole('a', 5000), whole('there', 5000)])).toBe('EEXIST')
  expect(attempt([whole('a', 5000), whole('a', 5000)])).toBe('EEXIST')
  expect(attempt([whole('a', 5000), whole('b/c', 5000)])).toBe('EINVAL')
  expect(attempt([whole('a', 5000), whole('b', 5, { attributes: [large] })])).toBe('ERANGE')
  expect(attempt([whole('a', 5000), whole('b', 5, { attributes: [foreign] })])).toBe('EOPNOTSUPP')
  expect(attempt(Array.from({ length: 70 }, (_, i) => whole(`${i}`, 1 << 20)))).toBe('ENOSPC')
  expect(() => fs.createWhole(fs.resolve('there'), [whole('a', 1)], refs(1))).toThrow('is not a directory')
  expect(fs.space()).toEqual(before)
  expect(attempt([whole('a', 5000), whole('b', 5000)])).toBe('made')
  fs.close()
  await judge(disk, true)
})

test('after a power cut, what was brought to stable storage is there', async () => {
  const disk = blankDisk()
  const fs = openDisk(disk)
  fs.createWhole(fs.root, [whole('a', 5000), whole('b', 300)], refs(2))
  fs.sync()
  fs.createWhole(fs.root, [whole('c', 5000)], refs(1))
  const cut = cutPower(disk)
  const again = openDisk(cut)
  expect((seen(again, 'a') as WholeFile).data.length).toBe(5000)
  expect((seen(again, 'b') as WholeFile).data.length).toBe(300)
  again.close()
  await judge(cut, true)
  fs.close()
})

test('many, over all the space that there is', async () => {
  const disk = blankDisk()
  const fs = openDisk(disk)
  let made = 0
  for (; made < 10_000; made++) {
    const batch = [whole(`${made}-a`, 60 * KIB), whole(`${made}-b`, 3 * KIB), whole(`${made}-c`, 200)]
    try {
      fs.createWhole(fs.root, batch, refs(3))
    } catch (error) {
      if (!(error instanceof VolumeError) || error.code !== 'ENOSPC') throw error
      break
    }
  }
  expect(made).toBeGreaterThan(400)
  for (let i = 0; i < made; i++) fs.unlink(fs.root, `${i}-a`)
  fs.createWhole(fs.root, [whole('again', 1 << 20)], refs(1))
  fs.close()
  await judge(disk, true)
})
