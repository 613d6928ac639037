import { spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createHash } from 'node:crypto'
import { copyOf, fixture } from '@cowherd/fixtures'
import { afterAll, describe, expect, test } from 'vitest'
import { parseManifest } from '../copy/local-tree.ts'
import { cowherd } from '../testing/command-line.ts'

const folder = mkdtempSync(join(tmpdir(), 'cowherd-reading-'))
afterAll(() => rmSync(folder, { recursive: true }))

const volumeOf = (name: string): string => fixture(name).devices.join(':')
const volume = volumeOf('default')
const rows = parseManifest(readFileSync(fixture('default').manifest, 'utf8'))
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

describe('ls', () => {
  test('names, and rows in columns', async () => {
    expect(await cowherd(['ls', volume])).toMatchObject({ code: 0, out: 'lost+found\nmany\ntree\n', err: '' })
    const { out } = await cowherd(['ls', '-l', volume, 'tree'])
    const lines = out.trimEnd().split('\n')
    expect(lines).toContainEqual(expect.stringMatching(/^-rwsr-xr-x 1 +0 +0 +1 \d{4}-\d\d-\d\d \d\d:\d\d one$/))
    expect(lines).toContainEqual(expect.stringMatching(/^brw-r--r-- 1 +0 +0 +8, 17 .* blk$/))
    expect(lines).toContainEqual(expect.stringMatching(/ sym -> mid$/))
    expect(new Set(lines.map((line) => line.search(/\d{4}-\d\d-\d\d/))).size).toBe(1)
  })

  test('recursive: every directory once, everything in it', async () => {
    const { code, out } = await cowherd(['ls', '-R', volumeOf('snapshots')])
    expect(code).toBe(0)
    const snapshots = parseManifest(readFileSync(fixture('snapshots').manifest, 'utf8'))
    const blocks = out.trimEnd().split('\n\n')
    expect(blocks.map((block) => block.split('\n')[0]).sort()).toEqual(
      snapshots
        .filter(({ type }) => type === 'd')
        .map(({ path }) => (path === '.' ? '/:' : `/${path}:`))
        .sort(),
    )
    expect(out.trimEnd().split('\n').length).toBe(snapshots.length - 1 + 2 * blocks.length - 1)
  })

  test('files and directories by name, as JSON, with failures told', async () => {
    expect((await cowherd(['ls', volume, 'tree/mid'])).out).toBe('tree/mid\n')
    expect((await cowherd(['ls', '-d', volume, '/', 'tree'])).out).toBe('/\ntree\n')
    const { code, out, err } = await cowherd(['ls', '--json', volume, 'tree', 'none'])
    expect([code, err]).toEqual([1, 'cowherd: none: no such file or directory\n'])
    expect(JSON.parse(out)).toContainEqual(
      expect.objectContaining({ path: 'tree/sym', type: 'symbolic link', target: 'mid', permissions: 'lrwxrwxrwx' }),
    )
  })

  test('on a terminal names are coloured, in a pipe they are bytes', async () => {
    expect((await cowherd(['ls', volume], { terminal: true })).out).toContain('\x1b[34mmany\x1b[0m\n')
    expect((await cowherd(['ls', volume], { terminal: true, env: { NO_COLOR: '1' } })).out).toContain('\nmany\n')
  })
})

