/**
 * Volumes that get full, devices that fail, and what can only be read: programs get the right error, at the latest from fsync(2) or close(2),
 * nothing is lost that they weren't told of, and the volume is in order. COWHERD_SOAK=1: again and again, and Linux looks at the volumes.
 */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { fuseAvailable } from '@cowherd/fixtures'
import { referee } from '@cowherd/referee'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { cProgram, hasCompiler } from '../testing/c-programs.ts'
import { imageState } from '../testing/image-state.ts'
import { KeptVolumes } from '../testing/kept-volumes.ts'
import { until } from '../testing/mount-place.ts'
import { isSoak, LIMIT, RW, withoutBlocks, WorkPlace } from '../testing/work-place.ts'

const volumes = new KeptVolumes([])
afterAll(() => volumes.close())

let place: WorkPlace
beforeEach(() => {
  place = new WorkPlace()
})
afterEach(() => place[Symbol.asyncDispose]())

describe.skipIf(!fuseAvailable() || !hasCompiler)('a full volume', () => {
  test('says so, keeps what it has, and works again when there is room', LIMIT, async () => {
    await place.mountNew(64)
    await place.inside('head -c 3000000 /dev/urandom > precious; sync; sha256sum precious > sum; sync')
    for (let round = 0; round < (isSoak ? 10 : 1); round++) {
      const said = await place.shell(FILL)
      expect(said.out).toBe('full\nfull\nfull\n')
      expect(said.err).toContain('No space left on device')
      await place.inside('sha256sum -c --quiet sum; rm -r data-* small-*')
      await place.inside(
        'head -c 8000000 /dev/urandom > again; sync again; sha256sum again > sum2; cp again more; sync; cmp again more',
      )
      await place.unmount()
      await place.judge()
      await place.mount(place.image, RW)
      await place.inside('sha256sum -c --quiet sum sum2; rm again more')
    }
    await volumes.finish(place, 'full')
  })

  test('of what was copied there until it was full, nothing is missing that nobody was told of', LIMIT, async () => {
    await place.mountNew(64)
    const out = await place.inside(
      `head -c 700001 /dev/urandom > "$o/piece"; i=0; while cp "$o/piece" file-$i 2> "$o/said"; do i=$((i + 1)); done; cat "$o/said" >&2
      grep -q 'No space left on device' "$o/said"; sync; echo $i`,
    )
    const whole = Number(out)
    expect(whole).toBeGreaterThan(20)
    const compared = 'for i in $(seq 0 $((whole - 1))); do cmp "$o/piece" file-$i; done'
    await place.inside(compared, { whole: `${whole}` })
    await place.unmount()
    await place.judge()
    await place.mount(place.image, RW)
    await place.inside(`${compared}; rm file-*; cp "$o/piece" again; sync again; cmp "$o/piece" again`, {
      whole: `${whole}`,
    })
    await volumes.finish(place, 'copied')
  })

  test('written through: write(2) says it', LIMIT, async () => {
    await place.format(64)
    await place.mount(place.image, ['-o', 'rw,writethrough'])
    const said = await place.shell('cd "$m"; dd if=/dev/zero of=fill bs=1M count=100')
    expect(said.err).toMatch(/error writing 'fill': No space left on device/)
    await place.inside('test $(stat -c %s fill) -gt 20000000; rm fill; echo text > file; sync file')
    await place.unmount()
    await place.judge()
  })
})

const hasTmpfs = (): boolean => spawnSync('sh', ['-c', 'grep -q tmpfs /proc/filesystems']).status === 0
const hasLoop = (): boolean => spawnSync('losetup', ['-f']).status === 0

/** What lies below the volume has far less room than it says: at some moment the devices take no more. */
describe.skipIf(!fuseAvailable() || !hasCompiler || !hasTmpfs())('a device that fails in the middle', () => {
  const KINDS = hasLoop() ? ['an image', 'a block device'] : ['an image']

  test.each(KINDS)('%s: what was synced stays, is read on, and is there afterwards', LIMIT, async (kind) => {
    const below = place.path('below')
    const files = place.path('m', 'files')
    const log = place.path('log')
    mkdirSync(below)
    await place.format(256)
    const room = Math.ceil(Number((await place.run('du', ['-k', place.image])).out.split('\t')[0]) / 1024) + 12
    let device: string | undefined
    try {
      const prepared = await place.shell(
        'mount -t tmpfs -o size=${room}M none "$below" && cp --sparse=always "$image" "$below/volume.img"',
        { env: { below, image: place.image, room: `${room}` } },
      )
      expect(prepared).toEqual({ code: 0, out: '', err: '' })
      const image = `${below}/volume.img`
      if (kind === 'a block device') device = attach(image)
      const server = await place.serve(device ?? image, RW)
      await place.inside('mkdir files; sync .')
      const program = cProgram('synced-files')
      const worker = place.start(program, ['write', files, log])
      expect(await until(() => lines(log) > 20, 100_000)).toBe(true)
      await place.shell('cat /dev/zero > "$below/fill"', { env: { below } }) // no more room
      const worked = await worker.ended
      expect(worked).toEqual({ code: 0, out: '', err: '' }) // it ended by an error that it was told of
      expect((await place.shell('touch "$m/more"')).err).toContain('Read-only file system')
      expect(server.said()).toMatch(/read only from now on: /)
      expect(await place.run(program, ['check', files, log])).toEqual({ code: 0, out: '', err: '' })
      await place.cowherd(['umount', place.directory])
      await server.ended
      await place.shell('cp --sparse=always "$below/volume.img" "$image"', { env: { below, image: place.image } })
    } finally {
      await place.shell('umount "$m"')
      if (device !== undefined) spawnSync('losetup', ['-d', device])
      await place.shell('umount "$below"', { env: { below } })
    }
    await place.judge()
    await place.mount(place.image, RW)
    const checked = await place.run(cProgram('synced-files'), ['check', files, log])
    expect(checked).toEqual({ code: 0, out: '', err: '' })
    await place.inside('rm -r files; seq 10000 > again; sync again')
    await volumes.finish(place, kind.replaceAll(' ', '-'))
  })
})

