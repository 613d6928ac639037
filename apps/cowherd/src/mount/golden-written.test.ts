/**
 * Golden volumes, made by Linux, that are changed: through a mount of ours by a program that does one of everything to what it finds
 * there (`change-tree.c`), then by the same program in Linux, then by us again. After each turn the real fsck has nothing against the volume,
 * and who comes next sees what there was. What can't be written says why, and stays as it is to the byte.
 *
 * One machine sees all volumes, some of them in CI; COWHERD_SOAK=1: all, and others made to be written by nobody but Linux.
 */

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SuperblockHead } from '@cowherd/db'
import { copyOf, fixture, fixtureNames, fuseAvailable } from '@cowherd/fixtures'
import { devicesOf, editSuperblocks, specimen, type OverlayDevice } from '@cowherd/fuzz'
import { referee, type Job, type JobResult } from '@cowherd/referee'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { cProgram, hasCompiler } from '../testing/c-programs.ts'
import { imageState } from '../testing/image-state.ts'
import { isSoak, LIMIT, linesOf, RW, withoutBlocks, WorkPlace } from '../testing/work-place.ts'

/** Those that are changed in CI, and those of them that Linux looks at. */
const SAMPLE = ['encrypted', 'full', 'reflink', 'replicas', 'snapshots', 'unclean']
const SEEN_BY_LINUX = ['encrypted', 'replicas', 'snapshots', 'unclean']
/** Programs may be refused something there: no room, a snapshot that can only be read, a subvolume that files don't leave. */
const REFUSING: Readonly<Record<string, readonly string[]>> = {
  full: ['full'],
  // the smallest: it is when Linux has changed it too
  casehash: ['full'],
  snapshots: ['apart', 'read only'],
}
/** In these Linux has left something that the real fsck would mend, which is mended first: a tree of snapshots names a subvolume that is gone. */
const MENDED_FIRST = ['snapshots']
/** Rights are checked, and access lists are there. */
const OPTIONS = ['-o', 'rw,allow_other']

/** A volume on its way from hand to hand. */
interface Travelling {
  readonly images: readonly string[]
  readonly passphrase: string | undefined
  /** What it holds. */
  readonly rows: readonly string[]
}

const travelling = new Map<string, Travelling>()
const folder = mkdtempSync(join(tmpdir(), 'cowherd-golden-'))
afterAll(() => rmSync(folder, { recursive: true }))

let place: WorkPlace
beforeEach(() => {
  place = new WorkPlace()
})
afterEach(() => place[Symbol.asyncDispose]())

function mount({ images, passphrase }: Omit<Travelling, 'rows'>, words: readonly string[]): Promise<number> {
  return place.mount(images.join(':'), words, {
    env: passphrase === undefined ? {} : { COWHERD_PASSPHRASE: passphrase },
  })
}

/** Has the tree changed by a program of ours. Returns what was refused it. */
async function change(seed: number): Promise<string[]> {
  const out = await place.inside('"$program" . $seed', { program: cProgram('change-tree'), seed: `${seed}` })
  return refusedOf(out)
}

function refusedOf(said: string): string[] {
  const kinds = said.split('\n').map((line) => line.replace(/ \d+$/, ''))
  return ['apart', 'full', 'read only'].filter((kind) => kinds.includes(kind))
}

describe.skipIf(!fuseAvailable() || !hasCompiler || !referee.available())('a volume that Linux made', () => {
  test.each(isSoak ? fixtureNames() : SAMPLE)('%s is changed by us', LIMIT, async (name) => {
    const { passphrase } = fixture(name)
    mkdirSync(join(folder, name))
    const volume = { images: copyOf(fixture(name), join(folder, name)), passphrase }
    if (MENDED_FIRST.includes(name)) await referee.bcachefs(['fsck', '-y', ...volume.images])
    await mount(volume, OPTIONS)
    expect(await place.rows()).toEqual(linesOf(readFileSync(fixture(name).manifest)))
    const refused = await change(1)
    expect(REFUSING[name] ?? []).toEqual(expect.arrayContaining(refused))
    const before = withoutBlocks(await place.rows())
    await place.unmount()
    await place.judge(volume.images, passphrase)
    await mount(volume, ['-o', 'ro'])
    const rows = await place.rows()
    // what found no room in the end is still in the memory of the kernel that was told so
    if (!refused.includes('full')) expect(withoutBlocks(rows)).toEqual(before)
    await place.unmount()
    travelling.set(name, { ...volume, rows })
  })

  test('goes on to Linux, which changes it, and back to us', LIMIT, async () => {
    const names = [...travelling.keys()].filter((name) => isSoak || SEEN_BY_LINUX.includes(name))
    const jobs = await linuxChanges(names)
    for (const name of names) {
      const volume = travelling.get(name)
      const job = jobs.get(name)
      if (volume === undefined || job === undefined) return expect.unreachable()
      // what Linux writes back to a full volume is an error to it
      const isFull = REFUSING[name]?.includes('full') === true
      const log = (isFull ? /WARN|BUG|inconsist|fixing/i : /error|WARN|BUG|inconsist|fixing/i).exec(job.kernelLog)?.[0]
      expect({ name, code: job.code, log, said: job.code === 0 ? '' : job.output + job.kernelLog }).toEqual({
        ...{ name, code: 0, log: undefined, said: '' },
      })
      expect(linesOf(job.file('before'))).toEqual(volume.rows)
      expect(REFUSING[name] ?? []).toEqual(expect.arrayContaining(refusedOf(job.output)))
      await mount(volume, OPTIONS)
      expect(await place.rows()).toEqual(linesOf(job.file('after')))
      await change(3)
      await place.unmount()
      await place.judge(volume.images, volume.passphrase)
    }
  })
})

