/** Volumes made by `cowherd format`, as the real tools see them: the same superblock, nothing for fsck to find, and Linux works in them. */

import { mkdtempSync, rmSync, statSync, truncateSync, writeFileSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { referee } from '@cowherd/referee'
import { afterAll, describe, expect, test } from 'vitest'
import { cowherd } from '../testing/command-line.ts'

const folder = mkdtempSync(join(tmpdir(), 'cowherd-format-'))
afterAll(() => rmSync(folder, { recursive: true }))

let images = 0

/** An image of zeros. */
function image(mebibytes: number): string {
  const path = join(folder, `${images++}.img`)
  writeFileSync(path, '')
  truncateSync(path, mebibytes * 2 ** 20)
  return path
}

/** Options, with the sizes of images where devices stand. */
type Words = readonly (string | number)[]

const VOLUMES: Readonly<Record<string, Words>> = {
  plain: [256],
  large: [200 * 1024],
  smallest: [64],
  'small nodes': ['--btree_node_size=64k', '--block_size=4k', 2048],
  'small buckets': ['--bucket=64k', 512],
  options: [
    ...['--metadata_checksum=xxhash', '--data_checksum=crc64', '--compression=zstd:3', '--background_compression=lz4'],
    ...['--str_hash=crc64', '--errors=ro', '--encoded_extent_max=128k', '--gc_reserve_percent=12', '--wide_macs'],
    ...['--usrquota', '--grpquota', '--root_reserve_percent=3', '--nocow', '-L', 'a name', 256],
  ],
  'no checksums': ['--metadata_checksum=none', '--data_checksum=none', 256],
  'two replicas': ['--replicas=2', 256, 512],
  labels: [
    ...['--metadata_replicas=2', '--foreground_target=ssd', '--promote_target=ssd.fast', '--background_target=hdd'],
    ...['--label=ssd.fast', 256, '--label=ssd.slow', '--discard', 256, '--label=hdd', '--durability=2', 512],
  ],
  'no data on one': ['--data_allowed=journal,btree', 128, '--data_allowed=user', 512],
  'no key to type': ['--encrypted', '--no_passphrase', 256],
  'not initialized': ['--no_initialize', 256],
}
const PASSPHRASE = { COWHERD_PASSPHRASE: 'secret pass' }

/** The words, and the images that were made for them. */
function withImages(words: Words): { argv: string[]; devices: string[] } {
  const devices: string[] = []
  const argv = words.map((word) => {
    if (typeof word === 'string') return word
    devices.push(image(word))
    return devices[devices.length - 1]
  })
  return { argv, devices }
}

async function make(words: Words, env = {}): Promise<string[]> {
  const { argv, devices } = withImages(words)
  expect(await cowherd(['format', '-q', ...argv], { env })).toMatchObject({ code: 0, out: '', err: '' })
  return devices
}

/** What `show-super` says, but for what is never the same: ids and times, and what counts writes. */
function comparable(text: string): string {
  return text
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'UUID')
    .replaceAll(/^(Created|Time of last write|Sequence number| {2}Last mount| {2}Last superblock write):.*$/gm, '$1: -')
    .replaceAll(/^(Device| {2}Btree allocated bitmap( blocksize)?):.*$/gm, '$1: -')
    .replaceAll(/^(Superblock size:\s+)\S+ \S+\//gm, '$1-/') // errors that the reference counts at its start
    .replaceAll(/^(Sections:.*),(counters|errors)/gm, '$1')
}

describe.skipIf(!referee.available())('a volume made by format', () => {
  test.each(Object.keys(VOLUMES))('%s: as the real tool makes it, and fsck finds nothing', async (name) => {
    const words = VOLUMES[name]
    const ours = await make(words)
    const { argv, devices: theirs } = withImages(words)
    expect(await referee.bcachefs(['format', '-q', ...argv])).toMatchObject({ code: 0 })
    for (const [i, device] of ours.entries()) {
      const shown = await referee.bcachefs(['show-super', device])
      const expected = await referee.bcachefs(['show-super', theirs[i]])
      expect(shown.code).toBe(0)
      expect(comparable(shown.stdout)).toBe(comparable(expected.stdout))
    }
    if (name === 'not initialized') return
    expect(await referee.fsck(ours)).toMatchObject({ clean: true })
    const tree = await cowherd(['find', ours.join(':')])
    expect(tree).toMatchObject({ code: 0, out: '/\n/lost+found\n' })
  })

  test('with a passphrase: ready, unlike the real one', async () => {
    const [device] = await make(['--encrypted', 256], PASSPHRASE)
    const { out } = await cowherd(['show-super', device])
    expect(out).toMatch(/^Clean: +1$/m)
    expect(await cowherd(['find', device], { env: PASSPHRASE })).toMatchObject({ code: 0, out: '/\n/lost+found\n' })
    expect(await cowherd(['find', device], { env: { COWHERD_PASSPHRASE: 'wrong' } })).toMatchObject({ code: 3 })
  })

  test('Linux mounts it, writes, and sees the same afterwards', { timeout: 600_000 }, async () => {
    const plain = await make(VOLUMES['plain'])
    const labels = await make(VOLUMES['labels'])
    const fresh = await make(VOLUMES['not initialized'])
    const disks = { plain: plain[0], first: labels[0], second: labels[1], third: labels[2], fresh: fresh[0] }
    const script = (devices: string) => `set -e
      mount -t bcachefs ${devices} $MNT
      test -d $MNT/lost+found
      mkdir $MNT/d; for i in $(seq 300); do echo $i > $MNT/d/$i; done
      dd if=/dev/zero of=$MNT/zeros bs=1M count=16 2>/dev/null
      rm $MNT/d/1?; sync; manifest $MNT > shown; umount $MNT`
    const { jobs } = await referee.vm({
      disks,
      jobs: [
        { name: 'plain', script: script('/disk/plain') },
        { name: 'labels', script: script('/disk/first:/disk/second:/disk/third') },
        { name: 'fresh', script: script('/disk/fresh') },
      ],
    })
    for (const [name, devices] of Object.entries({ plain, labels, fresh })) {
      const job = jobs[name]
      expect(job, job.kernelLog).toMatchObject({ code: 0, output: '' })
      expect(job.kernelLog).not.toMatch(/error|inconsist|fixing/i)
      expect(await referee.fsck(devices)).toMatchObject({ clean: true })
      expect((await cowherd(['manifest', devices.join(':')])).out).toBe(job.file('shown').toString())
    }
  })
})

describe('format', () => {
  test('shows what it made', async () => {
    const device = image(256)
    const { code, out } = await cowherd(['format', '-L', 'grüße', device])
    expect(code).toBe(0)
    expect(out).toMatch(/^Label: +grüße$/m)
  })

  test('makes an image that is not there, with holes where nothing was written', async () => {
    const path = join(folder, 'new.img')
    expect(await cowherd(['format', '-q', '--fs_size=1G', path])).toMatchObject({ code: 0 })
    const { size, blocks } = statSync(path)
    expect(size).toBe(2 ** 30)
    expect(blocks * 512).toBeLessThan(2 ** 20)
  })

  test('an option of devices holds for those behind it', async () => {
    const [a, b, c] = [image(128), image(128), image(128)]
    await cowherd(['format', '-q', a, '--label=x', '--durability', '2', b, '-ly', c])
    const { out } = await cowherd(['show-super', '--json', a])
    const { members } = JSON.parse(out) as { members: { durability: number; label?: string }[] }
    expect(members.map(({ durability }) => durability)).toEqual([1, 2, 2])
    expect(
      (await cowherd(['show-super', a])).out.match(/^ {2}Label:.*$/gm)?.map((line) => line.split(/\s+/)[2]),
    ).toEqual(['(none)', 'x', 'y'])
  })

  test.each<[string, (path: string) => string[], number, string]>([
    ['no device', () => [], 2, "missing required argument 'devices'"],
    ['a file that is not there', (path) => [`${path}.none`], 1, 'no such file or device'],
    ['an option that does not exist', (path) => ['--colour=red', path], 2, "unknown option '--colour=red'"],
    ['a value out of bounds', (path) => ['--replicas=4', path], 1, 'is 4, not below 4'],
    [
      'a value that is none',
      (path) => ['--data_checksum=md5', path],
      2,
      "'md5' is none of none, crc32c, crc64, xxhash",
    ],
    ['a size that is none', (path) => ['--bucket=many', path], 2, "'many' is no size"],
    ['a target that is not there', (path) => ['--foreground_target=ssd', path], 1, "target 'ssd' is neither"],
    ['a uuid of zeros', (path) => ['-U', '00000000-0000-0000-0000-000000000000', path], 2, 'is no uuid'],
    ['more than there is', (path) => ['--fs_size=1T', path], 1, 'bytes of its'],
  ])('%s is refused, and nothing is written', async (_, argv, code, message) => {
    const path = image(256)
    const result = await cowherd(['format', ...argv(path)])
    expect(result).toMatchObject({ code, out: '' })
    expect(result.err).toContain(message)
    expect(statSync(path).blocks).toBe(0)
  })

  test('what is on a device stays, unless it is forced', async () => {
    const [device] = await make([256])
    const before = readFileSync(device)
    const refused = await cowherd(['format', '-q', device])
    expect(refused).toMatchObject({
      code: 1,
      err: `cowherd: ${device}: holds bcachefs already (--force overwrites it)\n`,
    })
    expect(Buffer.compare(readFileSync(device), before)).toBe(0)
    expect(await cowherd(['format', '-q', '-f', device])).toMatchObject({ code: 0 })
  })

  test('also a volume whose first superblock is damaged', async () => {
    const [device] = await make([256])
    const bytes = readFileSync(device)
    bytes.fill(0x5a, 4096, 8192)
    writeFileSync(device, bytes)
    expect(await cowherd(['find', device])).toMatchObject({ code: 0 })
    expect(await cowherd(['format', '-q', device])).toMatchObject({ code: 1 })
    expect(Buffer.compare(readFileSync(device), bytes)).toBe(0)
  })

  test('a device that is in use is refused', async () => {
    const device = image(256)
    expect(await cowherd(['format', '-q', device, device])).toMatchObject({ code: 1 })
  })
})
