import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { fixture } from '@cowherd/fixtures'
import { loadNative } from '@cowherd/shim'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseManifest } from '../copy/local-tree.ts'
import { TarWriter, type TarEntry } from '../tar/tar-writer.ts'
import { cowherd } from '../testing/command-line.ts'
import { expectFaultless, newVolume, rowsOf } from '../testing/new-volume.ts'
import { comparable, fillSampleTree, localRows } from '../testing/sample-tree.ts'

const native = loadNative()
const gnu = /GNU tar/.test(spawnSync('tar', ['--version']).stdout?.toString() ?? '')
const MIB = 1 << 20

let folder: string
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'cowherd-untar-'))))
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const DONE = { code: 0, out: '', err: '' }
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const plain = { mode: 0o644, uid: 0, gid: 0, mtimeSeconds: 1_600_000_000, mtimeNanoseconds: 0 } as const

function archive(...entries: (TarEntry & { data?: Uint8Array })[]): Uint8Array[] {
  const chunks: Uint8Array[] = []
  const tar = new TarWriter((chunk) => chunks.push(chunk.slice()))
  for (const { data, ...entry } of entries) {
    tar.begin(entry)
    if (data !== undefined) tar.data(data)
  }
  tar.finish()
  return chunks
}

const file = (path: string, content = path, more: Partial<TarEntry> = {}): TarEntry & { data: Uint8Array } => {
  const data = bytes(content)
  return { ...plain, path: bytes(path), type: 'file', size: data.length, data, ...more }
}
const directory = (path: string, more: Partial<TarEntry> = {}): TarEntry => ({
  ...plain,
  path: bytes(path),
  type: 'directory',
  mode: 0o755,
  ...more,
})

/** Path, mode, modification time in seconds and content's first letters of what a volume holds. */
async function shown(volume: string): Promise<string[]> {
  return (await rowsOf(volume)).map(
    ({ path, mode, mtimeNs, content }) => `${path} ${mode} ${mtimeNs.slice(0, -9)} ${content.slice(0, 4)}`,
  )
}

describe('what tar wrote of a volume', () => {
  test.each(['default', 'compressed', 'reflink', 'full', 'casehash'])('%s', { timeout: 120_000 }, async (name) => {
    const { bytes: content } = await cowherd(['tar', fixture(name).devices.join(':')])
    const volume = await newVolume(folder, ['--fs_size=512M'])
    expect(await cowherd(['untar', '-a', volume], { input: [content] })).toMatchObject(DONE)
    const rows = parseManifest(readFileSync(fixture(name).manifest, 'utf8')).filter(({ type }) => type !== 's')
    expect(comparable(await rowsOf(volume))).toEqual(comparable(rows))
    await expectFaultless(volume)
  })
})

describe.skipIf(!gnu || native === undefined)('what GNU tar wrote', () => {
  test.each([
    ['posix', ['--xattrs-include=*', '--acls']],
    ['posix', ['-S', '--xattrs-include=*', '--acls', '--numeric-owner']],
    ['gnu', ['-S']],
  ])('format %s %s', async (format, options) => {
    const source = join(folder, 'source')
    mkdirSync(source)
    fillSampleTree(source, native)
    const words = [`--format=${format}`, ...options, '-C', source, '-c', '.']
    const { stdout } = spawnSync('tar', words, { maxBuffer: 64 * MIB })
    const volume = await newVolume(folder)
    expect(await cowherd(['untar', '-a', volume], { input: [stdout] })).toMatchObject(DONE)
    const hasAttributes = options.includes('--acls')
    const rows = localRows(source, native).filter(({ type }) => type !== 's')
    const expected = rows.map((row) => ({
      ...row,
      ...(hasAttributes ? {} : { xattrs: '-', mtimeNs: `${row.mtimeNs.slice(0, -9)}000000000` }),
      // whole seconds, rounded down
      ...(hasAttributes || row.mtimeNs !== '-2000000001' ? {} : { mtimeNs: '-3000000000' }),
    }))
    expect(comparable(await rowsOf(volume))).toEqual(comparable(expected))
    await expectFaultless(volume)
  })
})

