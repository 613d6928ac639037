/**
 * The files of a volume by the calls of `node:fs/promises`. The package is the built one, since its engine's thread runs no TypeScript.
 */

import { constants, existsSync, mkdtempSync, promises as nodeFs, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { copyOf, fixture } from '@cowherd/fixtures'
import { referee } from '@cowherd/referee'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type * as Package from './index.ts'

const built = new URL('../dist/index.js', import.meta.url)
let package_: typeof Package
beforeAll(async () => {
  if (!existsSync(built)) throw new Error("the package isn't built: npm run build")
  package_ = (await import(built.href)) as typeof Package
})

const folder = mkdtempSync(join(tmpdir(), 'cowherd-node-fs-'))
afterAll(() => rmSync(folder, { recursive: true }))

let images = 0
let image: string
let files: Package.VolumeFiles
beforeEach(async () => {
  image = join(folder, `${images++}.img`)
  files = await package_.createVolumeFiles(image, 64 << 20, { caller: { uid: 7, gid: 8, umask: 0o022 } })
})
afterEach(() => files.close())

async function judge(): Promise<void> {
  await files.close()
  if (!referee.available()) return
  const { complaints, code, stdout } = await referee.fsck([image])
  expect({ complaints, code }).toEqual({ complaints: [], code: 0 })
  expect(stdout).not.toMatch(/recovering from unclean shutdown/)
}

/** What is told of an error of a call. */
async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'nothing',
    ({ code, errno, syscall, path, dest, message }: NodeJS.ErrnoException & { dest?: string }) => {
      return { code, errno, syscall, path, dest, message }
    },
  )
}

