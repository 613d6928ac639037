/** Every way in which a mount ends. Afterwards there is no process, nothing mounted, and no socket. */

import { chownSync, writeFileSync } from 'node:fs'
import { fuseAvailable, userMountsAvailable } from '@cowherd/fixtures'
import { loadNative } from '@cowherd/shim'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { MountPlace, NOTHING, until, type Running } from '../testing/mount-place.ts'
import { BUG_IN_MAIN_THREAD, bugInReadlink, preload, stuckInLookup } from '../testing/preload.ts'

let place: MountPlace
let volume: string
beforeEach(() => {
  place = new MountPlace()
  volume = place.volume('default')
})
afterEach(() => place[Symbol.asyncDispose]())

const DONE = { code: 0, out: '', err: '' }

const SOAK = process.env['COWHERD_SOAK'] === '1'
/** Most ways are gone with one thread that serves, and with several. */
const THREADS = [1, 3]
const byThreads = (threads: number): string[] => ['-o', `ro,threads=${threads}`]

/** A process with a file of the mount open; it ends by `close`, and tells whether the file could still be read then. */
async function openFile(): Promise<{ readonly pid: number; close(): Promise<string> }> {
  // waits in itself: a child would have the file open too
  const script = 'exec 4< "$m/many/file-00000" && echo open && read -r _ < "$go"; cat <&4'
  const go = place.path('go')
  await place.run('mkfifo', [go])
  const user = place.start('sh', ['-c', script], { env: { m: place.directory, go } })
  await until(() => user.said().includes('open'))
  return {
    pid: user.pid,
    close: async () => {
      await place.run('sh', ['-c', 'echo > "$0"', go])
      return (await user.ended).out.replace('open\n', '')
    },
  }
}

const CONTENT_BYTES = 2 // of many/file-00000

describe.skipIf(!fuseAvailable()).each(THREADS)('a mount that is not in use, served by %i threads', (threads) => {
  test.each([
    ['umount(8)', 'umount "$m"'],
    ['umount(8) with all helpers off', 'umount -c -i "$m"'],
    ['umount -l', 'umount -l "$m"'],
    ['fusermount3 -u', 'fusermount3 -u "$m"'],
    ['SIGINT', 'kill -INT $server'],
    ['SIGTERM', 'kill -TERM $server'],
    ['umount -f', 'umount -f "$m"'],
    ['SIGTERM twice at once', 'kill -TERM $server; kill -TERM $server'],
    ['SIGHUP', 'kill -HUP $server'],
  ])('%s in the background', async (_name, line) => {
    const server = await place.mount(volume, byThreads(threads))
    expect(await place.shell(line, { env: { server: `${server}` } })).toEqual(DONE)
    expect(await place.left(server)).toEqual(NOTHING)
  })

  test.skipIf(threads > 1 && !SOAK).each(['INT', 'TERM', 'HUP'])('SIG%s in the foreground', async (signal) => {
    const server = await place.serve(volume, byThreads(threads))
    await place.shell(`ls "$m" && kill -${signal} ${server.pid}`)
    expect(await server.ended).toEqual(DONE)
    expect(await place.left(server.pid)).toEqual(NOTHING)
  })

  test.each([[['umount']], [['umount', '--lazy']]])('cowherd %j', async (words) => {
    const server = await place.mount(volume, byThreads(threads))
    expect(await place.cowherd([...words, place.directory])).toEqual(DONE)
    if (words.length === 1) expect(place.processes()).toEqual([]) // when it returns, not a little later
    expect(await place.left(server)).toEqual(NOTHING)
  })

  test('a signal while it is being mounted', async () => {
    writeFileSync(place.path('mount'), '#!/bin/sh\nPATH=${PATH#*:}\nmount "$@"\nsleep 1\n', { mode: 0o755 })
    const words = ['mount', '-f', ...byThreads(threads), volume, place.directory]
    const env = { PATH: `${place.folder}:${process.env['PATH']}` }
    const server = place.start(process.execPath, [place.program, ...words], { env })
    await until(() => place.mounts() === 1)
    process.kill(server.pid, 'SIGTERM')
    expect(await server.ended).toEqual(DONE)
    expect(await place.left(server.pid)).toEqual(NOTHING)
  })

  test.skipIf(threads > 1 && !SOAK)('from within a directory, by a relative path', async () => {
    const server = await place.mount(volume, byThreads(threads))
    expect(await place.cowherd(['umount', 'm'], { cwd: place.folder })).toEqual(DONE)
    expect(await place.left(server)).toEqual(NOTHING)
  })
})

