/** Commands on a volume that is mounted: they go through the mount, and both sides see the same. */

import { linkSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { fuseAvailable } from '@cowherd/fixtures'
import { referee } from '@cowherd/referee'
import { loadNative } from '@cowherd/shim'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { runBatch, type BatchLine } from '../testing/command-batch.ts'
import { MountPlace, type Ended } from '../testing/mount-place.ts'
import { comparable, fillSampleTree, localRows, noise } from '../testing/sample-tree.ts'

const native = loadNative()
const DONE = { code: 0, out: '', err: '' }
const RW = ['-o', 'rw']
/** A test is some ten processes. */
const PATIENT = { timeout: 180_000 }

let place: MountPlace
beforeEach(() => {
  place = new MountPlace()
})
afterEach(() => place[Symbol.asyncDispose]())

/** The outcomes of several command lines. */
function commands(...lines: readonly (readonly string[] | BatchLine)[]): Promise<Ended[]> {
  return runBatch(
    place,
    lines.map((line) => ('words' in line ? line : { words: line })),
  )
}

/** Command lines that have nothing to say. */
async function expectDone(...lines: readonly (readonly string[] | BatchLine)[]): Promise<void> {
  expect(await commands(...lines)).toEqual(lines.map(() => DONE))
}

/** What a line of shell says in the directory of the mount. */
async function inside(line: string): Promise<string> {
  const { out, err } = await place.shell(`cd "$m" && { ${line}\n}`)
  expect(err).toBe('')
  return out
}

async function mounted(words = RW, formatWords = ['--fs_size=256M'], names = ['volume.img']): Promise<string> {
  const images = names.map((name) => place.path(name))
  await expectDone(['format', '--quiet', ...formatWords, ...images])
  const volume = images.join(':')
  await place.mount(volume, words)
  return volume
}

async function unmountAndJudge(volume: string): Promise<void> {
  await expectDone(['umount', place.directory])
  if (!referee.available()) return
  const { complaints, code } = await referee.fsck(volume.split(':'))
  expect({ complaints, code }).toEqual({ complaints: [], code: 0 })
}

describe.skipIf(!fuseAvailable())('a volume that a mount writes', () => {
  test('a tree is put, copied out, read, moved and removed as if it were not mounted', PATIENT, async () => {
    const volume = await mounted()
    const source = place.path('source')
    mkdirSync(source)
    fillSampleTree(source, native)
    const expected = comparable(localRows(source, native))
    await expectDone(['put', '-a', volume, source, '/'], ['get', '-a', volume, '/source', place.path('copy')])
    expect(comparable(localRows(place.path('copy'), native))).toEqual(expected)
    expect(comparable(localRows(`${place.directory}/source`, native))).toEqual(expected) // the mount shows it at once
    await expectDone(
      ['mkdir', '-p', volume, '/new/dir'],
      ['mv', volume, '/source/deep', '/new/dir'],
      ['ln', volume, '/source/more', '/new/hard'],
      ['ln', '-s', volume, '../source/few', '/new/soft'],
      ['rm', '-r', volume, '/source/sparse', '/new/dir/deep'],
    )
    expect(
      await inside('ls -A new new/dir; readlink new/soft; cmp new/hard source/more; test -e source/sparse; echo $?'),
    ).toBe('new:\ndir\nhard\nsoft\n\nnew/dir:\n../source/few\n1\n')
    const reading = [
      ['manifest', volume],
      ['ls', '-lR', volume],
      ['ls', '-lR', '--json', volume],
      ['find', '--json', volume],
      ['stat', volume, 'source/few', 'source/more', '/'],
      ['tar', volume],
    ]
    const through = await commands(...reading)
    await unmountAndJudge(volume)
    const direct = await commands(...reading)
    // of which snapshot an inode is, a mount doesn't tell
    expect(through).toEqual(direct.map((each) => ({ ...each, out: each.out.replaceAll(/ {2}snapshot: \d+/g, '') })))
  })

  test('data that the kernel keeps is read, and data that was put is seen', PATIENT, async () => {
    const volume = await mounted(['-o', 'rw,journal_flush_delay=60000'])
    const data = noise(3 << 20)
    writeFileSync(place.path('data'), data)
    // Written, not synced: it is in the kernel's memory only. And there are names that it knows to be absent, files whose pages it has.
    await place.shell(`cd "$m" && cp ../data kept && truncate -s 8M kept && printf end | dd of=kept bs=1 seek=7M conv=notrunc
      ls new; echo before > old; cat old; mkdir over; echo below > over/file`)
    writeFileSync(place.path('old'), 'after')
    await expectDone(
      ['get', volume, '/kept', place.path('got')],
      { words: ['put', volume, '-', '/new'], input: 'piped' },
      ['put', '-f', volume, place.path('old'), place.path('data'), '/'],
    )
    const expected = Buffer.alloc(8 << 20)
    expected.set(data)
    expected.write('end', 7 << 20)
    expect(readFileSync(place.path('got')).equals(expected)).toBe(true)
    expect(await inside('cat new old; cmp data ../data')).toBe('pipedafter')

    const held = `cowherd: ${volume}: in use: process ${place.server()} has it mounted at ${place.directory}`
    const lying = { code: 3, out: '', err: `${held}; -o nolock reads the devices as they lie, while they change\n` }
    await place.shell('mount -t tmpfs none "$m/over"')
    const found = await commands(
      ['cat', volume, 'new', 'old'],
      ['list', volume],
      ['list-journal', volume],
      ['stat', '--extents', volume, '/'],
      ['set-fs-option', '--errors=ro', volume],
      ['put', volume, place.directory, '/copy'],
      ['put', volume, place.path('old'), '/over/x'],
      ['find', volume, '/over'],
    )
    expect(found.slice(0, 7)).toEqual([
      { ...DONE, out: 'pipedafter' },
      ...[lying, lying, lying, { code: 3, out: '', err: `${held}\n` }],
      { ...DONE, err: `cowherd: ${place.directory}: is the volume itself; it is left out\n` },
      {
        code: 1,
        out: '',
        err: expect.stringMatching(/^cowherd: \/over\/x: .*another filesystem is mounted there\n$/) as string,
      },
    ])
    expect(found[7]).toMatchObject({ code: 1, out: '' })
    await place.shell('umount "$m/over"')
    expect(
      (await commands(['find', volume, '/over'], ['show-super', volume], ['list', '-o', 'nolock', volume])).map(
        ({ code }) => code,
      ),
    ).toEqual([0, 0, 0])
    await unmountAndJudge(volume)
    expect(await commands(['cat', volume, 'new', 'old', 'over/file'])).toEqual([{ ...DONE, out: 'pipedafterbelow\n' }])
  })

  test('what was put survives a kill of the mount, whose socket is passed over', PATIENT, async () => {
    const volume = await mounted(['-o', 'rw,journal_flush_delay=60000'])
    writeFileSync(place.path('data'), noise(500_000))
    await expectDone(['put', volume, place.path('data'), '/'])
    process.kill(place.server(), 'SIGKILL')
    const [listed, ...others] = await commands(['ls', volume], { words: ['put', volume, '-', '/more'], input: 'x' }, [
      'get',
      volume,
      '/data',
      place.path('back'),
    ])
    expect(listed).toMatchObject({ code: 0, out: 'data\nlost+found\n' })
    expect(others.map(({ code }) => code)).toEqual([0, 0])
    expect(readFileSync(place.path('back')).equals(readFileSync(place.path('data')))).toBe(true)
  })

  test('by any name of its devices, by one of several, beside another mount', PATIENT, async () => {
    const other = new MountPlace()
    try {
      const foreign = other.volume('default')
      await other.mount(foreign)
      const volume = await mounted(RW, ['--fs_size=64M', '--replicas=2'], ['a.img', 'b.img'])
      await inside('echo here > file')
      symlinkSync('a.img', place.path('soft'))
      linkSync(place.path('b.img'), place.path('hard'))
      const names = [volume, volume.split(':').reverse().join(':'), place.path('soft'), place.path('hard')]
      const [there, ...here] = await commands(['ls', foreign, 'tree'], ...names.map((name) => ['cat', name, '/file']))
      expect(there?.code).toBe(0)
      expect(here).toEqual(names.map(() => ({ ...DONE, out: 'here\n' })))
    } finally {
      await other[Symbol.asyncDispose]()
    }
  })

  test('that is too small says which file did not fit, and the rest is whole', PATIENT, async () => {
    const volume = await mounted(RW, ['--fs_size=32M'])
    writeFileSync(place.path('large'), noise(60 << 20))
    const [put, listed] = await commands(['put', volume, place.path('large'), '/'], ['ls', volume])
    expect(put).toEqual({
      code: 1,
      out: '',
      err: expect.stringMatching(/^cowherd: \/?large: no space left on the volume/) as string,
    })
    expect(listed?.out).toBe('lost+found\n')
    await unmountAndJudge(volume)
  })
})

test.skipIf(!fuseAvailable())('a subvolume that is mounted is not taken for the volume', PATIENT, async () => {
  const snapshots = place.volume('snapshots')
  const [found] = await commands(['find', snapshots, '/', '-type', 'd', '-maxdepth', '1'])
  const subvolume = found?.out.split('\n').find((path) => /snap|sub/.test(path)) ?? ''
  await place.mount(snapshots, ['-o', `rw,subvol=${subvolume}`])
  const held = `${snapshots}: in use: process ${place.server()} has it mounted at ${place.directory}`
  expect(await commands(['ls', snapshots])).toEqual([
    { code: 3, out: '', err: `cowherd: ${held}, but its subvolume ${subvolume} only\n` },
  ])
})

test.skipIf(!fuseAvailable())(
  'beside a mount that only reads commands read, and those that write are refused',
  PATIENT,
  async () => {
    const volume = place.volume('default')
    await place.mount(volume)
    const held = `cowherd: ${volume}: in use: process ${place.server()} has it mounted at ${place.directory}, read only\n`
    const [listed, keys, ...refused] = await commands(
      ['ls', volume, 'tree'],
      ['list', volume],
      { words: ['put', volume, '-', '/x'], input: 'x' },
      ['rm', volume, '/tree/big'],
    )
    expect([listed?.code, keys?.code]).toEqual([0, 0])
    expect(refused).toEqual(Array(2).fill({ code: 3, out: '', err: held }))
  },
)