/** A loop device on an image. */
function attach(image: string): string {
  const { status, stdout } = spawnSync('losetup', ['-f', '--show', image], { encoding: 'utf8' })
  expect(status).toBe(0)
  return stdout.trim()
}

describe.skipIf(!fuseAvailable() || !referee.available())('what can only be read', () => {
  test('a mount: each change is EROFS, and not a byte is written', LIMIT, async () => {
    const volume = place.volume('default')
    const before = imageState(volume)
    await place.mount(volume)
    const rows = await place.rows()
    expect((await refusals('tree')).join('')).toBe('')
    expect(await place.rows()).toEqual(rows)
    await place.unmount()
    expect(imageState(volume)).toEqual(before)
  })

  test('a snapshot of a volume that is written: the same, and the rest is written', LIMIT, async () => {
    const volume = place.volume('snapshots')
    await referee.bcachefs(['fsck', '-y', volume]) // Linux has left a tree of snapshots that names a subvolume which is gone
    await place.mount(volume, RW)
    const rowsThere = async (): Promise<string[]> =>
      withoutBlocks(await place.rows()).filter((row) => row.startsWith('snap2-ro'))
    const rows = await rowsThere()
    expect((await refusals('snap2-ro/t')).join('')).toBe('')
    await place.inside('echo more >> vol/t/mid; rm -r snap1/t; mkdir snap1/t; sync')
    expect(await rowsThere()).toEqual(rows)
    await place.unmount()
    await place.judge([volume])
  })

  /** Tries each change in a directory. Returns those that are told something else than EROFS, and what. */
  async function refusals(directory: string): Promise<string[]> {
    const tries = CHANGES.map((line) => `said=$( { ${line}; } 2>&1 ) && echo done; echo "$said" | tail -n 1 # ${line}`)
    const out = await place.inside(`cd ${directory}; set +e\n${tries.join('\n')}`)
    const told = out.trimEnd().split('\n')
    return CHANGES.map((line, i) => (told[i]?.includes('Read-only file system') === true ? '' : `${line}: ${told[i]}`))
  }
})

/** `mid` is a file there, `sub` a directory, `sym` a symlink. */
const CHANGES = [
  ...[
    'touch new',
    'mkdir new',
    'ln mid new',
    'ln -s mid new',
    'mkfifo new',
    'mv mid new',
    'mv -T sub new',
    'rm -f mid',
  ],
  ...['rm -rf sub', 'rm -f sym', 'echo more >> mid', 'echo less > mid', 'truncate -s 5 mid', 'chmod 600 mid'],
  ...['chown 5:5 mid', 'chown -h 5:5 sym', 'touch -d 2001-01-01 mid', 'touch mid', 'fallocate -l 100000 mid'],
  ...['fallocate -p -o 0 -l 4096 mid', 'cp -f block mid', 'dd if=/dev/zero of=mid bs=4096 count=1 conv=notrunc'],
  'dd if=/dev/zero of=mid bs=4096 count=1 conv=notrunc oflag=direct',
]
describe.skipIf(!fuseAvailable() || !hasCompiler || !referee.available() || !isSoak)('Linux (soak)', () => {
  test('mounts what was full, or had failed, sees the same, and changes it', LIMIT, () => volumes.seenByLinux(place))
})

/** Fills the volume by three at once, with large writes, small writes and small files, each until it can't go on. */
const FILL = `cd "$m"
  fill_large() { dd if=/dev/urandom of=data-large bs=1M count=200 conv=fsync || echo full; }
  fill_small() { i=0; while dd if=/dev/urandom of=data-$i bs=5000 count=40 conv=fsync; do i=$((i + 1)); test $i -lt 2000 || return; done; echo full; }
  fill_names() { i=0; while mkdir small-$i && seq 300 > small-$i/a && sync small-$i/a; do i=$((i + 1)); test $i -lt 100000 || return; done; echo full; }
  fill_large & fill_small & fill_names & wait`

function lines(file: string): number {
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0
}