describe.skipIf(!fuseAvailable()).each(THREADS)('a mount with an open file, served by %i threads', (threads) => {
  test('umount is refused and tells by whom, the lazy one waits for its last user', async () => {
    const server = await place.mount(volume, byThreads(threads))
    const user = await openFile()
    expect((await place.shell('umount "$m"')).err).toContain('target is busy')
    expect(await place.cowherd(['umount', place.directory])).toEqual({
      code: 1,
      out: '',
      err: `cowherd: ${place.directory}: in use by sh (${user.pid})\n`,
    })
    expect(await place.shell('umount -l "$m"')).toEqual(DONE)
    expect(place.mounts()).toBe(0)
    expect(place.processes()).toContain(server)
    expect(await user.close()).toHaveLength(CONTENT_BYTES)
    expect(await place.left(server)).toEqual(NOTHING)
  })

  test('SIGTERM: said and served on; a second one takes it out of sight', async () => {
    const server = await place.serve(volume, byThreads(threads))
    const user = await openFile()
    process.kill(server.pid, 'SIGTERM')
    await until(() => server.said() !== '')
    expect(server.said()).toBe(
      `cowherd: ${place.directory}: in use by sh (${user.pid}); it is served on, and a second signal takes it out of sight\n`,
    )
    expect((await place.shell('ls "$m"')).out).toBe('lost+found\nmany\ntree\n')
    process.kill(server.pid, 'SIGTERM')
    expect(await until(() => place.mounts() === 0)).toBe(true)
    expect(await user.close()).toHaveLength(CONTENT_BYTES)
    expect((await server.ended).code).toBe(0)
    expect(await place.left(server.pid)).toEqual(NOTHING)
  })

  test('a third SIGTERM ends the process', async () => {
    const server = await place.serve(volume, byThreads(threads))
    const user = await openFile()
    process.kill(server.pid, 'SIGTERM')
    await until(() => server.said() !== '')
    process.kill(server.pid, 'SIGTERM')
    await until(() => place.mounts() === 0)
    process.kill(server.pid, 'SIGTERM')
    expect((await server.ended).code).toBe('SIGKILL')
    await user.close()
    expect(await place.left(server.pid)).toEqual(NOTHING)
  })
})

describe.skipIf(!fuseAvailable())('kill -9', () => {
  test('the next mount does not even wait', async () => {
    process.kill(await place.mount(volume), 'SIGKILL')
    await place.mount(volume)
    expect(place.mounts()).toBe(1)
  })

  test('the next mount just works', async () => {
    const server = await killed()
    const next = await place.mount(volume)
    expect((await place.shell('ls "$m"')).out).toBe('lost+found\nmany\ntree\n')
    expect(place.mounts()).toBe(1)
    expect(place.sockets(server)).toEqual([])
    expect(await place.cowherd(['umount', place.directory])).toEqual(DONE)
    expect(await place.left(next)).toEqual(NOTHING)
  })

  test('cowherd umount clears it away', async () => {
    const server = await killed()
    expect((await place.cowherd(['debug', place.directory])).code).toBe(1)
    expect(await place.cowherd(['umount', place.directory])).toEqual(DONE)
    expect(await place.left(server)).toEqual(NOTHING)
  })

  async function killed(): Promise<number> {
    const server = await place.mount(volume)
    process.kill(server, 'SIGKILL')
    expect(await until(async () => (await place.shell('ls "$m"')).err.includes('not connected'))).toBe(true)
    return server
  }
})

