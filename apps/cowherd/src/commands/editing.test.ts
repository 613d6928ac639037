/** What changes superblocks, as the real tools see it. */

import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { copyOf, fixture, fixtureNames } from '@cowherd/fixtures'
import { referee } from '@cowherd/referee'
import { afterAll, describe, expect, test } from 'vitest'
import { cowherd } from '../testing/command-line.ts'

const folder = mkdtempSync(join(tmpdir(), 'cowherd-editing-'))
afterAll(() => rmSync(folder, { recursive: true }))

let images = 0
function image(): string {
  const path = join(folder, `${images++}.img`)
  writeFileSync(path, '')
  truncateSync(path, 64 * 2 ** 20)
  return path
}

async function make(...words: string[]): Promise<void> {
  expect(await cowherd(['format', '-q', ...words], { env: { COWHERD_PASSPHRASE: 'old' } })).toMatchObject({
    err: '',
    code: 0,
  })
}

async function option(device: string, name: string): Promise<string> {
  const { out } = await cowherd(['show-super', device])
  return new RegExp(`^ +${name}: +(.*?) *$`, 'm').exec(out)?.[1] ?? ''
}

/** The copies at all three places say the same of an option. */
const WORDS = [
  '--compression=zstd:5',
  '--no_acl',
  '--errors=ro',
  '--gc_reserve_percent=10',
  '--metadata_checksum=xxhash',
]

describe('set-fs-option', () => {
  test('on all devices', async () => {
    const [a, b] = [image(), image()]
    await make('--label=ssd.fast', a, '--label=hdd', b)
    expect(await cowherd(['set-fs-option', ...WORDS, '--foreground_target=ssd', `${b}:${a}`])).toMatchObject({
      code: 0,
      err: '',
    })
    for (const device of [a, b]) {
      expect(await option(device, 'compression')).toBe('zstd:5')
      expect(await option(device, 'acl')).toBe('0')
      expect(await option(device, 'errors')).toBe('continue fix_safe panic [ro]')
      expect(await option(device, 'foreground_target')).toBe('ssd')
      expect(await option(device, 'Features')).toBe('')
    }
    if (referee.available()) expect(await referee.fsck([a, b])).toMatchObject({ clean: true })
    expect(await cowherd(['find', `${a}:${b}`])).toMatchObject({ code: 0, err: '' })
  })

  test.each<[string, string[], number, string]>([
    ['nothing', [], 2, 'no option is given'],
    ['an option out of bounds', ['--data_replicas=9'], 1, 'is 9, not below 4'],
    ['a value that is none', ['--errors=hm'], 1, "'hm' is none of"],
    ['what is fixed', ['--block_size=512'], 1, 'is fixed for the life of a volume'],
    ['an unknown target', ['--promote_target=tape'], 1, "target 'tape' is neither"],
  ])('%s is refused, and nothing is written', async (_, words, code, message) => {
    const device = image()
    await make(device)
    const before = readFileSync(device)
    const result = await cowherd(['set-fs-option', ...words, device])
    expect(result).toMatchObject({ code, out: '' })
    expect(result.err).toContain(message)
    expect(Buffer.compare(readFileSync(device), before)).toBe(0)
  })

  test('a volume whose devices are not all there is left alone', async () => {
    const [a, b] = [image(), image()]
    await make(a, b)
    const before = readFileSync(a)
    expect(await cowherd(['set-fs-option', '--no_acl', a])).toMatchObject({ code: 1 })
    expect(Buffer.compare(readFileSync(a), before)).toBe(0)
  })

  test.skipIf(!referee.available()).each(fixtureNames())(
    'golden volume %s: nothing but the option changes',
    async (name) => {
      const golden = fixture(name)
      const devices = copyOf(golden, folder)
      const volume = devices.join(':')
      const env = golden.passphrase === undefined ? {} : { COWHERD_PASSPHRASE: golden.passphrase }
      const before = await cowherd(['manifest', volume], { env })
      const shown = (await referee.bcachefs(['show-super', '-f', 'all', devices[0]])).stdout
      expect(await cowherd(['set-fs-option', '--root_reserve_percent=7', volume])).toMatchObject({ code: 0, err: '' })
      const after = (await referee.bcachefs(['show-super', '-f', 'all', devices[0]])).stdout
      const comparable = (text: string) =>
        text
          .replaceAll(
            /^(Sequence number|Time of last write|Superblock size| {2}Last superblock write| {2}root_reserve_percent):.*$/gm,
            '$1',
          )
          .replaceAll(/^members_v1[\s\S]*?\n\n/gm, '')
      expect(comparable(after)).toBe(comparable(shown))
      expect(after).toMatch(/^ {2}root_reserve_percent: +7$/m)
      expect((await cowherd(['manifest', volume], { env })).out).toBe(before.out)
    },
  )
})

