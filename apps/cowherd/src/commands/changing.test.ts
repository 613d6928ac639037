/** rm, mkdir, mv and ln. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { copyOf, fixture } from '@cowherd/fixtures'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { cowherd, type Ran } from '../testing/command-line.ts'
import { expectFaultless, newVolume } from '../testing/new-volume.ts'

let folder: string
let volume: string
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cowherd-change-'))
  volume = await newVolume(folder, ['--fs_size=64M'])
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const DONE = { code: 0, out: '', err: '' }
const failed = (...lines: string[]): object => ({
  code: 1,
  out: '',
  err: lines.map((line) => `cowherd: ${line}\n`).join(''),
})
const find = async (path = '/'): Promise<string[]> => (await cowherd(['find', volume, path])).out.trim().split('\n')
const file = (path: string, content = path): Promise<Ran> =>
  cowherd(['put', volume, '-', path], { input: [Buffer.from(content)] })
const cat = async (path: string): Promise<string> => (await cowherd(['cat', volume, path])).out
const stat = async (path: string): Promise<Record<string, unknown>> =>
  (JSON.parse((await cowherd(['stat', '--json', volume, path])).out) as Record<string, unknown>[])[0]

describe('mkdir', () => {
  test('one after the other, with those on the way, with a mode', async () => {
    expect(await cowherd(['mkdir', volume, 'a', '/a/b'])).toMatchObject(DONE)
    expect(await cowherd(['mkdir', '-p', '-m', '2700', volume, '/x/y/z', '/a/b/'])).toMatchObject(DONE)
    expect(await find()).toEqual(['/', '/a', '/a/b', '/lost+found', '/x', '/x/y', '/x/y/z'])
    const { mode, uid, type } = await stat('/x/y/z')
    expect([mode, uid, type]).toEqual(['2700', process.getuid?.() ?? 0, 'directory'])
    expect((await stat('/x'))['mode']).toMatch(/^07/)
    await expectFaultless(volume)
  })

  test('failures', async () => {
    await file('/file')
    const words = ['/lost+found', '/none/x', '/file/x', '/', '..', `/${'n'.repeat(256)}`, '/ok']
    expect(await cowherd(['mkdir', volume, ...words])).toMatchObject(
      failed(
        '/lost+found: is there already',
        '/none/x: no such file or directory',
        '/file/x: is not a directory',
        '/: has no name of its own',
        '..: has no name of its own',
        `/${'n'.repeat(256)}: the name is too long`,
      ),
    )
    expect(await find()).toEqual(['/', '/file', '/lost+found', '/ok'])
    expect(await cowherd(['mkdir', '-p', volume, '/file/x', '/file'])).toMatchObject(
      failed('/file/x: not a directory', '/file: not a directory'),
    )
    expect((await cowherd(['mkdir', '-m', '999', volume, '/x'])).code).toBe(2)
    expect((await cowherd(['mkdir', volume])).code).toBe(2)
  })
})

describe('rm', () => {
  test('files, links and trees', async () => {
    await cowherd(['mkdir', '-p', volume, '/d/e/f', '/keep'])
    for (const path of ['/a', '/b', '/d/e/x', '/d/y', '/keep/z']) await file(path)
    await cowherd(['ln', '-s', volume, '/keep', '/d/link'])
    expect(await cowherd(['rm', volume, '/a', 'd/y'])).toMatchObject(DONE)
    expect(await cowherd(['rm', '-r', volume, '/d', 'b'])).toMatchObject(DONE)
    expect(await find()).toEqual(['/', '/keep', '/keep/z', '/lost+found'])
    await expectFaultless(volume)
  })

  test('failures, and what -f passes over', async () => {
    await cowherd(['mkdir', volume, '/d'])
    await file('/f')
    expect(await cowherd(['rm', volume, '/none', '/d', '/f/x', '/', '/f'])).toMatchObject(
      failed(
        '/none: no such file or directory',
        'd: is a directory (-r removes it with all that is in it)',
        '/f/x: not a directory',
        '/: has no name of its own',
      ),
    )
    expect(await cowherd(['rm', '-f', volume, '/none', '/d/none'])).toMatchObject(DONE)
    expect(await cowherd(['rm', '-rf', volume, '/', 'd/..'])).toMatchObject({ code: 1 })
    expect(await find()).toEqual(['/', '/d', '/lost+found'])
  })

  test('a directory with more names than are read at a time', async () => {
    const source = join(folder, 'many')
    const { mkdirSync } = await import('node:fs')
    mkdirSync(source)
    for (let i = 0; i < 1500; i++) writeFileSync(join(source, `file-${i}`), `${i}`)
    expect(await cowherd(['put', volume, source, '/'])).toMatchObject(DONE)
    expect((await find('/many')).length).toBe(1501)
    expect(await cowherd(['rm', '-r', volume, '/many'])).toMatchObject(DONE)
    expect(await find()).toEqual(['/', '/lost+found'])
    await expectFaultless(volume)
  })

  test('subvolumes stay, and the directories that they are in', async () => {
    volume = copyOf(fixture('snapshots'), folder).join(':')
    const before = await find()
    const { out } = await cowherd(['list', '-b', 'subvolumes', volume])
    expect(out).toContain('subvolume')
    const { code, err } = await cowherd([
      'rm',
      '-r',
      volume,
      ...(await cowherd(['ls', volume, '/'])).out.trim().split('\n'),
    ])
    expect(code).toBe(1)
    expect(err).toMatch(/: is a subvolume; it is not removed\n/)
    const after = await find()
    expect(after.length).toBeLessThan(before.length)
    expect(before).toEqual(expect.arrayContaining(after))
  })
})

describe('mv', () => {
  test('to another name, to another directory, and over what is there', async () => {
    await cowherd(['mkdir', volume, '/d', '/e'])
    for (const path of ['/a', '/b', '/c']) await file(path)
    expect(await cowherd(['mv', volume, '/a', '/a2'])).toMatchObject(DONE)
    expect(await cowherd(['mv', volume, 'a2', 'b', '/d'])).toMatchObject(DONE)
    expect(await cowherd(['mv', volume, '/d', '/e/'])).toMatchObject(DONE)
    expect(await find()).toEqual(['/', '/c', '/e', '/e/d', '/e/d/a2', '/e/d/b', '/lost+found'])
    expect(await cowherd(['mv', volume, '/c', '/e/d/b'])).toMatchObject(
      failed('e/d/b: exists already (--force replaces it)'),
    )
    expect(await cowherd(['mv', '-f', volume, '/c', '/e/d/b'])).toMatchObject(DONE)
    expect(await cat('/e/d/b')).toBe('/c')
    await expectFaultless(volume)
  })

  test('failures', async () => {
    await cowherd(['mkdir', '-p', volume, '/d/e', '/full/e'])
    await file('/f')
    await file('/full/e/x')
    expect(await cowherd(['mv', volume, '/none', '/x'])).toMatchObject(failed('/none: no such file or directory'))
    expect(await cowherd(['mv', volume, '/d', '/d/e'])).toMatchObject({ code: 1 })
    expect(await cowherd(['mv', '-f', volume, '/d/e', '/full'])).toMatchObject({ code: 1 })
    expect(await cowherd(['mv', volume, '/f', '/no/x'])).toMatchObject(failed('/no/x: no such file or directory'))
    expect(await cowherd(['mv', volume, '/f', '/d', '/new'])).toMatchObject(failed('new: is no directory'))
    expect(await cowherd(['mv', volume, '/', '/d'])).toMatchObject(failed('/: has no name of its own'))
    expect((await cowherd(['mv', volume, '/f'])).code).toBe(2)
    expect(await find()).toEqual(['/', '/d', '/d/e', '/f', '/full', '/full/e', '/full/e/x', '/lost+found'])
  })
})

describe('ln', () => {
  test('hard and symbolic, to a name and into a directory', async () => {
    await cowherd(['mkdir', volume, '/d'])
    await file('/f')
    expect(await cowherd(['ln', volume, '/f', '/g'])).toMatchObject(DONE)
    expect(await cowherd(['ln', volume, 'f', '/d'])).toMatchObject(DONE)
    expect(await cowherd(['ln', '-s', volume, '../f', '/d/s'])).toMatchObject(DONE)
    expect(await cowherd(['ln', '-s', volume, 'no/where', '/d'])).toMatchObject(DONE)
    const { links, inode } = await stat('/f')
    expect([links, (await stat('/d/f'))['inode']]).toEqual([3, inode])
    expect((await stat('/d/where'))['target']).toBe('no/where')
    expect(await cat('/d/s')).toBe('/f')
    await expectFaultless(volume)
  })

  test('failures, and what is there', async () => {
    await cowherd(['mkdir', volume, '/d'])
    await file('/f')
    await file('/g')
    expect(await cowherd(['ln', volume, '/none', '/x'])).toMatchObject(failed('/none: no such file or directory'))
    expect(await cowherd(['ln', volume, '/d', '/x'])).toMatchObject(failed('/x: a directory has one name only'))
    expect(await cowherd(['ln', volume, '/f', '/no/x'])).toMatchObject(failed('/no/x: no such file or directory'))
    expect(await cowherd(['ln', volume, '/f', '/g'])).toMatchObject(failed('g: exists already (--force replaces it)'))
    expect(await cowherd(['ln', '-f', volume, '/f', '/f'])).toMatchObject(failed('f: exists already'))
    expect(await cowherd(['ln', '-f', volume, '/f', '/g'])).toMatchObject(DONE)
    expect(await cat('/g')).toBe('/f')
    expect(await cowherd(['ln', '-s', '-f', volume, 'f', '/g'])).toMatchObject(DONE)
    expect((await stat('/g'))['target']).toBe('f')
    expect((await cowherd(['ln', '-s', volume, '', '/x'])).code).toBe(1)
    expect((await cowherd(['ln', volume, '/f'])).code).toBe(2)
    await expectFaultless(volume)
  })
})

test('an encrypted volume asks for its passphrase; a wrong one changes nothing', async () => {
  const env = { COWHERD_PASSPHRASE: 'secret' }
  volume = await newVolume(folder, ['--fs_size=64M', '--encrypted'], { env })
  expect(await cowherd(['mkdir', volume, '/d'], { env })).toMatchObject(DONE)
  expect((await cowherd(['mkdir', volume, '/e'], { env: { COWHERD_PASSPHRASE: 'wrong' } })).code).toBe(3)
  const passphrase = join(folder, 'passphrase')
  writeFileSync(passphrase, 'secret\n')
  expect(await cowherd(['mv', '--passphrase-file', passphrase, volume, '/d', '/f'])).toMatchObject(DONE)
  expect((await cowherd(['ls', volume, '/'], { env })).out).toBe('f\nlost+found\n')
})