describe.skipIf(!userMountsAvailable() || loadNative() === undefined)('an ordinary user', () => {
  test.each([
    ['fusermount3 -u', '$user fusermount3 -u "$m"'],
    ['cowherd umount', '$user "$node" "$program" umount "$m"'],
    ['cowherd umount by root', '"$node" "$program" umount "$m"'],
    ['SIGTERM', 'kill -TERM "$server"'],
    ['kill -9, and cowherd umount', 'kill -KILL "$server"; ended; $user "$node" "$program" umount "$m"'],
  ])('%s', async (_name, end) => {
    await place.run('chmod', ['755', place.folder])
    chownSync(place.directory, 65534, 65534)
    const lines = `set -eu
      mknod -m 666 "$m/fuse" c 10 229 && mount --bind "$m/fuse" /dev/fuse && rm "$m/fuse"
      $user "$node" "$program" mount -o ro "$v" "$m"
      findmnt -n -o FSTYPE,OPTIONS "$m"
      $user ls "$m"
      ls "$m" 2> /dev/null || echo root stays out
      server=$($user "$node" "$program" debug "$m" | sed -n 's/.*: process \\([0-9]*\\), up.*/\\1/p')
      runs() { grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$server/status"; }
      ended() { for i in $(seq 200); do runs || return 0; sleep 0.05; done; }
      runs && echo served
      ${end}
      ended
      runs || echo no process
      findmnt -n "$m" || echo no mount
      ls /tmp/cowherd-65534`
    const env = { m: place.directory, v: volume, node: process.execPath, program: place.program, user: USER }
    const words = ['-m', '--propagation', 'private', 'sh', '-c', lines]
    const { code, out, err } = await place.run('unshare', words, { env: { ...env, TMPDIR: '/tmp' } })
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out.replace(/ +/g, ' ').split('\n')).toEqual([
      expect.stringContaining('fuse.cowherd ro,nosuid,nodev,relatime,user_id=65534,group_id=65534'),
      ...['lost+found', 'many', 'tree', 'root stays out', 'served', 'no process', 'no mount', ''],
    ])
  })

  /** Reads the program wherever it lies, and is an ordinary user in all else. */
  const USER =
    'setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps +dac_read_search --ambient-caps +dac_read_search'
})

describe.skipIf(!fuseAvailable()).each(THREADS)('bugs, in a mount that %i threads serve', (threads) => {
  test('an operation that throws: the caller gets EIO, the mount is taken away, the process says why', async () => {
    const server = await place.serve(volume, byThreads(threads), preload(place.path('bug.mjs'), bugInReadlink()))
    const user = await openFile()
    expect((await place.shell('readlink -v "$m/tree/sym"')).err).toContain('Input/output error')
    expectBug(await server.ended.then(({ code, err }) => ({ code, err })), 70)
    await user.close() // what it gets doesn't matter: it must not hang
    expect(await place.left(server.pid)).toEqual(NOTHING)
  })

  test('the same in the background goes to the log', async () => {
    const bug = preload(place.path('bug.mjs'), bugInReadlink())
    const server = await place.mount(volume, [...byThreads(threads), '--log', place.path('log')], bug)
    expect((await place.shell('readlink -v "$m/tree/sym"')).err).toContain('Input/output error')
    expect(await place.left(server)).toEqual(NOTHING)
    expect((await place.run('cat', [place.path('log')])).out).toMatch(
      / a bug in cowherd: TypeError: provoked; the mount/,
    )
  })

  test('the main thread throws', async () => {
    const bug = preload(place.path('bug.mjs'), BUG_IN_MAIN_THREAD)
    const server: Running = await place.serve(volume, byThreads(threads), bug)
    const user = await openFile()
    process.kill(server.pid, 'SIGWINCH')
    expectBug(await server.ended.then(({ code, err }) => ({ code, err })), 'SIGKILL')
    await user.close()
    expect(await place.left(server.pid)).toEqual(NOTHING)
  })

  function expectBug({ code, err }: { code: number | string; err: string }, expected: number | string): void {
    expect(err).toMatch(/^cowherd: a bug in cowherd: TypeError: provoked/)
    expect(code).toBe(expected)
  }
})

/** Waiting for a thread that doesn't end takes long by its nature. */
describe.skipIf(!fuseAvailable() || !SOAK)('a bug while another thread is stuck', () => {
  test('the process ends all the same', { timeout: 60_000 }, async () => {
    const bugs = bugInReadlink() + stuckInLookup()
    const server = await place.serve(volume, byThreads(3), preload(place.path('bug.mjs'), bugs))
    const user = place.start('stat', [place.path('m', 'many')])
    await until(async () => (await place.inspect()).openRequests.length > 0)
    expect((await place.shell('readlink -v "$m/tree/sym"')).err).toContain('Input/output error')
    const { code, err } = await server.ended
    expect(err).toMatch(
      /^cowherd: a bug in cowherd: TypeError: provoked; the mount was taken away; 1 threads do not end/,
    )
    expect(code).toBe('SIGKILL')
    await user.ended
    expect(await place.left(server.pid)).toEqual(NOTHING)
  })
})