describe('passphrases', () => {
  const find = (device: string, passphrase?: string) =>
    cowherd(['find', device], { env: passphrase === undefined ? {} : { COWHERD_PASSPHRASE: passphrase } })

  test('another one, none, and one again', async () => {
    const device = image()
    await make('--encrypted', device)
    const env = { COWHERD_PASSPHRASE: 'old', COWHERD_NEW_PASSPHRASE: 'new' }
    expect(await cowherd(['set-passphrase', device], { env })).toMatchObject({ code: 0, err: '' })
    expect(await find(device, 'old')).toMatchObject({ code: 3 })
    expect(await find(device, 'new')).toMatchObject({ code: 0 })

    expect(await cowherd(['remove-passphrase', device], { env: { COWHERD_PASSPHRASE: 'new' } })).toMatchObject({
      code: 0,
      err: '',
    })
    expect(await find(device)).toMatchObject({ code: 0 })
    if (referee.available()) expect(await referee.fsck([device])).toMatchObject({ clean: true })

    expect(await cowherd(['set-passphrase', device], { env: { COWHERD_NEW_PASSPHRASE: 'third' } })).toMatchObject({
      code: 0,
      err: '',
    })
    expect(await find(device, 'third')).toMatchObject({ code: 0 })
  })

  test('a wrong one changes nothing', async () => {
    const device = image()
    await make('--encrypted', device)
    const env = { COWHERD_PASSPHRASE: 'wrong', COWHERD_NEW_PASSPHRASE: 'new' }
    expect(await cowherd(['set-passphrase', device], { env })).toMatchObject({ code: 1 })
    expect(await find(device, 'old')).toMatchObject({ code: 0 })
  })

  test('a volume without encryption has none', async () => {
    const device = image()
    await make(device)
    const { code, err } = await cowherd(['set-passphrase', device])
    expect(code).toBe(1)
    expect(err).toContain('not encrypted')
  })
})

describe('device set-state', () => {
  test('by path and by number', async () => {
    const [a, b] = [image(), image()]
    await make(a, b)
    expect(await cowherd(['device', 'set-state', `${a}:${b}`, b, 'ro'])).toMatchObject({ code: 0, err: '' })
    const states = async () =>
      (await cowherd(['show-super', a])).out.match(/^ +State:.*$/gm)?.map((line) => line.split(/\s+/).at(-1))
    expect(await states()).toEqual(['rw', 'ro'])
    expect(await cowherd(['device', 'set-state', `${a}:${b}`, '1', 'rw'])).toMatchObject({ code: 0, err: '' })
    expect(await states()).toEqual(['rw', 'rw'])
    expect((await cowherd(['device', 'set-state', `${a}:${b}`, '1', 'broken'])).err).toContain(
      'is none of rw, ro, failed, spare',
    )
    expect((await cowherd(['device', 'set-state', `${a}:${b}`, '2', 'ro'])).err).toContain(
      "'2' is no device of the volume",
    )
  })
})
