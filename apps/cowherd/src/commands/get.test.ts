import {
  chmodSync,
  existsSync,
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
import { fixture, fixtureNames } from '@cowherd/fixtures'
import { loadNative } from '@cowherd/shim'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { localTree, parseManifest, type ManifestRow } from '../copy/local-tree.ts'
import { cowherd } from '../testing/command-line.ts'
import { hasGetfattr, xattrsOf } from '../testing/xattrs.ts'

const root = process.getuid?.() === 0
const hasKoffi = loadNative() !== undefined

let folder: string
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'cowherd-get-'))))
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const volumeOf = (name: string): string => fixture(name).devices.join(':')
// (a directory's links count those below, where bcachefs leaves out subvolumes)
const comparable = (row: ManifestRow): object => ({
  ...row,
  links: row.type === 'd' ? '' : row.links,
  blocks: '',
  xattrs: '',
})

describe.skipIf(!root || !hasKoffi)('as root, with koffi, everything is kept', () => {
  test.each(fixtureNames())(
    '%s',
    async (name) => {
      const { passphrase, manifest } = fixture(name)
      const env = passphrase === undefined ? {} : { COWHERD_PASSPHRASE: passphrase }
      const copy = join(folder, 'copy')
      const { code, err } = await cowherd(['get', '-a', volumeOf(name), '/', copy], { env })
      expect([code, err]).toEqual([0, ''])
      const rows = parseManifest(readFileSync(manifest, 'utf8'))
      expect(localTree(copy).map(comparable)).toEqual(rows.map(comparable))
      if (!hasGetfattr) return
      const expected = rows.filter(({ xattrs }) => xattrs !== '-').map(({ path, xattrs }) => [path, xattrs] as const)
      expect(xattrsOf(copy)).toEqual(new Map(expected))
    },
    60_000,
  )
})

test('holes stay holes', async () => {
  const copy = join(folder, 'copy')
  await cowherd(['get', volumeOf('default'), '/tree', copy])
  for (const name of ['sparse', 'prealloc', 'punched']) {
    const original = parseManifest(readFileSync(fixture('default').manifest, 'utf8')).find(
      ({ path }) => path === `tree/${name}`,
    )
    const { size, blocks } = lstatSync(join(copy, name))
    expect(size).toBe(Number(original?.size))
    expect(blocks).toBeLessThanOrEqual(Math.max(Number(original?.blocks), 64))
  }
})

test('without koffi, what is not kept is told, and is an error with -a only', async () => {
  process.env['COWHERD_NO_KOFFI'] = '1'
  try {
    const { code, err } = await cowherd(['get', volumeOf('default'), '/tree', join(folder, 'plain')])
    expect(code).toBe(0)
    expect(err).toMatch(/^cowherd: not kept: .*koffi is not installed/m)
    for (const kind of [
      'fifos',
      'device nodes',
      'attributes user\\.\\*',
      'access control lists',
      'nanoseconds of times',
    ]) {
      expect(err).toMatch(new RegExp(`not kept: ${kind}: `))
    }
    const strict = await cowherd(['get', '-a', volumeOf('default'), '/tree', join(folder, 'strict')])
    expect([strict.code, strict.err]).toEqual([1, err])
    const rows = parseManifest(readFileSync(fixture('default').manifest, 'utf8'))
    const copied = localTree(join(folder, 'plain'))
    const expected = rows
      .filter(({ path, type }) => path.startsWith('tree/') && 'fdl'.includes(type))
      .map(({ path, content, size, mode }) => ({ path: path.slice(5), content, size, mode }))
    if (!root) for (const row of expected) row.mode = expect.any(String) as string // no set-id bits
    expect(copied.slice(1).map(({ path, content, size, mode }) => ({ path, content, size, mode }))).toEqual(expected)
  } finally {
    delete process.env['COWHERD_NO_KOFFI']
  }
})

describe('the destination', () => {
  const volume = volumeOf('default')

  test('a file gets the name of the destination, or goes into a directory', async () => {
    expect((await cowherd(['get', volume, 'tree/mid', join(folder, 'x')])).code).toBe(0)
    expect(lstatSync(join(folder, 'x')).size).toBe(70_000)
    expect((await cowherd(['get', volume, 'tree/mid', 'tree/./sub/..', folder])).code).toBe(0)
    expect(lstatSync(join(folder, 'mid')).size).toBe(70_000)
    expect(lstatSync(join(folder, 'tree', 'mid')).size).toBe(70_000)
    expect((await cowherd(['get', volume, 'tree/mid', 'tree/one', join(folder, 'new')])).code).toBe(0)
    expect(lstatSync(join(folder, 'new', 'one')).size).toBe(1)
  })

  test('the root goes onto a directory that exists, which keeps its own attributes', async () => {
    chmodSync(folder, 0o751)
    expect((await cowherd(['get', volume, '/', folder])).code).toBe(0)
    expect(lstatSync(folder).mode & 0o777).toBe(0o751)
    expect(existsSync(join(folder, 'tree', 'mid'))).toBe(true)
  })

  test('what exists is refused, and replaced when forced, but never written through', async () => {
    const target = join(folder, 'tree')
    mkdirSync(target)
    const refused = await cowherd(['get', volume, 'tree', folder])
    expect([refused.code, refused.err]).toEqual([1, `cowherd: ${target}: exists already (--force replaces it)\n`])

    writeFileSync(join(folder, 'precious'), 'precious')
    symlinkSync('../precious', join(target, 'mid'))
    mkdirSync(join(folder, 'elsewhere'))
    symlinkSync('../elsewhere', join(target, 'sub'))
    mkdirSync(join(target, 'one'))
    writeFileSync(join(target, 'more'), '')
    const forced = await cowherd(['get', '-f', volume, 'tree', folder])
    const told = forced.err.split('\n').filter((line) => !line.includes('not kept: ')) // (if not root)
    expect([forced.code, told]).toEqual([1, [`cowherd: ${target}/one: is a directory`, '']])
    expect(readFileSync(join(folder, 'precious'), 'utf8')).toBe('precious')
    expect(lstatSync(join(target, 'mid')).isFile()).toBe(true)
    expect(lstatSync(join(target, 'sub')).isDirectory()).toBe(true)
    expect(existsSync(join(target, 'more'))).toBe(true)
  })

  test('failures: no such path, no such directory, no words', async () => {
    expect(await cowherd(['get', volume, 'none', folder])).toMatchObject({
      code: 1,
      err: 'cowherd: none: no such file or directory\n',
    })
    const nowhere = join(folder, 'a', 'b')
    expect(await cowherd(['get', volume, 'tree/mid', nowhere])).toMatchObject({
      code: 1,
      err: `cowherd: ${nowhere}: no such directory\n`,
    })
    expect((await cowherd(['get', volume, folder])).code).toBe(2)
    expect((await cowherd(['get', volume])).code).toBe(2)
  })
})