describe('stat', () => {
  test('all there is to tell', async () => {
    const { code, out } = await cowherd(['stat', '--extents', volume, 'tree/block', 'tree/mid', 'tree/null'])
    expect(code).toBe(0)
    expect(out).toContain('  file: tree/block\n  type: regular file\n  size: 4096 (4.00 KiB)  blocks: 8\n')
    expect(out).toContain('uid: 1000  gid: 100\n')
    expect(out).toMatch(/xattr: system\.posix_acl_access = user::rw-,user:\d+:/)
    expect(out).toMatch(/xattr: user\.\w+ = "/)
    expect(out).toMatch(/extent: 0\.\.4096 extent .*ptr: 0:\d+/)
    expect(out).toContain('type: character device  device 1:3\n')
  })

  test('as JSON, times to the nanosecond', async () => {
    const { out } = await cowherd(['stat', '--json', volume, 'tree/big'])
    const nanoseconds = rows.find(({ path }) => path === 'tree/big')?.mtimeNs.slice(-9)
    const mtime = expect.stringMatching(new RegExp(`^\\d{4}-\\d\\d-\\d\\dT.*\\.${nanoseconds}Z$`)) as string
    expect(JSON.parse(out)).toMatchObject([{ path: 'tree/big', size: 1_500_000, mtime }])
  })
})

test('cat writes files as they are', async () => {
  for (const name of ['big', 'mid', 'cut', 'punched', 'small', 'empty']) {
    const row = rows.find(({ path }) => path === `tree/${name}`)
    const { code, bytes } = await cowherd(['cat', volume, `tree/${name}`])
    expect([name, code, sha256(bytes)]).toEqual([name, 0, row?.content])
  }
  const { code, out, err } = await cowherd(['cat', volume, 'tree', 'tree/null', 'tree/one'])
  expect(code).toBe(1)
  expect(err).toBe('cowherd: tree: is a directory\ncowherd: tree/null: is not a regular file\n')
  expect(out.length).toBe(1)
})

describe('find', () => {
  const decoded = (path: string): string => decodeURIComponent(path)

  test('all paths', async () => {
    const { code, out } = await cowherd(['find', volume, '-print0'])
    expect(code).toBe(0)
    const expected = rows.map(({ path }) => (path === '.' ? '/' : `/${decoded(path)}`))
    expect(out.split('\0').slice(0, -1)).toEqual(expected)
  })

  test('by name, type and depth', async () => {
    const found = async (...words: string[]): Promise<string[]> =>
      (await cowherd(['find', volume, ...words])).out.split('\n').slice(0, -1)
    expect(await found('tree', '-type', 'l')).toEqual(['tree/longsym', 'tree/sym'])
    expect(await found('/tree', '-name', 'b*', '-type', 'f,b')).toEqual([
      '/tree/big',
      '/tree/blk',
      '/tree/block',
      '/tree/block+1',
    ])
    expect(await found('--iname', 'TREE')).toEqual(['/tree'])
    expect(await found('-maxdepth', '1', '-type', 'd')).toEqual(['/', '/lost+found', '/many', '/tree'])
    expect(await found('/tree/sym')).toEqual(['/tree/sym'])
    expect((await cowherd(['find', volume, '-type', 'x'])).code).toBe(2)
    const { out } = await cowherd(['find', volume, '-name', 'mid', '--json'])
    expect(JSON.parse(out)).toMatchObject([{ path: 'tree/mid', size: 70000, links: 2 }])
  })
})

describe('what is no readable volume: one line and exit code 3', () => {
  const line = async (...argv: string[]): Promise<[number, string]> => {
    const { code, err } = await cowherd(argv)
    expect(err).toMatch(/^cowherd: [^\n]+\n$/)
    return [code, err.replaceAll(folder, 'FOLDER')]
  }

  test('nothing there, a directory, a device that is none, other files', async () => {
    expect(await line('ls', join(folder, 'none'))).toEqual([3, 'cowherd: FOLDER/none: no such file or device\n'])
    expect(await line('ls', folder)).toEqual([3, 'cowherd: FOLDER: is a directory, not an image or a block device\n'])
    expect(await line('ls', '/dev/null')).toEqual([3, expect.stringContaining('is a character device')])
    const file = join(folder, 'file')
    writeFileSync(file, 'text')
    expect(await line('ls', file)).toEqual([3, 'cowherd: FOLDER/file: not a bcachefs volume\n'])
    writeFileSync(file, '')
    expect(await line('ls', file)).toEqual([3, 'cowherd: FOLDER/file: is empty\n'])
    expect(await line('ls', `${file}::b`)).toEqual([3, 'cowherd: FOLDER/file::b: an empty device name\n'])
  })

  test('missing and foreign devices, wrong options', async () => {
    const [first = '', second = ''] = fixture('replicas').devices
    expect((await line('ls', first))[0]).toBe(3)
    expect((await cowherd(['ls', '-o', 'degraded', first])).code).toBe(0)
    expect((await line('ls', `${first}:${second}:${volume}`))[0]).toBe(3)
    expect((await line('ls', '-o', 'nonsense', first))[0]).toBe(2)
  })

  test('passphrases', async () => {
    const encrypted = volumeOf('encrypted')
    const file = join(folder, 'passphrase')
    writeFileSync(file, 'cowherd\n')
    expect((await cowherd(['ls', '--passphrase-file', file, encrypted])).code).toBe(0)
    expect((await cowherd(['ls', encrypted], { env: { COWHERD_PASSPHRASE: 'cowherd' } })).code).toBe(0)
    const wrong = await cowherd(['ls', encrypted], { env: { COWHERD_PASSPHRASE: 'wrong' } })
    expect([wrong.code, wrong.err]).toEqual([3, expect.stringMatching(/^cowherd: .*wrong passphrase\n$/)])
  })

  test('cut off and damaged images: no stack, no hang', async () => {
    const [image = ''] = copyOf(fixture('default'), folder)
    for (const size of [40 << 20, 4 << 20, 1 << 20, 9000, 4096, 100]) {
      truncateSync(image, size)
      const { code, err } = await cowherd(['ls', '-lR', image])
      expect([0, 1, 3]).toContain(code)
      expect(err).not.toMatch(/\n {4}at |bug in cowherd/)
    }
  })

  test.skipIf(process.platform !== 'linux')('in use: the process is named', async () => {
    const [image = ''] = copyOf(fixture('reflink'), folder)
    const fd = openSync(image, 'r')
    const status = spawnSync('flock', ['-x', '-n', '3'], { stdio: ['ignore', 'ignore', 'ignore', fd] }).status
    if (status === 0) {
      const [code, text] = await line('ls', image)
      expect([code, text]).toEqual([3, expect.stringContaining('in use: this process itself has it for writing')])
      expect((await cowherd(['ls', '-o', 'nolock', image])).code).toBe(0)
      expect((await cowherd(['show-super', image])).code).toBe(0)
    }
    closeSync(fd)
  })
})

test('a file that can not be read: the others can, and the exit code says so', async () => {
  const [image = ''] = copyOf(fixture('default'), join(folder))
  const { out } = await cowherd(['stat', '--extents', image, 'tree/mid'])
  const [, bucket = '', offset = ''] = /ptr: +0:(\d+):(\d+)/.exec(out) ?? []
  const bucketBytes = Number(/bucket size: +(\d+)/i.exec((await cowherd(['show-super', image])).out)?.[1]) * 1024
  const fd = openSync(image, 'r+')
  writeSync(fd, Buffer.alloc(16, 0xaa), 0, 16, Number(bucket) * bucketBytes + Number(offset) * 512)
  closeSync(fd)
  const copy = join(folder, 'copy')
  const { code, err } = await cowherd(['get', image, 'tree', copy])
  expect(code).toBe(1)
  expect(err).toMatch(/^cowherd: tree\/mid: .*could not be read and are zeros in the copy$/m)
  expect(err).toMatch(/checksum/)
  expect(sha256(readFileSync(join(copy, 'big')))).toBe(rows.find(({ path }) => path === 'tree/big')?.content)
  expect(readFileSync(join(copy, 'mid')).length).toBe(70_000)
  expect((await cowherd(['cat', image, 'tree/mid'])).code).toBe(1)
  const archive = await cowherd(['tar', image, 'tree/mid'])
  expect([archive.code, archive.err]).toEqual([1, expect.stringContaining('zeros stand for it in the archive')])
})
