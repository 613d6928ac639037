/** Devices that are added to volumes, or have grown, as the real tools see them. */

import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { copyOf, fixture } from '@cowherd/fixtures'
import { referee } from '@cowherd/referee'
import { afterAll, describe, expect, test } from 'vitest'
import { cowherd } from '../testing/command-line.ts'

const MIB = 2 ** 20
const folder = mkdtempSync(join(tmpdir(), 'cowherd-device-'))
afterAll(() => rmSync(folder, { recursive: true }))

let images = 0
function image(mebibytes = 64): string {
  const path = join(folder, `${images++}.img`)
  writeFileSync(path, '')
  truncateSync(path, mebibytes * MIB)
  return path
}

async function make(...words: string[]): Promise<void> {
  expect(await cowherd(['format', '-q', ...words], { env: PASSPHRASE })).toMatchObject({ err: '', code: 0 })
}

const PASSPHRASE = { COWHERD_PASSPHRASE: 'secret' }

async function shown(device: string, name: string): Promise<string[]> {
  const { out } = await cowherd(['show-super', device])
  return [...out.matchAll(new RegExp(`^ *${name}: +(.*?) *$`, 'gm'))].map(([, value]) => value)
}

async function expectSound(...devices: string[]): Promise<void> {
  if (referee.available()) expect(await referee.fsck(devices)).toMatchObject({ clean: true, complaints: [] })
}

describe('device add', () => {
  test('with options', async () => {
    const [a, b] = [image(), image(128)]
    await make(a)
    const words = ['--label=ssd.fast', '--durability=2', '--discard', '--bucket=256k', '--data_allowed=btree,user']
    expect(await cowherd(['device', 'add', ...words, '--fs_size=100M', a, b])).toMatchObject({
      ...{ code: 0, err: '', out: `${b}: device 1, 400 buckets of 256 KiB\n` },
    })
    for (const device of [a, b]) {
      expect(await shown(device, 'Label')).toEqual(expect.arrayContaining(['(none)', 'fast (1)']))
      expect(await shown(device, 'Buckets')).toEqual(['512', '400'])
      expect(await shown(device, 'Durability')).toEqual(['1', '2'])
      expect(await shown(device, 'Discard')).toEqual(['0', '1'])
      expect(await shown(device, 'Data allowed')).toEqual(['journal,btree,user', 'btree,user'])
    }
    await expectSound(a, b)
    expect(await cowherd(['find', `${b}:${a}`])).toMatchObject({ code: 0, out: '/\n/lost+found\n' })
    expect((await cowherd(['find', a])).err).toContain('is missing')
  })

  test('an image that is not there is made', async () => {
    const a = image()
    const b = join(folder, 'made.img')
    await make(a)
    expect(await cowherd(['device', 'add', '-q', '--fs_size=64M', a, b])).toMatchObject({ code: 0, out: '', err: '' })
    await expectSound(a, b)
  })

  test('to an encrypted volume, with its passphrase', async () => {
    const [a, b] = [image(), image()]
    await make('--encrypted', a)
    const wrong = { COWHERD_PASSPHRASE: 'wrong' }
    expect(await cowherd(['device', 'add', a, b], { env: wrong })).toMatchObject({ code: 1 })
    expect(await cowherd(['device', 'add', a, b], { env: PASSPHRASE })).toMatchObject({ code: 0, err: '' })
    expect(await cowherd(['find', `${a}:${b}`], { env: PASSPHRASE })).toMatchObject({ code: 0 })
  })

  test('over something else only by force', async () => {
    const [a, b] = [image(), image()]
    await make(a)
    await make(b)
    const before = readFileSync(b)
    const refused = await cowherd(['device', 'add', a, b])
    expect(refused).toMatchObject({ code: 1, out: '' })
    expect(refused.err).toContain('holds bcachefs already (--force overwrites it)')
    expect(Buffer.compare(readFileSync(b), before)).toBe(0)
    expect(await cowherd(['device', 'add', '-f', a, b])).toMatchObject({ code: 0, err: '' })
    await expectSound(a, b)
  })

  test.each<[string, string[], number, string]>([
    ['a size that is none', ['--fs_size=much'], 2, "'much'"],
    ['a durability out of bounds', ['--durability=7'], 1, '0 to 2 can be'],
    ['a type of data that is none', ['--data_allowed=cows'], 2, "'cows' is none of"],
    ['buckets that are too small', ['--bucket=16k'], 1, 'smaller than a btree node'],
  ])('%s is refused', async (_, words, code, message) => {
    const [a, b] = [image(), image()]
    await make(a)
    const before = readFileSync(a)
    const result = await cowherd(['device', 'add', ...words, a, b])
    expect(result).toMatchObject({ code, out: '' })
    expect(result.err).toContain(message)
    expect(Buffer.compare(readFileSync(a), before)).toBe(0)
  })
})