describe('files', () => {
  test('are written, read, listed, renamed, linked and removed, and are there after', async () => {
    await files.mkdir('/meadow/far/off', { recursive: true })
    await files.writeFile('/meadow/cow', 'moo', { mode: 0o640 })
    await files.appendFile('meadow/cow', Buffer.from('\n'))
    expect(await files.readFile('/meadow/cow', 'utf8')).toBe('moo\n')
    expect(await files.readFile('/meadow/cow')).toEqual(Buffer.from('moo\n'))
    await files.symlink('../cow', '/meadow/far/herd')
    await files.link('/meadow/cow', '/meadow/heifer')
    expect(await files.readlink('/meadow/far/herd')).toBe('../cow')
    expect(await files.realpath('/meadow/far/herd')).toBe('/meadow/cow')

    const stats = await files.stat('/meadow/far/herd')
    expect(stats).toMatchObject({ uid: 7, gid: 8, nlink: 2, size: 4, mode: 0o100640 })
    expect([stats.isFile(), stats.isDirectory(), stats.isSymbolicLink()]).toEqual([true, false, false])
    expect((await files.lstat('/meadow/far/herd')).isSymbolicLink()).toBe(true)
    expect(Math.abs(stats.mtimeMs - Date.now())).toBeLessThan(3_600_000)

    expect((await files.readdir('/meadow')).sort()).toEqual(['cow', 'far', 'heifer'])
    const entries = await files.readdir('/meadow/far', { withFileTypes: true })
    expect(
      entries.map((each) => [each.name, each.isDirectory(), each.isSymbolicLink(), each.parentPath]).sort(),
    ).toEqual([
      ['herd', false, true, '/meadow/far'],
      ['off', true, false, '/meadow/far'],
    ])
    const below = await files.readdir('/', { recursive: true })
    expect(below.sort()).toEqual(
      ['lost+found', 'meadow', 'meadow/cow', 'meadow/far', 'meadow/far/herd', 'meadow/far/off', 'meadow/heifer'].sort(),
    )

    await files.rename('/meadow/heifer', '/meadow/far/off/bess')
    await files.chmod('/meadow/cow', 0o600)
    await files.chown('/meadow/cow', 1000, 1001)
    await files.utimes('/meadow/cow', 1.25, new Date('2001-02-03T04:05:06.789Z'))
    await files.truncate('/meadow/cow', 2)
    await files.utimes('/meadow', -1.5, '12345.000001')
    expect(await files.stat('/meadow/far/off/bess')).toMatchObject({
      ...{ mode: 0o100600, uid: 1000, gid: 1001, size: 2, atimeNs: 1_250_000_000n },
    })
    expect(await files.stat('/meadow')).toMatchObject({ atimeNs: -1_500_000_000n, mtimeNs: 12_345_000_001_000n })
    await files.copyFile('/meadow/cow', '/calf')
    await files.setXattr('/calf', 'user.name', 'Bess')
    expect([await files.listXattrs('/calf'), await files.getXattr('/calf', 'user.name')]).toEqual([
      ['user.name'],
      Buffer.from('Bess'),
    ])
    await files.removeXattr('/calf', 'user.name')
    expect(await files.getXattr('/calf', 'user.name')).toBeUndefined()
    await files.rm('/meadow/far', { recursive: true })
    await files.rm('/none', { force: true })
    await files.unlink('/meadow/cow')
    await files.rmdir('/meadow')
    const { totalBytes, freeBytes } = await files.room()
    expect(totalBytes).toBeGreaterThan(freeBytes)
    await judge()

    const again = await package_.openVolumeFiles([image])
    expect((await again.readdir('/')).sort()).toEqual(['calf', 'lost+found'])
    expect(await again.readFile('/calf', 'latin1')).toBe('mo')
    expect(await failure(again.writeFile('/calf', ''))).toMatchObject({ code: 'EROFS', path: '/calf' })
    await again.close()
  })

  test('are open: positions, appending, holes, what has no name any more', async () => {
    const file = await files.open('/file', 'w+')
    expect(await file.write(Buffer.from('0123456789'))).toMatchObject({ bytesWritten: 10 })
    await file.write(Buffer.from('xyzabc'), 2, 3, 4)
    const { bytesRead, buffer } = await file.read(Buffer.alloc(20), 5, 8, 2)
    expect([bytesRead, buffer.toString('latin1', 5, 13)]).toEqual([8, '23zab789'])
    expect((await file.read(Buffer.alloc(4))).bytesRead).toBe(0) // it stands at the end of what was written
    await file.write(Buffer.from('end'), 0, 3, 3_000_000)
    await file.truncate(3_000_002)
    expect((await file.stat()).size).toBe(3_000_002)

    const shared = new Uint8Array(new SharedArrayBuffer(4))
    expect((await file.read(shared, 0, 4, 2_999_998)).bytesRead).toBe(4)
    expect([...shared]).toEqual([0, 0, 101, 110])

    const log = await files.open('/file', 'a')
    await Promise.all(['one ', 'two ', 'three'].map((word) => log.appendFile(word)))
    expect((await files.readFile('/file')).subarray(3_000_002).toString()).toBe('one two three')
    await files.unlink('/file')
    expect((await file.stat()).nlink).toBe(0)
    expect((await file.read(Buffer.alloc(3), 0, 3, 3_000_002)).buffer.toString()).toBe('one')
    await Promise.all([file.close(), log.close(), file.close()])
    expect(await failure(file.stat())).toMatchObject({ code: 'EBADF' })
    await judge()
  })

  test('larger than a call takes', async () => {
    const data = Buffer.alloc((9 << 20) + 123)
    for (let i = 0; i < data.length; i += 7) data[i] = i
    await files.writeFile('/large', data)
    expect((await files.readFile('/large')).equals(data)).toBe(true)
    await files.copyFile('/large', '/copy', constants.COPYFILE_EXCL)
    expect((await files.readFile('/copy')).equals(data)).toBe(true)
    expect(await failure(files.copyFile('/large', '/copy', constants.COPYFILE_EXCL))).toMatchObject({ code: 'EEXIST' })
    await judge()
  })
})

