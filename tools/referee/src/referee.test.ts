import { copyOf, fixture } from '@cowherd/fixtures'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { referee } from './index.ts'

let folder = ''
beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cowherd-referee-'))
})
afterAll(() => {
  fs.rmSync(folder, { recursive: true, force: true })
})

/** A new sparse file of `size` bytes. */
function emptyImage(name: string, size = 256 * 2 ** 20): string {
  const image = path.join(folder, name)
  fs.writeFileSync(image, '')
  fs.truncateSync(image, size)
  return image
}

describe.skipIf(!referee.available())('the manifest', () => {
  test('shows one of each kind of object', async () => {
    const tree = path.join(folder, 'tree')
    fs.mkdirSync(path.join(tree, 'a b,%'), { recursive: true })
    const contents = [0, 1, 55, 56, 63, 64, 65, 119, 120, 5000].map((length) => Buffer.alloc(length, `${length}`))
    for (const content of contents) fs.writeFileSync(path.join(tree, `f${content.length}`), content)
    fs.symlinkSync('to where', path.join(tree, 'link'))
    fs.writeFileSync(path.join(tree, 'a-'), '')
    fs.writeFileSync(path.join(tree, 'a b,%', 'below'), 'x', { mode: 0o640 })
    fs.utimesSync(path.join(tree, 'a-'), 1.5, 1.5)
    execFileSync('mkfifo', [path.join(tree, 'pipe')])

    const lines = (await referee.manifest(tree)).trimEnd().split('\n')
    const rows = new Map(lines.map((line) => [line.split('\t')[0], line.split('\t')]))
    expect([...rows.keys()].slice(0, 4)).toEqual(['.', 'a%20b%2c%25', 'a%20b%2c%25/below', 'a-'])
    for (const content of contents) {
      const hash = createHash('sha256').update(content).digest('hex')
      expect(
        rows
          .get(`f${content.length}`)
          ?.slice(1, 2)
          .concat(rows.get(`f${content.length}`)?.[9] ?? ''),
      ).toEqual(['f', hash])
    }
    expect(rows.get('link')?.[9]).toBe('to%20where')
    expect(rows.get('a-')?.[7]).toBe('1500000000')
    expect(rows.get('a%20b%2c%25/below')?.[2]).toBe('640')
    expect(rows.get('pipe')?.slice(0, 2)).toEqual(['pipe', 'p'])
    expect(lines.every((line) => line.split('\t').length === 12)).toBe(true)
  })
})

describe.skipIf(!referee.available())('the real tool', () => {
  test('says which version it is', async () => {
    const { code, stdout } = await referee.bcachefs(['version'])
    expect(code).toBe(0)
    expect(stdout.trim()).toMatch(/^1\.1[23]/)
  })

  test('finds a new volume clean and a damaged one not', { timeout: 300_000 }, async () => {
    const image = emptyImage('fsck.img')
    expect(await referee.bcachefs(['format', image])).toMatchObject({ code: 0 })
    expect(await referee.fsck([image])).toMatchObject({ clean: true })
    const [damaged = ''] = copyOf(fixture('default'), folder)
    expect(await referee.fsck([damaged])).toMatchObject({ clean: true, complaints: [] })
    // The root node of the inodes btree: `list -b inodes -m nodes` says where it lies.
    const { stdout } = await referee.bcachefs(['list', '-b', 'inodes', '-m', 'nodes', damaged])
    const bucket = Number(/ptr: 0:(\d+):0 /.exec(stdout)?.[1])
    const bytes = fs.readFileSync(damaged)
    bytes.fill(0xff, bucket * 128 * 1024 + 200, bucket * 128 * 1024 + 400)
    fs.writeFileSync(damaged, bytes)
    const verdict = await referee.fsck([damaged])
    expect(verdict.clean).toBe(false)
    expect(verdict.complaints.length).toBeGreaterThan(0)
  })
})

describe.skipIf(!referee.available())('the real Linux', () => {
  test('runs many jobs and disks in one boot', { timeout: 900_000 }, async () => {
    const fresh = emptyImage('fresh.img')
    expect(await referee.bcachefs(['format', fresh])).toMatchObject({ code: 0 })
    const golden = fixture('default')
    const replicas = fixture('replicas')
    const [single = ''] = copyOf(golden, folder)
    const [first = '', second = ''] = copyOf(replicas, folder)

    const { linux, jobs } = await referee.vm({
      disks: { fresh, single, first, second },
      jobs: [
        {
          name: 'write',
          script: `set -e
            mount -t bcachefs /disk/fresh $MNT
            mkdir $MNT/d; cp words $MNT/d/words; ln -s words $MNT/d/link; setfattr -n user.k -v value $MNT/d/words
            sync; manifest $MNT > shown; umount $MNT`,
          files: { words: 'some words\n' },
        },
        { name: 'single', script: 'mount -t bcachefs -o ro,nochanges /disk/single $MNT && manifest $MNT > shown' },
        {
          name: 'pair',
          script: 'mount -t bcachefs -o ro,nochanges /disk/first:/disk/second $MNT && manifest $MNT > shown',
        },
        { name: 'fails', script: 'echo out; echo err >&2; exit 3' },
        { name: 'hangs', script: 'sleep 1000', seconds: 2 },
        { name: 'cut', script: 'poweroff -f; sleep 60' },
        { name: 'never', script: 'true' },
      ],
    })

    expect(linux).toMatch(/^6\.12\./)
    expect(jobs['write']).toMatchObject({ code: 0, output: '' })
    const hash = createHash('sha256').update('some words\n').digest('hex')
    const written = jobs['write']?.file('shown').toString() ?? ''
    expect(written).toMatch(new RegExp(`^d/words\\tf\\t.*\\t11\\t.*\\t${hash}\\tuser.k=76616c7565\\t`, 'm'))
    expect(written).toMatch(/^d\/link\tl\t.*\twords\t-\t/m)
    expect(jobs['single']).toMatchObject({ code: 0 })
    expect(jobs['single']?.file('shown').toString()).toBe(fs.readFileSync(golden.manifest, 'utf8'))
    expect(jobs['single']?.kernelLog).toContain('bcachefs')
    expect(jobs['pair']).toMatchObject({ code: 0 })
    expect(jobs['pair']?.file('shown').toString()).toBe(fs.readFileSync(replicas.manifest, 'utf8'))
    expect(jobs['fails']).toMatchObject({ code: 3, output: 'out\nerr\n' })
    expect(jobs['hangs']).toMatchObject({ code: 143 })
    expect(jobs['cut']).toMatchObject({ code: undefined })
    expect(jobs['never']).toMatchObject({ code: undefined })
    expect(await referee.fsck([fresh])).toMatchObject({ clean: true })
  })

  test('refuses what it can not run', async () => {
    await expect(referee.vm({ jobs: [] })).rejects.toThrow('without jobs')
    await expect(referee.vm({ jobs: [{ name: 'a/b', script: '' }] })).rejects.toThrow("'a/b' can't be the name")
    const none = path.join(folder, 'none')
    await expect(referee.vm({ disks: { none }, jobs: [{ name: 'a', script: '' }] })).rejects.toThrow('no image')
  })
})
