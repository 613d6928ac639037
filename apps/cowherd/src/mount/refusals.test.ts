/** What can't be mounted: one line that says why, an exit code, and nothing left behind; in the background as in the foreground. */

import { writeFileSync } from 'node:fs'
import { fuseAvailable } from '@cowherd/fixtures'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { MountPlace, until, type Ended } from '../testing/mount-place.ts'

let place: MountPlace
beforeEach(() => {
  place = new MountPlace()
})
afterEach(() => place[Symbol.asyncDispose]())

/** Derives a key before it fails. */
const SLOW = { timeout: 120_000 }

/** What both ways to serve say, which is one line and the same; with the exit code. */
async function refusal(volume: string, directory: string, words: readonly string[] = []): Promise<[unknown, string]> {
  return agreed((flags) => place.cowherd(['mount', ...flags, '-o', 'ro', ...words, '--', volume, directory]))
}

async function agreed(run: (flags: readonly string[]) => Promise<Ended>): Promise<[unknown, string]> {
  const before = { processes: place.processes(), mounts: place.mounts() }
  const ended = [await run(['-f']), await run([])]
  expect(ended[0]).toEqual(ended[1])
  const [{ code, out, err }] = ended as [Ended, Ended]
  expect(out).toBe('')
  expect(err).toMatch(/^cowherd: [^\n]+\n$/)
  await until(() => place.processes().length === before.processes.length)
  expect({ processes: place.processes(), mounts: place.mounts() }).toEqual(before)
  return [code, err.slice('cowherd: '.length, -1)]
}