describe.skipIf(!fuseAvailable() || !referee.available())('a volume that can not be written', () => {
  test.each(Object.keys(UNWRITABLE))('%s: it is said why, and it stays as it is to the byte', LIMIT, async (kind) => {
    const { change, why } = UNWRITABLE[kind] ?? expect.unreachable()
    const devices = devicesOf(GOLDEN)
    change(devices)
    writeFileSync(place.image, devices[0]?.bytes(0, devices[0].size) ?? expect.unreachable())
    const before = imageState(place.image)
    const refused = await place.cowherd(['mount', ...RW, place.image, place.directory])
    expect([refused.code, refused.err]).toEqual([3, expect.stringContaining(why)])
    expect(imageState(place.image)).toEqual(before)
    const mounted = await place.cowherd(['mount', place.image, place.directory])
    expect([mounted.code, mounted.err]).toEqual([0, expect.stringContaining(`${why}: mounted read only`)])
    expect(await place.rows()).toEqual(linesOf(readFileSync(fixture(GOLDEN.name).manifest)))
    expect((await place.shell('touch "$m/new"')).err).toContain('Read-only file system')
    await place.unmount()
    expect(imageState(place.image)).toEqual(before)
  })
})

const GOLDEN = specimen('default')
const { version, versionMin } = SuperblockHead.offsets

function ofVersion(minor: number): (devices: readonly OverlayDevice[]) => void {
  return (devices) =>
    editSuperblocks(GOLDEN, devices, ({ headView }) => {
      headView.setUint16(version, (1 << 10) | minor, true)
      headView.setUint16(versionMin, Math.min((1 << 10) | minor, headView.getUint16(versionMin, true)), true)
    })
}

const UNWRITABLE: Readonly<Record<string, { change: (devices: readonly OverlayDevice[]) => void; why: string }>> = {
  'of a later version': {
    change: ofVersion(14),
    why: 'a volume of version 1.14: (unknown version) is not written, only those of 1.13 are',
  },
  'of an earlier version': {
    change: ofVersion(12),
    why: 'a volume of version 1.12: rebalance_work_acct_fix is not written, only those of 1.13 are',
  },
}

const DISKS_MAX = 24

/** Has Linux look at the volumes, and change them: in as few machines as take them. */
async function linuxChanges(names: readonly string[]): Promise<Map<string, JobResult>> {
  const results = new Map<string, JobResult>()
  for (let rest = [...names]; rest.length > 0;) {
    const disks: Record<string, string> = {}
    const jobs: Job[] = []
    while (rest[0] !== undefined) {
      const [name] = rest
      const { images, passphrase } = travelling.get(name) ?? { images: [], passphrase: undefined }
      if (Object.keys(disks).length + images.length > DISKS_MAX) break
      images.forEach((image, i) => (disks[`${name}.${i}`] = image))
      const devices = images.map((_, i) => `/disk/${name}.${i}`)
      jobs.push({ name, script: scriptOf(devices, passphrase), files: { change: program() }, seconds: 300 })
      rest = rest.slice(1)
    }
    const machine = await referee.vm({ disks, jobs })
    for (const { name } of jobs) {
      const result = machine.jobs[name]
      if (result !== undefined) results.set(name, result)
    }
  }
  return results
}

function program(): Uint8Array {
  return readFileSync(cProgram('change-tree'))
}

function scriptOf(devices: readonly string[], passphrase: string | undefined): string {
  const unlock = passphrase === undefined ? '' : `echo ${passphrase} | bcachefs unlock -k user_session ${devices[0]}`
  return `set -e
    ${unlock}
    mount -t bcachefs ${devices.join(':')} $MNT
    manifest $MNT > before
    cp change /tmp/change; chmod +x /tmp/change
    /tmp/change $MNT 2
    sync; umount $MNT; mount -t bcachefs ${devices.join(':')} $MNT; manifest $MNT > after`
}
