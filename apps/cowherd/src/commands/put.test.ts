import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadNative } from '@cowherd/shim'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { cowherd } from '../testing/command-line.ts'
import { expectFaultless, newVolume, rowsOf } from '../testing/new-volume.ts'
import { comparable, fillSampleTree, localRows, noise } from '../testing/sample-tree.ts'

const native = loadNative()
const root = process.getuid?.() === 0
const MIB = 1 << 20

let folder: string
let source: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cowherd-put-'))
  source = join(folder, 'source')
  mkdirSync(source)
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const DONE = { code: 0, out: '', err: '' }
const ls = async (volume: string, path: string): Promise<string[]> =>
  (await cowherd(['ls', volume, path])).out.split('\n').filter((line) => line !== '')
const cat = async (volume: string, path: string): Promise<Uint8Array> => (await cowherd(['cat', volume, path])).bytes

describe.skipIf(native === undefined)('everything is kept', () => {
  test.each([
    ['with default options', []],
    ['compressed', ['--compression=zstd']],
    ['with small nodes and buckets', ['--btree_node_size=64k', '--bucket=64k']],
    ['without checksums', ['--data_checksum=none']],
    ['encrypted', ['--encrypted']],
  ])('%s', async (_name, words) => {
    const env = words.includes('--encrypted') ? { COWHERD_PASSPHRASE: 'secret' } : {}
    fillSampleTree(source, native)
    const volume = await newVolume(folder, words, { env })
    expect(await cowherd(['put', '-a', volume, source, '/copy'], { env })).toMatchObject(DONE)
    const expected = localRows(source, native).map((row) => ({
      ...row,
      path: row.path === '.' ? 'copy' : `copy/${row.path}`,
    }))
    expect(comparable((await rowsOf(volume, { env })).slice(1))).toEqual(comparable(expected))
    if (words.includes('--encrypted')) return
    await expectFaultless(volume)
  })

  test('and is the same when it is got back, holes too', async () => {
    fillSampleTree(source, native)
    const volume = await newVolume(folder)
    expect(await cowherd(['put', '-a', volume, `${source}/.`, '/'])).toMatchObject(DONE)
    const back = join(folder, 'back')
    expect(await cowherd(['get', '-a', volume, '/', back])).toMatchObject(DONE)
    const rows = localRows(source, native)
    expect(comparable(localRows(back, native)).slice(1)).toEqual(comparable(rows).slice(1))
    for (const name of ['sparse', 'zeros']) {
      expect(lstatSync(join(back, name)).blocks).toBeLessThanOrEqual(lstatSync(join(source, name)).blocks)
    }
  })

  test('format --source: the root becomes what the directory is', async () => {
    fillSampleTree(source, native)
    mkdirSync(join(source, 'lost+found'))
    writeFileSync(join(source, 'lost+found', 'found'), 'again')
    const image = join(folder, 'filled.img')
    expect(await cowherd(['format', '-q', '--fs_size=128M', `--source=${source}`, image])).toMatchObject(DONE)
    expect(comparable(await rowsOf(image))).toEqual(comparable(localRows(source, native)))
    await expectFaultless(image)
  })

  test('two copies on two devices, and one of them missing later', async () => {
    fillSampleTree(source, native)
    const devices = ['a.img', 'b.img'].map((name) => join(folder, name))
    const words = ['--replicas=2', '--fs_size=128M', ...devices]
    expect(await cowherd(['format', '-q', `--source=${source}`, ...words])).toMatchObject(DONE)
    await expectFaultless(...devices)
    const [first, second] = devices
    expect(await cowherd(['put', first, source, '/added'])).toMatchObject({ code: 3 })
    const { code } = await cowherd(['put', '-o', 'degraded', first, source, '/added'])
    expect(code).toBe(0)
    const volume = [second, first].join(':')
    expect((await cowherd(['ls', volume, '/added'])).out).toContain('few\n')
  })
})

