/** Volumes that were filled and changed by the command line, as Linux sees them: one machine for all. */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { referee } from '@cowherd/referee'
import { loadNative } from '@cowherd/shim'
import { afterAll, describe, expect, test } from 'vitest'
import { parseManifest } from '../copy/local-tree.ts'
import { cowherd } from '../testing/command-line.ts'
import { expectFaultless, newVolume } from '../testing/new-volume.ts'
import { comparable, fillSampleTree, localRows } from '../testing/sample-tree.ts'

const native = loadNative()
const folder = mkdtempSync(join(tmpdir(), 'cowherd-linux-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const DONE = { code: 0, out: '', err: '' }

describe.skipIf(!referee.available() || native === undefined)('Linux sees', () => {
  test('what was put, unpacked and changed, writes itself, and we see that', { timeout: 600_000 }, async () => {
    const source = join(folder, 'source')
    mkdirSync(source)
    fillSampleTree(source, native)

    const filled = join(folder, 'filled.img')
    const words = ['--fs_size=128M', '--compression=lz4', `--source=${source}`, filled]
    expect(await cowherd(['format', '-q', ...words])).toMatchObject(DONE)

    const two = ['a', 'b'].map((name) => join(folder, `${name}.img`))
    const devices = two.join(':')
    expect(await cowherd(['format', '-q', '--replicas=2', '--fs_size=128M', ...two])).toMatchObject(DONE)
    expect(await cowherd(['put', '-a', devices, `${source}/.`, '/'])).toMatchObject(DONE)

    const unpacked = await newVolume(folder)
    const { bytes } = await cowherd(['tar', filled])
    expect(await cowherd(['untar', '-a', unpacked], { input: [bytes] })).toMatchObject(DONE)

    const changed = await newVolume(folder)
    expect(await cowherd(['put', changed, source, '/'])).toMatchObject(DONE)
    for (const change of [
      ['mkdir', '-p', changed, '/new/dir'],
      ['mv', changed, '/source/deep', '/new/dir'],
      ['ln', changed, '/source/more', '/new/hard'],
      ['ln', '-s', changed, '../source/few', '/new/soft'],
      ['rm', '-r', changed, '/source/sparse', '/source/empty', '/new/dir/deep/er/still'],
    ]) {
      expect(await cowherd(change)).toMatchObject(DONE)
    }

    const volumes = { filled, unpacked, changed, two: devices }
    const disks = { filled, unpacked, changed, first: two[0], second: two[1] }
    const script = (names: string): string => `set -e
      mount -t bcachefs ${names} $MNT
      manifest $MNT > shown
      mkdir $MNT/linux; for i in $(seq 50); do cp -a $MNT/*few* $MNT/linux/$i 2>/dev/null || echo $i > $MNT/linux/$i; done
      sync; manifest $MNT > later; umount $MNT`
    const { jobs } = await referee.vm({
      disks,
      jobs: [
        ...['filled', 'unpacked', 'changed'].map((name) => ({ name, script: script(`/disk/${name}`) })),
        { name: 'two', script: script('/disk/first:/disk/second') },
      ],
    })
    const rows = comparable(localRows(source, native))
    const withoutSockets = comparable(localRows(source, native).filter(({ type }) => type !== 's'))
    const expected: Readonly<Record<string, object[] | undefined>> = { filled: rows, unpacked: withoutSockets }
    for (const [name, volume] of Object.entries(volumes)) {
      const job = jobs[name]
      expect(job, job.kernelLog).toMatchObject({ code: 0, output: '' })
      expect(job.kernelLog).not.toMatch(/error|inconsist|fixing/i)
      const shown = comparable(parseManifest(job.file('shown').toString()))
      if (expected[name] !== undefined) expect(shown).toEqual(expected[name])
      if (name === 'two') expect(shown.slice(1)).toEqual(rows.slice(1)) // the root was there before
      expect((await cowherd(['manifest', volume])).out).toBe(job.file('later').toString())
      await expectFaultless(...volume.split(':'))
    }
  })
})