describe('directories', () => {
  test('that are not named are made, those named later get their attributes, and times stay', async () => {
    const volume = await newVolume(folder)
    const input = archive(
      directory('.', { mode: 0o711 }),
      file('a/b/c'),
      directory('a', { mode: 0o700, mtimeSeconds: 1_000_000_001 }),
      file('z'),
      directory('d', { mode: 0o2755, mtimeSeconds: 1_000_000_002, gid: 7 }),
      file('d/e'),
      file('y'),
      file('d/f', 'd/f', { gid: 8 }), // once more into a directory that was left
      file('x'),
    )
    expect(await cowherd(['untar', volume], { input })).toMatchObject(DONE)
    const rows = await shown(volume)
    expect(rows[0]).toMatch(/^\. 711 1600000000 /)
    expect(rows).toContain('a 700 1000000001 -')
    expect(rows).toContain('d 2755 1000000002 -')
    expect((await rowsOf(volume)).find(({ path }) => path === 'd/f')?.gid).toBe('8')
    expect(rows.find((row) => row.startsWith('a/b '))).toMatch(/^a\/b 7[057][057] /)
    await expectFaultless(volume)
  })

  test('a directory of the volume; one that is not there', async () => {
    const volume = await newVolume(folder)
    await cowherd(['mkdir', '-p', volume, '/in/here'])
    expect(await cowherd(['untar', volume, '/in/here'], { input: archive(file('/abs/olute')) })).toMatchObject(DONE)
    expect((await cowherd(['find', volume, '/in'])).out).toBe('/in\n/in/here\n/in/here/abs\n/in/here/abs/olute\n')
    expect(await cowherd(['untar', volume, '/none'], { input: [] })).toMatchObject({
      code: 1,
      err: 'cowherd: /none: no such file or directory\n',
    })
    expect(await cowherd(['untar', volume, '/in/here/abs/olute'], { input: [] })).toMatchObject({
      code: 1,
      err: 'cowherd: /in/here/abs/olute: is not a directory\n',
    })
  })

  test('none outside: names that lead upwards, links on the way', async () => {
    const volume = await newVolume(folder)
    await cowherd(['mkdir', '-p', volume, '/in', '/out'])
    const input = archive(
      file('../evil'),
      file('a/../../evil'),
      { ...plain, path: bytes('link'), type: 'symbolic link', target: bytes('/out') },
      file('link/evil'),
      directory('link'),
      { ...plain, path: bytes('hard'), type: 'hard link', target: bytes('link/../../out') },
      { ...plain, path: bytes('hard'), type: 'hard link', target: bytes('none') },
      file('good'),
    )
    const { code, err } = await cowherd(['untar', '-f', volume, '/in'], { input })
    expect([code, err.split('\n')]).toEqual([
      1,
      [
        'cowherd: ../evil: leads out of the directory; it is left out',
        'cowherd: a/../../evil: leads out of the directory; it is left out',
        'cowherd: in/link/evil: in/link is a symbolic link; it is not followed',
        'cowherd: in/link: in/link is a symbolic link; it is not followed',
        'cowherd: in/hard: another name of link/../../out, which is not there',
        'cowherd: in/hard: another name of none, which is not there',
        '',
      ],
    ])
    expect((await cowherd(['find', volume])).out).toBe('/\n/in\n/in/good\n/in/link\n/lost+found\n/out\n')
  })
})