describe('the command line', () => {
  test.each([
    ['bogus', /^-o bogus: no such option \(mount options: ro, /],
    ['subvol=', /^-o subvol=: no such option/],
    ['rw,norecovery', /^-o rw: a volume is only read with norecovery$/],
    ['journal_flush_delay=soon', /^-o journal_flush_delay=soon: a number of milliseconds is wanted/],
    ['fd=3', /^-o fd=3: no such option/],
    ['attr_timeout=soon', /^-o attr_timeout=soon: a number of seconds is wanted$/],
    ['cache_size=1T', /^-o cache_size=1T: a number of bytes is wanted/],
  ])('-o %s', async (option, expected) => {
    expect(await refusal('none.img', place.directory, ['-o', option])).toEqual([2, expect.stringMatching(expected)])
  })

  test('an option we do not have, and words that are missing', async () => {
    expect(await place.cowherd(['mount', '--bogus', 'x', 'y'])).toMatchObject({ code: 2, out: '' })
    expect(await place.cowherd(['mount', 'x'])).toMatchObject({ code: 2, out: '' })
    expect(await place.cowherd(['umount'])).toMatchObject({ code: 2, out: '' })
  })

  test('--inspect and --log with what is none', async () => {
    const inspect = await place.cowherd(['mount', '--inspect', 'here', 'x', 'y'])
    expect(inspect).toMatchObject({ code: 2, out: '' })
    expect(inspect.err).toContain('--inspect here: [HOST:]PORT is wanted')
    const words = ['-o', 'ro', '--log', place.path('none', 'log'), place.volume('default'), place.directory]
    const log = await place.cowherd(['mount', ...words])
    expect(log).toMatchObject({ code: 2, out: '' })
    expect(log.err).toContain('--log: ENOENT')
  })
})

describe.skipIf(!fuseAvailable())('directories', () => {
  test('missing, or none', async () => {
    const volume = place.volume('default')
    writeFileSync(place.path('file'), '')
    expect(await refusal(volume, place.path('none'))).toEqual([1, `${place.path('none')}: no such directory`])
    expect(await refusal(volume, place.path('file'))).toEqual([1, `${place.path('file')}: not a directory`])
  })

  test('already mounted: the first mount is left alone', async () => {
    const volume = place.volume('default')
    await place.mount(volume)
    expect(await refusal(volume, place.directory)).toEqual([1, `${place.directory}: already mounted: ${volume}`])
    expect((await place.shell('ls "$m"')).out).toBe('lost+found\nmany\ntree\n')
  })

  test('umount and debug where nothing of ours is mounted', async () => {
    const { directory } = place
    const nothing = { code: 1, out: '', err: `cowherd: ${directory}: not mounted\n` }
    expect(await place.cowherd(['umount', directory])).toEqual(nothing)
    const none = { code: 1, out: '', err: `cowherd: ${directory}: no volume is mounted there\n` }
    expect(await place.cowherd(['debug', directory])).toEqual(none)
    const missing = { code: 1, out: '', err: `cowherd: ${place.path('none')}: no such directory\n` }
    expect(await place.cowherd(['debug', place.path('none')])).toEqual(missing)
    expect(await place.cowherd(['umount', place.path('none')])).toEqual(missing)
    const other = await place.cowherd(['umount', '/proc'])
    expect([other.code, other.err]).toEqual([1, expect.stringContaining('a mount of another kind (proc)')])
  })
})

describe.skipIf(!fuseAvailable())('volumes', () => {
  test('missing, or none', async () => {
    writeFileSync(place.path('zeros'), new Uint8Array(1 << 20))
    const none = await refusal(place.path('none'), place.directory)
    expect(none).toEqual([3, expect.stringMatching(/none: (ENOENT|no such)/)])
    expect(await refusal(place.path('zeros'), place.directory)).toEqual([3, expect.stringContaining('zeros')])
    expect(await refusal(place.directory, place.directory)).toEqual([3, expect.stringContaining(place.directory)])
  })

  test('in use by a writer', async () => {
    const volume = place.volume('default')
    const writer = place.start('flock', ['-x', '-F', volume, 'sh', '-c', 'echo locked; exec sleep 40'])
    await until(() => writer.said() === 'locked\n')
    expect(await refusal(volume, place.directory)).toEqual([3, expect.stringMatching(/in use|locked/)])
    expect(await place.mount(volume, ['-o', 'ro,nolock'])).toBeGreaterThan(0)
  })

  test('a device is missing', async () => {
    const [first = ''] = place.volume('striped').split(':')
    expect(await refusal(first, place.directory)).toEqual([3, expect.stringContaining('missing')])
  })

  test('a subvolume that is not there', async () => {
    const volume = place.volume('snapshots')
    const [code, text] = await refusal(volume, place.directory, ['-o', 'subvol=nowhere'])
    expect([code, text]).toEqual([3, expect.stringContaining('nowhere')])
  })

  test('a wrong passphrase, and none', SLOW, async () => {
    const volume = place.volume('encrypted')
    writeFileSync(place.path('wrong'), 'wrong\n')
    const wrong = await refusal(volume, place.directory, ['--passphrase-file', place.path('wrong')])
    expect(wrong).toEqual([3, expect.stringContaining('passphrase')])
    const none = await refusal(volume, place.directory)
    expect(none).toEqual([3, expect.stringContaining('passphrase')])
  })
})

/** Runs the program where the mounts are its own, after a line of shell has prepared them. */
function isolated(prepare: string, words: readonly string[], become: readonly string[] = []): Promise<Ended> {
  const shell = `${prepare}; exec "$@"`
  const command = [...become, process.execPath, place.program, ...words]
  return place.run('unshare', ['-m', '--propagation', 'private', 'sh', '-c', shell, 'sh', ...command], {
    env: { m: place.directory },
  })
}

describe.skipIf(!fuseAvailable())('/dev/fuse', () => {
  test('is missing', async () => {
    const volume = place.volume('default')
    const noDevice = 'mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/urandom c 1 9'
    const run = (flags: readonly string[]) =>
      isolated(noDevice, ['mount', ...flags, '-o', 'ro', volume, place.directory])
    expect(await agreed(run)).toEqual([1, expect.stringContaining('/dev/fuse is missing')])
  })

  test('is closed to the user', async () => {
    const volume = place.volume('default')
    const device = `mknod -m 600 "$m/fuse" c 10 229 && mount --bind "$m/fuse" /dev/fuse && rm "$m/fuse"`
    await place.run('chmod', ['755', place.folder])
    // reads the program wherever it lies, and is an ordinary user in all else
    const become = 'setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps +dac_read_search'.split(' ')
    become.push('--ambient-caps', '+dac_read_search')
    const run = (flags: readonly string[]) =>
      isolated(device, ['mount', ...flags, '-o', 'ro', volume, place.directory], become)
    expect(await agreed(run)).toEqual([1, `${place.directory}: no permission to open /dev/fuse`])
  })
})