test('without koffi, holes are found by their zeros, and what may be lost is told', async () => {
  process.env['COWHERD_NO_KOFFI'] = '1'
  try {
    fillSampleTree(source, undefined)
    const volume = await newVolume(folder)
    const { code, err } = await cowherd(['put', volume, source, '/copy'])
    expect(code).toBe(0)
    expect(err).toMatch(/^cowherd: not kept: extended attributes, .*: the package koffi is not installed \(\d+ files, /)
    expect((await cowherd(['put', '-a', volume, source, '/again'])).code).toBe(1)
    const rows = (await rowsOf(volume)).filter(({ path }) => path.startsWith('copy/'))
    const sparse = rows.find(({ path }) => path === 'copy/sparse')
    expect(Number(sparse?.blocks)).toBeLessThan(64)
    expect(rows.map(({ content }) => content).sort()).toEqual(
      localRows(source, undefined)
        .slice(1)
        .map(({ content }) => content)
        .sort(),
    )
  } finally {
    delete process.env['COWHERD_NO_KOFFI']
  }
})

describe('where the copies go', () => {
  let volume: string
  beforeEach(async () => {
    volume = await newVolume(folder)
    writeFileSync(join(source, 'a'), 'a')
    mkdirSync(join(source, 'd'))
    writeFileSync(join(source, 'd', 'b'), 'b')
  })

  test('to a name, into a directory, several into one that is made, and what is in a directory', async () => {
    expect(await cowherd(['put', volume, join(source, 'a'), '/x'])).toMatchObject(DONE)
    expect(await cowherd(['put', volume, join(source, 'a'), '/'])).toMatchObject(DONE)
    expect(await cowherd(['put', volume, join(source, 'a'), `${source}/d/`, 'both'])).toMatchObject(DONE)
    expect(await cowherd(['put', volume, `${source}/d/.`, 'both/'])).toMatchObject(DONE)
    expect(await ls(volume, '/')).toEqual(['a', 'both', 'lost+found', 'x'])
    expect(await ls(volume, '/both')).toEqual(['a', 'b', 'd'])
    expect(await ls(volume, '/both/d')).toEqual(['b'])
  })

  test('what exists is refused, and replaced when forced; a directory is added to, and stays as it is', async () => {
    expect(await cowherd(['put', volume, source, '/'])).toMatchObject(DONE)
    writeFileSync(join(source, 'a'), 'new')
    writeFileSync(join(source, 'd', 'c'), 'c')
    chmodSync(join(source, 'd'), 0o700)
    expect(await cowherd(['put', volume, join(source, 'a'), '/source'])).toMatchObject({
      code: 1,
      err: 'cowherd: source/a: exists already (--force replaces it)\n',
    })
    expect(await cowherd(['put', volume, source, '/'])).toMatchObject({
      code: 1,
      err: 'cowherd: source: exists already (--force replaces it)\n',
    })
    const before = (await cowherd(['stat', '--json', volume, '/source/d'])).out
    expect(await cowherd(['put', '-f', volume, source, '/'])).toMatchObject(DONE)
    expect(Buffer.from(await cat(volume, '/source/a')).toString()).toBe('new')
    expect(await ls(volume, '/source/d')).toEqual(['b', 'c'])
    const mode = (text: string): unknown => (JSON.parse(text) as { mode: string }[])[0].mode
    expect(mode((await cowherd(['stat', '--json', volume, '/source/d'])).out)).toBe(mode(before))
    rmSync(join(source, 'd'), { recursive: true })
    writeFileSync(join(source, 'd'), 'no directory any more')
    expect(await cowherd(['put', '-f', volume, source, '/'])).toMatchObject({
      code: 1,
      err: 'cowherd: source/d: is a directory\n',
    })
    await expectFaultless(volume)
  })

  test('a directory with another group and a default access list bequeaths nothing', async () => {
    expect(await cowherd(['put', volume, source, '/'])).toMatchObject(DONE)
    const parent = join(folder, 'parent')
    mkdirSync(parent)
    if (native === undefined) return
    const list = (await import('../testing/sample-tree.ts')).DEFAULT_LIST
    native.setXattr(Buffer.from(parent), 'system.posix_acl_default', list)
    chmodSync(parent, 0o2775)
    expect(await cowherd(['put', volume, parent, '/'])).toMatchObject(DONE)
    expect(await cowherd(['put', volume, source, '/parent'])).toMatchObject(DONE)
    const rows = (await rowsOf(volume)).filter(({ path }) => path.startsWith('parent/'))
    const expected = localRows(source, native).map(({ path, ...row }) => ({
      ...row,
      path: path === '.' ? 'parent/source' : `parent/source/${path}`,
    }))
    expect(comparable(rows)).toEqual(comparable(expected))
  })

  test('failures: no such file, no such directory, no words', async () => {
    expect(await cowherd(['put', volume, join(folder, 'none'), '/'])).toMatchObject({
      code: 1,
      err: `cowherd: ${folder}/none: no such file or directory\n`,
    })
    expect(await cowherd(['put', volume, source, '/no/such'])).toMatchObject({
      code: 1,
      err: 'cowherd: /no/such: no such file or directory\n',
    })
    expect(await cowherd(['put', volume, source, '/no/'])).toMatchObject({ code: 1 })
    expect((await cowherd(['put', volume, source])).code).toBe(2)
    expect((await cowherd(['put', volume])).code).toBe(2)
    expect((await cowherd(['put', join(folder, 'none.img'), source, '/'])).code).toBe(3)
    expect((await cowherd(['put', '-o', 'nolock', volume, source, '/'])).code).toBe(2)
  })

  test('the volume does not go into itself', async () => {
    const { code, err } = await cowherd(['put', volume, folder, '/'])
    expect([code, err]).toEqual([0, `cowherd: ${volume}: is the volume itself; it is left out\n`])
    expect(await ls(volume, `/${folder.split('/').at(-1) ?? ''}`)).toEqual(['source'])
  })

  test('what can not be read is told; all else is copied', async () => {
    chmodSync(join(source, 'a'), 0)
    chmodSync(join(source, 'd'), 0)
    const { code, err } = await cowherd(['put', volume, source, '/'])
    if (!root) {
      const told = [`cowherd: ${source}/a: permission denied`, `cowherd: ${source}/d: permission denied`, '']
      expect([code, err.split('\n')]).toEqual([1, told])
      expect(await ls(volume, '/source')).toEqual(['d'])
    } else expect(code).toBe(0)
    chmodSync(join(source, 'd'), 0o700)
  })

  test('a volume in use is refused, and the message says by whom', async () => {
    const holder = spawn('flock', [volume, 'sh', '-c', 'echo locked; sleep 100'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    await once(holder.stdout, 'data')
    const { code, err } = await cowherd(['put', volume, source, '/'])
    holder.kill()
    expect(code).toBe(3)
    expect(err).toContain(`${holder.pid ?? 0}`)
  })
})

describe('standard input', () => {
  test('becomes a file', async () => {
    const volume = await newVolume(folder)
    const content = noise(2 * MIB + 5)
    const pieces = [content.subarray(0, 3), content.subarray(3, MIB), content.subarray(MIB)]
    expect(await cowherd(['put', volume, '-', '/file'], { input: pieces })).toMatchObject(DONE)
    expect(Buffer.compare(await cat(volume, '/file'), content)).toBe(0)
    expect(await cowherd(['put', volume, '-', '/empty'])).toMatchObject(DONE)
    expect(await cowherd(['put', volume, '-', '/file'], { input: pieces })).toMatchObject({ code: 1 })
    expect(await cowherd(['put', '-f', volume, '-', '/file'], { input: [Buffer.from('new')] })).toMatchObject(DONE)
    expect(Buffer.from(await cat(volume, '/file')).toString()).toBe('new')
    expect(await cowherd(['put', volume, '-', '/'])).toMatchObject({
      code: 1,
      err: 'cowherd: /: is a directory: what comes from standard input needs a name\n',
    })
    expect((await cowherd(['put', volume, '-', source, '/'])).code).toBe(2)
    expect((await cowherd(['put', '--passphrase-file', '-', volume, '-', '/x'])).code).toBe(2)
    await expectFaultless(volume)
  })

  test('leaves nothing when it fails', async () => {
    const volume = await newVolume(folder)
    const input = (function* () {
      yield new Uint8Array(3 * MIB)
      throw Object.assign(new Error('it failed'), { code: 'EIO', syscall: 'read' })
    })()
    const { code, err } = await cowherd(['put', volume, '-', '/file'], { input })
    expect([code, err]).toEqual([1, "cowherd: standard input can't be read (EIO)\n"])
    expect(await ls(volume, '/')).toEqual(['lost+found'])
    await expectFaultless(volume)
  })
})

describe('a volume that becomes full', () => {
  test('ends a copy; what is whole stays, and the volume is sound', async () => {
    mkdirSync(join(source, 'first'))
    for (let i = 0; i < 20; i++) writeFileSync(join(source, 'first', `${i}`), noise(MIB / 2 + i))
    for (let i = 0; i < 8; i++) writeFileSync(join(source, `large-${i}`), noise(16 * MIB + i))
    const volume = await newVolume(folder, ['--fs_size=64M'])
    const { code, err } = await cowherd(['put', volume, source, '/'])
    expect(code).toBe(1)
    expect(err).toMatch(/^cowherd: source\/large-\d: no space left on the volume \(.*\)\n$/)
    const rows = (await rowsOf(volume)).filter(({ type }) => type === 'f')
    const expected = new Map(localRows(source, undefined).map(({ path, content }) => [`source/${path}`, content]))
    expect(rows.length).toBeGreaterThanOrEqual(20)
    for (const { path, content } of rows) expect([path, content]).toEqual([path, expected.get(path)])
    await expectFaultless(volume)
    // and there is room again when something goes
    expect(await cowherd(['rm', '-r', volume, '/source'])).toMatchObject(DONE)
    expect(await cowherd(['put', volume, join(source, 'large-0'), '/'])).toMatchObject(DONE)
    await expectFaultless(volume)
  })

  test('ends standard input', async () => {
    const volume = await newVolume(folder, ['--fs_size=64M'])
    const input = (function* () {
      for (;;) yield new Uint8Array(MIB).fill(1)
    })()
    const { code, err } = await cowherd(['put', volume, '-', '/file'], { input })
    expect(code).toBe(1)
    expect(err).toMatch(/^cowherd: file: no space left on the volume/)
    expect(await ls(volume, '/')).toEqual(['lost+found'])
    await expectFaultless(volume)
  })
})

test('format --source: failures', async () => {
  const image = join(folder, 'x.img')
  const words = ['format', '-q', '--fs_size=64M']
  expect(await cowherd([...words, '--source=/no/such', image])).toMatchObject({
    code: 1,
    err: 'cowherd: /no/such: no such directory\n',
  })
  expect(existsSync(image)).toBe(false)
  expect((await cowherd([...words, '--no_initialize', `--source=${source}`, image])).code).toBe(2)
  writeFileSync(join(source, 'much'), noise(96 * MIB))
  const { code, err } = await cowherd([...words, `--source=${source}`, image])
  expect([code, err.split(' (')[0]]).toEqual([1, 'cowherd: much: no space left on the volume'])
  await expectFaultless(image)
})

test('names of files that are links to others, and of the volume, stay what they are', async () => {
  const volume = await newVolume(folder)
  symlinkSync('nowhere', join(source, 'dangling'))
  writeFileSync(join(source, 'one'), 'x')
  linkSync(join(source, 'one'), join(folder, 'outside'))
  expect(
    await cowherd(['put', volume, join(source, 'dangling'), join(source, 'one'), join(folder, 'outside'), '/all']),
  ).toMatchObject(DONE)
  const rows = await rowsOf(volume)
  expect(
    rows.filter(({ path }) => path.startsWith('all/')).map(({ path, links, content }) => [path, links, content.length]),
  ).toEqual([
    ['all/dangling', '1', 7],
    ['all/one', '2', 64],
    ['all/outside', '2', 64],
  ])
  expect(readFileSync(join(source, 'one'), 'utf8')).toBe('x')
})