test('many calls at once are done in their order', async () => {
  await files.mkdir('/d')
  const names = Array.from({ length: 1500 }, (_, i) => `file-${i}`)
  const calls = names.flatMap((name, i) => [
    files.writeFile(`/d/${name}`, `${i}`),
    files.rename(`/d/${name}`, `/d/x-${name}`),
    files.readFile(`/d/x-${name}`, 'utf8').then((text) => expect(text).toBe(`${i}`)),
  ])
  const large = Buffer.alloc(3 << 20, 1)
  for (let i = 0; i < 10; i++) calls.push(files.writeFile('/large', large.fill(i)))
  const closing = Promise.all(calls).then(() => 'all')
  await files.close() // waits for all of them
  expect(await Promise.race([closing, new Promise((resolve) => setImmediate(resolve))])).toBe('all')
  await judge()
  const again = await package_.openVolumeFiles([image])
  expect((await again.readdir('/d')).length).toBe(1500)
  expect((await again.readFile('/large')).length).toBe(large.length)
  await again.close()
})

test('what it does, node:fs does too: answers and errors', async () => {
  const local = mkdtempSync(join(folder, 'local-'))
  /** The same on both, with paths below a folder of the local filesystem, or the root of the volume. */
  const both = async (what: (fs: typeof nodeFs, at: (path: string) => string) => Promise<unknown>): Promise<void> => {
    const outcome = async (promise: Promise<unknown>): Promise<unknown> =>
      promise.then(
        (value) => value,
        ({ code, errno, syscall }: NodeJS.ErrnoException) => ({ code, errno, syscall }),
      )
    const theirs = await outcome(what(nodeFs, (path) => join(local, path)))
    const ours = await outcome(what(files as unknown as typeof nodeFs, (path) => `/${path}`))
    expect([what.toString(), ours]).toEqual([what.toString(), theirs])
  }
  const steps: Parameters<typeof both>[0][] = [
    (fs, at) => fs.readFile(at('none')),
    (fs, at) => fs.writeFile(at('file'), 'text'),
    (fs, at) => fs.writeFile(at('file'), 'other', { flag: 'wx' }),
    (fs, at) => fs.readFile(at('file'), 'hex'),
    (fs, at) => fs.mkdir(at('file')),
    (fs, at) => fs.mkdir(at('file/below')),
    (fs, at) => fs.mkdir(at('a/b'), { recursive: true }).then((made) => made?.endsWith('/a')),
    (fs, at) => fs.mkdir(at('a/b'), { recursive: true }),
    (fs, at) => fs.mkdir(at('file'), { recursive: true }),
    (fs, at) => fs.rmdir(at('a')),
    (fs, at) => fs.rmdir(at('file')),
    (fs, at) => fs.rmdir(at('none')),
    (fs, at) => fs.unlink(at('none')),
    (fs, at) => fs.rename(at('none'), at('x')),
    (fs, at) => fs.rename(at('a'), at('a/b/c')),
    (fs, at) => fs.rename(at('file'), at('a')),
    (fs, at) => fs.rename(at('a'), at('file')),
    (fs, at) => fs.link(at('none'), at('x')),
    (fs, at) => fs.link(at('file'), at('a')),
    (fs, at) => fs.symlink('loop', at('loop')),
    (fs, at) => fs.symlink('loop', at('loop')),
    (fs, at) => fs.stat(at('loop')),
    (fs, at) => fs.readlink(at('file')),
    (fs, at) => fs.readlink(at('loop')),
    (fs, at) => fs.readdir(at('file')),
    (fs, at) => fs.readdir(at('none')),
    (fs, at) => fs.access(at('none')),
    (fs, at) => fs.chmod(at('none'), 0o600),
    (fs, at) => fs.truncate(at('a')),
    (fs, at) => fs.open(at('a'), 'w'),
    (fs, at) => fs.open(at('file/')),
    (fs, at) => fs.stat(at('f'.repeat(600))),
    (fs, at) => fs.symlink('made', at('dangling')),
    (fs, at) => fs.writeFile(at('dangling'), 'through'),
    (fs, at) => fs.readFile(at('made'), 'utf8'),
    (fs, at) => fs.writeFile(at('dangling'), 'x', { flag: 'wx' }),
    async (fs, at) => {
      const file = await fs.open(at('made'), 'r')
      try {
        return await file.write(Buffer.from('x'))
      } finally {
        await file.close()
      }
    },
    (fs, at) => fs.rm(at('a')).catch(({ name }: Error) => name !== ''),
    (fs, at) => fs.rm(at('a'), { recursive: true }),
    (fs, at) => fs.readdir(at('.')).then((names) => names.filter((name) => name !== 'lost+found').sort()),
  ]
  for (const step of steps) await both(step)
  await judge()
})