describe('device resize', () => {
  test('all of it, some of it, none of it', async () => {
    const [a, b] = [image(), image()]
    await make('--replicas=2', a, b)
    truncateSync(b, 128 * MIB)
    const resize = (...words: string[]) => cowherd(['device', 'resize', `${a}:${b}`, ...words])
    expect(await resize(b, '96M')).toMatchObject({ code: 0, err: '', out: 'device 1: 768 buckets, before 512\n' })
    await expectSound(a, b)
    expect(await resize('1')).toMatchObject({ code: 0, err: '', out: 'device 1: 1024 buckets, before 768\n' })
    await expectSound(a, b)
    expect(await resize('1')).toMatchObject({ code: 0, err: '', out: 'device 1: 1024 buckets, as before\n' })
    expect(await shown(a, 'Buckets')).toEqual(['512', '1024'])
    const smaller = await resize('1', '64M')
    expect(smaller).toMatchObject({ code: 1, out: '' })
    expect(smaller.err).toContain("can't become smaller")
    expect((await resize('1', '1G')).err).toContain('more than there is')
    expect((await resize('2')).err).toContain('no device of the volume')
    expect(await resize('1', 'much')).toMatchObject({ code: 2 })
  })

  test.skipIf(!referee.available())('leaves what the real tool can enlarge again', async () => {
    const [a] = [image()]
    await make(a)
    truncateSync(a, 100 * MIB)
    expect(await cowherd(['device', 'resize', a, a])).toMatchObject({ code: 0 })
    truncateSync(a, 150 * MIB)
    expect(await referee.bcachefs(['device', 'resize', a])).toMatchObject({ code: 0 })
    await expectSound(a)
    truncateSync(a, 200 * MIB)
    expect(await cowherd(['device', 'resize', a, a])).toMatchObject({ code: 0, err: '' })
    expect(await shown(a, 'Buckets')).toEqual(['1600'])
    await expectSound(a)
  })
})

describe.skipIf(!referee.available())('golden volumes', () => {
  test.each(['default', 'replicas', 'encrypted', 'unclean'])('%s: with another device, and larger', async (name) => {
    const golden = fixture(name)
    const devices = copyOf(golden, folder)
    const env = golden.passphrase === undefined ? {} : { COWHERD_PASSPHRASE: golden.passphrase }
    const before = await cowherd(['manifest', devices.join(':')], { env })
    const added = image(96)
    expect(await cowherd(['device', 'add', devices.join(':'), added], { env })).toMatchObject({ code: 0 })
    const all = [...devices, added].join(':')
    truncateSync(devices[0], 1024 * MIB)
    expect(await cowherd(['device', 'resize', all, '0'], { env })).toMatchObject({ code: 0 })
    if (golden.passphrase === undefined) await expectSound(...devices, added)
    expect((await cowherd(['manifest', all], { env })).out).toBe(before.out)
  })

  test('Linux mounts what comes of it, writes, and sees the same afterwards', { timeout: 600_000 }, async () => {
    const [a, b, c] = [image(), image(), image(96)]
    await make(a)
    await cowherd(['device', 'add', '--label=second', a, b])
    await make('--replicas=2', c, '-f', image())
    truncateSync(c, 160 * MIB)
    const d = join(folder, `${images - 1}.img`)
    expect(await cowherd(['device', 'resize', `${c}:${d}`, c])).toMatchObject({ code: 0 })
    const script = (disks: string) => `set -e
      mount -t bcachefs ${disks} $MNT
      mkdir $MNT/d; for i in $(seq 300); do echo $i > $MNT/d/$i; done
      dd if=/dev/urandom of=$MNT/data bs=1M count=24 2>/dev/null
      rm $MNT/d/1?; sync; manifest $MNT > shown; umount $MNT`
    const { jobs } = await referee.vm({
      disks: { a, b, c, d },
      jobs: [
        { name: 'added', script: script('/disk/a:/disk/b') },
        { name: 'grown', script: script('/disk/c:/disk/d') },
      ],
    })
    for (const [name, devices] of Object.entries({ added: [a, b], grown: [c, d] })) {
      const job = jobs[name]
      expect(job, job.kernelLog).toMatchObject({ code: 0, output: '' })
      expect(job.kernelLog).not.toMatch(/error|inconsist|fixing/i)
      await expectSound(...devices)
      expect((await cowherd(['manifest', devices.join(':')])).out).toBe(job.file('shown').toString())
    }
  })
})