test('what exists is refused, and replaced when forced; what the archive has twice is replaced anyway', async () => {
  const volume = await newVolume(folder)
  expect(await cowherd(['put', volume, '-', '/old'], { input: [bytes('old')] })).toMatchObject(DONE)
  const input = archive(
    file('old', 'new'),
    file('twice', 'first'),
    file('twice', 'second'),
    { ...plain, path: bytes('again'), type: 'hard link', target: bytes('twice') },
    { ...plain, path: bytes('again'), type: 'hard link', target: bytes('twice') },
    directory('again'),
    directory('lost+found'),
    file('lost+found'),
  )
  const { code, err } = await cowherd(['untar', volume], { input })
  expect([code, err.split('\n')]).toEqual([
    1,
    [
      'cowherd: old: exists already (--force replaces it)',
      'cowherd: again: again is no directory',
      'cowherd: lost+found: is a directory',
      '',
    ],
  ])
  const content = async (path: string): Promise<string> => (await cowherd(['cat', volume, path])).out
  expect([await content('/old'), await content('/twice'), await content('/again')]).toEqual(['old', 'second', 'second'])
  expect((await cowherd(['untar', '-f', volume], { input: archive(file('old', 'new')) })).code).toBe(0)
  expect(await content('/old')).toBe('new')
  await expectFaultless(volume)
})

test('what is not kept is told, and is an error with -a only', async () => {
  const volume = await newVolume(folder)
  const acl = [{ name: 'user.x', value: bytes('x') }]
  const content = Buffer.concat(archive(file('f', 'f', { xattrs: acl })))
  content.write('SCHILY.fflags=odump', content.indexOf('SCHILY.xattr.user.x')) // of the same length
  const told = 'cowherd: not kept: file flags: a volume has none (f)\n'
  expect(await cowherd(['untar', volume], { input: [content] })).toMatchObject({ code: 0, err: told })
  expect(await cowherd(['untar', '-f', '-a', volume], { input: [content] })).toMatchObject({ code: 1, err: told })
})

describe('archives that end too early', () => {
  test('the file that is not whole is not there', async () => {
    const volume = await newVolume(folder)
    const content = Buffer.concat(archive(file('whole'), file('part', 'x'.repeat(3 * MIB))))
    const { code, err } = await cowherd(['untar', volume], { input: [content.subarray(0, 2 * MIB)] })
    expect([code, err]).toEqual([1, 'cowherd: the archive is damaged at byte 2097152: it ends too early\n'])
    expect((await cowherd(['find', volume])).out).toBe('/\n/lost+found\n/whole\n')
    await expectFaultless(volume)
  })

  test('no end mark is told', async () => {
    const volume = await newVolume(folder)
    const content = Buffer.concat(archive(file('whole'))).subarray(0, 1024)
    expect(await cowherd(['untar', volume], { input: [content] })).toMatchObject({
      code: 0,
      err: 'cowherd: the archive has no end mark: something may be missing\n',
    })
  })

  test('no archive at all', async () => {
    const volume = await newVolume(folder)
    const compressed = gzipSync(Buffer.concat(archive(file('x'))))
    expect(await cowherd(['untar', volume], { input: [compressed] })).toMatchObject({
      code: 1,
      err: 'cowherd: the archive is compressed: zcat ARCHIVE | cowherd untar VOLUME unpacks it (gzip)\n',
    })
    expect((await cowherd(['untar', volume], { input: [] })).err).toBe('cowherd: the archive is empty\n')
    expect((await cowherd(['untar', '--passphrase-file', '-', volume], { input: [] })).code).toBe(2)
  })
})

test('a volume that becomes full', async () => {
  const volume = await newVolume(folder, ['--fs_size=64M'])
  writeFileSync(join(folder, 'empty'), '')
  const entries = Array.from({ length: 80 }, (_, i) => file(`file-${i}`, String(i % 10).repeat(MIB)))
  const { code, err } = await cowherd(['untar', volume], { input: archive(...entries) })
  expect(code).toBe(1)
  expect(err).toMatch(/^cowherd: file-\d+: no space left on the volume \(.*\)\n$/)
  await expectFaultless(volume)
})