describe('a volume that', () => {
  test('is not there, is none, is in use, or too small', async () => {
    const { createVolumeFiles, openVolumeFiles } = package_
    const none = join(folder, 'none.img')
    expect(await failure(openVolumeFiles([none]))).toMatchObject({ code: 'ENOENT', syscall: 'open' })
    writeFileSync(none, 'x'.repeat(100_000))
    expect(await failure(openVolumeFiles([none]))).toMatchObject({ code: 'EINVAL' })
    expect(await failure(createVolumeFiles(none, 1 << 26))).toMatchObject({ code: 'EEXIST' })
    expect(await failure(openVolumeFiles([image], { write: true }))).toMatchObject({ code: 'EBUSY' })
    const small = join(folder, 'small.img')
    expect(await failure(createVolumeFiles(small, 1 << 16))).not.toBe('nothing')
    expect(existsSync(small)).toBe(false)
  })

  test('is closed takes no more calls', async () => {
    const file = await files.open('/', 'r')
    await files.close()
    await files.close()
    expect(await failure(files.readFile('/x'))).toEqual({
      code: 'EBADF',
      errno: -9,
      syscall: 'open',
      path: '/x',
      dest: undefined,
      message: "EBADF: bad file descriptor, open '/x'",
    })
    expect(await failure(file.stat())).toMatchObject({ code: 'EIO' })
  })

  test('has subvolumes, a passphrase, damage: it is read as it is', async () => {
    const snapshots = await package_.openVolumeFiles(copyOf(fixture('snapshots'), mkdtempSync(join(folder, 's-'))))
    expect((await snapshots.readdir('/')).length).toBeGreaterThan(1)
    await snapshots.close()
    const { passphrase } = fixture('encrypted')
    const encrypted = copyOf(fixture('encrypted'), mkdtempSync(join(folder, 'e-')))
    expect(await failure(package_.openVolumeFiles(encrypted, { passphrase: 'wrong' }))).toMatchObject({
      code: 'EACCES',
    })
    const opened = await package_.openVolumeFiles(encrypted, { passphrase: passphrase ?? '' })
    expect((await opened.readdir('/')).length).toBeGreaterThan(1)
    await opened.close()
  })

  test('becomes full says so, and goes on', async () => {
    const piece = Buffer.alloc(4 << 20, 7)
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, i) => failure(files.writeFile(`/file-${i}`, piece.fill(i)))),
    )
    expect(outcomes).toContainEqual(expect.objectContaining({ code: 'ENOSPC', syscall: 'open' }))
    await files.rm('/file-0')
    await files.writeFile('/small', 'fits')
    expect(await files.readFile('/small', 'utf8')).toBe('fits')
    await judge()
  })
})

test('when the thread dies, all that waits is rejected, and what comes later', async () => {
  await files.writeFile('/kept', 'kept')
  await files.sync()
  const waiting = Array.from({ length: 300 }, (_, i) => failure(files.writeFile(`/${i}`, Buffer.alloc(100_000, i))))
  await (files as unknown as { engine: { terminate(): Promise<void> } }).engine.terminate()
  expect(await Promise.all(waiting)).toContainEqual(expect.objectContaining({ code: 'EIO', syscall: 'open' }))
  expect(await failure(files.readFile('/kept'))).toMatchObject({ code: 'EIO', path: '/kept' })
  expect(await failure(files.close())).toMatchObject({ code: 'EIO', syscall: 'close' })
  // the volume is recovered by the next one
  files = await package_.openVolumeFiles([image], { write: true })
  expect(await files.readFile('/kept', 'utf8')).toBe('kept')
  await judge()
})
