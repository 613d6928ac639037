import { spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  chownSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fuseAvailable, userMountsAvailable } from '@cowherd/fixtures'
import { loadNative } from '@cowherd/shim'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { codeOfComplaint, complaint } from './mount-error.ts'
import { findMount } from './mount-table.ts'
import { clearStale, mountFuse, type MountOptions } from './mount.ts'
import { BARE_SERVER, serveBarely, unmountAll } from './testing/bare-server.ts'
import { isFuse } from './unmount.ts'

let folder: string
let directory: string
let fds: number[]
let children: ChildProcess[]

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'cowherd-mount-')))
  directory = join(folder, 'm')
  mkdirSync(directory)
  fds = []
  children = []
})
afterEach(async () => {
  for (const child of children) await end(child)
  for (const fd of fds) closeSync(fd)
  unmountAll(folder)
  rmSync(folder, { recursive: true })
})

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

const plain: MountOptions = { source: 'volume', subtype: 'cowherd', options: [] }

/** Mounts on the directory; the descriptor is closed when the test ends. */
function mount(options: Partial<MountOptions> = {}): number {
  const fd = mountFuse(directory, { ...plain, ...options })
  fds.push(fd)
  return fd
}

/** Mounts, and leaves it to a child to serve. */
function mountAndServe(how: 'well' | 'silently' = 'well'): ChildProcess {
  const fd = mountFuse(directory, plain)
  const server = serveBarely(fd, how)
  closeSync(fd)
  children.push(server)
  return server
}

/** What stat(1) says of the directory; from a child, which can be stopped. */
function stat(): string {
  const { stdout, stderr } = spawnSync('timeout', ['10', 'stat', '-c', '%F', directory], { env: { LC_ALL: 'C' } })
  return `${stdout.toString()}${stderr.toString()}`.trim()
}

function failure(path: string, options: Partial<MountOptions> = {}): unknown {
  try {
    fds.push(mountFuse(path, { ...plain, ...options }))
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error)) throw error
    expect(error.name).toBe('MountError')
    return [error.code, error.message.replace(`${path}: `, '')]
  }
  return 'nothing thrown'
}

describe.skipIf(!fuseAvailable())('mounting as root', () => {
  test('the first request waits in the descriptor', () => {
    const fd = mount()
    const request = new DataView(new ArrayBuffer(8192))
    expect(readSync(fd, request)).toBe(104)
    expect(request.getUint32(4, true)).toBe(26) // INIT
    expect(request.getUint32(40, true)).toBe(7) // major version
  })

  test('what the table of mounts shows', () => {
    mount({ source: 'my volume, the second\\' })
    expect(findMount(directory)).toMatchObject({
      mountPoint: directory,
      type: 'fuse.cowherd',
      source: 'my volume, the second\\',
      superOptions: ['rw', 'user_id=0', 'group_id=0'],
    })
    expect(findMount(directory)?.options).toEqual(expect.arrayContaining(['rw', 'nosuid', 'nodev']))
  })

  test('a mount that stands for a block device', (context) => {
    const image = join(folder, 'image')
    writeFileSync(image, new Uint8Array(1 << 20))
    const device = spawnSync('losetup', ['-f', '--show', image], { encoding: 'utf8' }).stdout.trim()
    if (device === '') return context.skip('no loop devices here')
    try {
      mount({ source: 'ignored', blockDevice: device })
      const entry = findMount(directory)
      expect(entry).toMatchObject({ type: 'fuseblk.cowherd', source: device })
      expect(entry !== undefined && [isFuse(entry), isFuse(entry, 'cowherd'), isFuse(entry, 'other')]).toEqual([
        ...[true, true, false],
      ])
      expect(() => openSync(device, constants.O_RDWR | constants.O_EXCL)).toThrow('EBUSY')
      closeSync(fds.pop() ?? -1)
      expect(clearStale(directory, 'other')).toBe(false)
      expect(clearStale(directory, 'cowherd')).toBe(true)
      closeSync(openSync(device, constants.O_RDWR | constants.O_EXCL))
    } finally {
      unmountAll(directory)
      spawnSync('losetup', ['-d', device])
    }
  })

  test.each(['-o', '/dev/zero', 'package.json', 'UUID', 'a\nb\t#', 'größe', 'none'])('the source %j', (source) => {
    mount({ source })
    expect(findMount(directory)?.source).toBe(source)
  })

  test('sources that mount(8) would take for something else', () => {
    mount({ source: 'LABEL=x' })
    expect(findMount(directory)?.source).toBe('./LABEL=x')
    closeSync(fds.pop() ?? -1)
    mount({ source: '' })
    expect(findMount(directory)?.source).toBe('cowherd')
  })

  test('options', () => {
    mount({ options: ['ro', 'noatime', 'suid', 'allow_other', 'default_permissions', 'max_read=65536'] })
    const { options, superOptions } = findMount(directory) ?? {}
    expect(options).toEqual(['ro', 'nodev', 'noatime'])
    expect(superOptions).toEqual(expect.arrayContaining(['allow_other', 'default_permissions', 'max_read=65536']))
  })

  test('a served mount, through a link', () => {
    symlinkSync('m', join(folder, 'link'))
    const fd = mountFuse(join(folder, 'link'), plain)
    children.push(serveBarely(fd))
    closeSync(fd)
    expect(stat()).toBe('directory')
  })

  test('programs that are started later do not inherit the descriptor', () => {
    const fd = mount()
    expect(fstatSync(fd).isCharacterDevice()).toBe(true)
    expect(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8')).toMatch(/flags:\s+02\d{6}\n/) // O_CLOEXEC
  })

  describe('refusals', () => {
    test('missing, or no directory', () => {
      writeFileSync(join(folder, 'file'), '')
      expect(failure(join(folder, 'none'))).toEqual(['ENOENT', 'no such directory'])
      expect(failure(join(folder, 'none', 'none'))).toEqual(['ENOENT', 'no such directory'])
      expect(failure(join(folder, 'file'))).toEqual(['ENOTDIR', 'not a directory'])
      expect(failure(join(folder, 'file', 'x'))).toEqual(['ENOTDIR', 'not a directory'])
    })

    test('already mounted', () => {
      mountAndServe()
      expect(failure(directory)).toEqual(['EBUSY', 'already mounted: volume'])
      expect(failure(directory, { subtype: 'other' })).toEqual(['EBUSY', 'already mounted: volume'])
      expect(stat()).toBe('directory')
    })

    test('options that mount(8) refuses, and ours', () => {
      const devices = (): number =>
        spawnSync('ls', ['-l', `/proc/${process.pid}/fd`])
          .stdout.toString()
          .split('-> /dev/fuse').length
      const before = devices()
      expect(failure(directory, { options: ['bogus'] })).toEqual(['EINVAL', expect.stringMatching(/./)])
      expect(failure(directory, { options: ['fd=7'] })).toEqual(['EINVAL', "the mount option fd=7 can't be given"])
      expect(findMount(directory)).toBeUndefined()
      expect(devices()).toBe(before) // none is left open
    })

    test('without mount', () => {
      const path = process.env['PATH']
      process.env['PATH'] = '/nonexistent'
      try {
        expect(failure(directory)).toEqual(['ENOENT', 'the program mount is missing (Debian: package mount)'])
      } finally {
        process.env['PATH'] = path
      }
    })
  })

  describe('dead mounts', () => {
    test('are cleared away', () => {
      closeSync(mountFuse(directory, plain))
      expect(stat()).toContain('not connected')
      expect(clearStale(directory, 'other')).toBe(false)
      expect(clearStale(directory, 'cowherd')).toBe(true)
      expect(clearStale(directory)).toBe(false)
      expect(statSync(directory).isDirectory()).toBe(true)
    })

    test('after kill -9 of the server the next mount just works', async () => {
      const server = mountAndServe()
      expect(stat()).toBe('directory')
      await end(server)
      expect(stat()).toContain('not connected')
      mountAndServe()
      expect(stat()).toBe('directory')
      expect(readFileSync('/proc/self/mountinfo', 'utf8').split(directory).length).toBe(2)
    })

    test('those of others are left alone', () => {
      closeSync(mountFuse(directory, { ...plain, subtype: 'other', source: 'theirs' }))
      expect(failure(directory)).toEqual(['EBUSY', 'already mounted: theirs'])
    })

    test('several upon each other', () => {
      closeSync(mountFuse(directory, plain))
      const device = openSync('/dev/fuse', 'r+')
      const words = ['-i', '-t', 'fuse.cowherd', '-o', 'fd=3,rootmode=40000,user_id=0,group_id=0', 'upper', directory]
      spawnSync('mount', words, { stdio: ['ignore', 'inherit', 'inherit', device] })
      closeSync(device)
      expect(findMount(directory)?.source).toBe('upper')
      mount()
      expect(readFileSync('/proc/self/mountinfo', 'utf8').split(directory).length).toBe(2)
    })

    test('a mount is not dead because its server does not answer, so that even whoever asks cannot be killed', () => {
      mountAndServe('silently')
      expect(failure(directory)).toEqual(['EBUSY', 'already mounted: volume'])
      expect(findMount(directory)).toBeDefined()
    })

    test('nothing mounted, or something else', () => {
      expect(clearStale(directory)).toBe(false)
      expect(clearStale('/proc')).toBe(false)
      expect(() => clearStale(join(folder, 'none'))).toThrow('no such directory')
    })
  })
})

/**
 * Runs a script, as a module, in a mount namespace of its own where /dev/fuse is what `prepare` makes it: the machine's
 * own may be closed to ordinary users. Its mounts end with it. The script sees the built package, since Node runs no
 * TypeScript; it starts as root, becomes an ordinary user with `becomeUser()`, and collects what it found in `results`.
 */
function runIsolated(prepare: string, script: string): unknown {
  const built = new URL('../dist/mount.js', import.meta.url)
  if (!existsSync(built)) throw new Error("the package isn't built: npm run build")
  const prologue = `
    import fs from 'node:fs'
    import { loadNative } from '@cowherd/shim'
    import { clearStale, mountFuse } from '${built.href}'
    import { findMount } from '${new URL('mount-table.js', built).href}'
    import { unmount } from '${new URL('unmount.js', built).href}'
    const [folder, directory] = process.argv.slice(1)
    const results = {}
    const plain = { source: 'volume', subtype: 'cowherd', options: [] }
    const failure = (action) => {
      try { action() } catch (error) { return [error.code, error.message] }
      return 'nothing thrown'
    }
    const becomeUser = () => {
      loadNative() // the user may not be able to read it
      process.setgroups([])
      process.setgid(65534)
      process.setuid(65534)
    }
  `
  const epilogue = '\nconsole.log(JSON.stringify(results))'
  const shell = `set -eu
    mount -t tmpfs none "$1"
    mkdir -m 755 "$1/m" && chown 65534:65534 "$1/m"
    touch "$1/fuse.conf"
    if test -e /etc/fuse.conf; then mount --bind "$1/fuse.conf" /etc/fuse.conf; fi
    ${prepare}
    exec "$2" --input-type=module -e "$3" -- "$1" "$1/m"`
  const isolate = ['-m', '--propagation', 'private', 'sh', '-c', shell, 'sh']
  const { status, stdout, stderr } = spawnSync(
    'timeout',
    ['-k', '5', '50', 'unshare', ...isolate, folder, process.execPath, prologue + script + epilogue],
    { cwd: fileURLToPath(new URL('..', import.meta.url)), encoding: 'utf8' },
  )
  if (status !== 0) throw new Error(`the script ended with ${status}: ${stderr}`)
  expect(stderr).toBe('')
  return JSON.parse(stdout)
}

const device = (mode: string): string =>
  `mknod "$1/fuse" c 10 229 && chmod ${mode} "$1/fuse" && mount --bind "$1/fuse" /dev/fuse`

describe.skipIf(!userMountsAvailable())('mounting as an ordinary user', () => {
  beforeEach(() => chownSync(folder, 65534, 65534))

  test.skipIf(loadNative() === undefined)('a mount from its beginning to its end', () => {
    const script = `
      becomeUser()
      const fd = mountFuse(directory, { source: 'a, b\\\\c', subtype: 'cowherd', options: ['ro', 'default_permissions'] })
      const { type, source, options, superOptions } = findMount(directory)
      results.entry = { type, source, options, superOptions }
      results.requestLength = fs.readSync(fd, new Uint8Array(8192))
      results.closesOnExec = /flags:\\s*02\\d{6}\\n/.test(fs.readFileSync('/proc/thread-self/fdinfo/' + fd, 'utf8'))
      results.again = failure(() => mountFuse(directory, { ...plain, subtype: 'other' }))
      fs.closeSync(fd)
      const second = mountFuse(directory, plain) // clears the first away
      results.mounts = fs.readFileSync('/proc/self/mountinfo', 'utf8').split(directory + ' ').length - 1
      await unmount(directory)
      results.afterUnmount = findMount(directory) ?? 'none'
      fs.closeSync(second)
      fs.closeSync(mountFuse(directory, plain))
      results.cleared = clearStale(directory)
    `
    expect(runIsolated(device('666'), script)).toEqual({
      entry: {
        type: 'fuse.cowherd',
        source: 'a, b\\c',
        options: ['ro', 'nosuid', 'nodev', 'relatime'],
        superOptions: ['ro', 'user_id=65534', 'group_id=65534', 'default_permissions'],
      },
      requestLength: 104,
      closesOnExec: true,
      again: ['EBUSY', `${directory}: already mounted: a, b\\c`],
      mounts: 1,
      afterUnmount: 'none',
      cleared: true,
    })
  })

  test.skipIf(loadNative() === undefined)('a served mount that is in use, until it is unmounted lazily', () => {
    const script = `
      import { spawn } from 'node:child_process'
      import { once } from 'node:events'
      becomeUser()
      const fd = mountFuse(directory, plain)
      const server = spawn(process.execPath, ['-e', ${JSON.stringify(BARE_SERVER)}], { stdio: ['ignore', 'inherit', 'inherit', fd] })
      fs.closeSync(fd)
      const user = spawn('sh', ['-c', 'cd "$0" && echo ready && read wait', directory], { stdio: ['pipe', 'pipe', 'inherit'] })
      await once(user.stdout, 'data')
      const busy = await unmount(directory).catch(({ code, message }) => [code, message])
      results.busy = [busy[0], busy[1].replace(user.pid, 'PID')]
      await unmount(directory, { lazy: true })
      results.afterUnmount = findMount(directory) ?? 'none'
      user.stdin.end()
      results.server = (await once(server, 'exit'))[0]
    `
    expect(runIsolated(device('666'), script)).toEqual({
      busy: ['EBUSY', `${directory}: in use by sh (PID)`],
      afterUnmount: 'none',
      server: 0,
    })
  })

  test.skipIf(loadNative() === undefined)('refusals of fusermount3', () => {
    const script = `
      fs.mkdirSync(folder + '/roots', { mode: 0o755 })
      const roots = mountFuse(folder + '/roots', plain)
      fs.mkdirSync(folder + '/closed', { mode: 0o755 })
      becomeUser()
      results.allowOther = failure(() => mountFuse(directory, { ...plain, options: ['allow_other'] }))
      results.closed = failure(() => mountFuse(folder + '/closed', plain))
      results.unmountRoots = await unmount(folder + '/roots').catch(({ code, message }) => [code, message])
      process.env.PATH = '/nonexistent'
      results.without = failure(() => mountFuse(directory, plain))
      results.withoutKoffi = failure(() => mountFuse(directory, { ...plain, native: undefined }))
      results.descriptors = fs.readdirSync('/proc/thread-self/fd').length - before
    `.replace('becomeUser()', `becomeUser()\nconst before = fs.readdirSync('/proc/thread-self/fd').length`)
    expect(runIsolated(device('666'), script)).toEqual({
      allowOther: [
        'EPERM',
        `${directory}: option allow_other only allowed if 'user_allow_other' is set in /etc/fuse.conf`,
      ],
      closed: ['EPERM', `${folder}/closed: user has no write access to mountpoint ${folder}/closed`],
      unmountRoots: ['EPERM', `${folder}/roots: mounted by another user (root)`],
      without: ['ENOENT', `${directory}: the program fusermount3 is missing (Debian: package fuse3)`],
      withoutKoffi: [
        'ENOSYS',
        `${directory}: mounting as an ordinary user takes the package koffi (not installed), or root`,
      ],
      descriptors: 0,
    })
  })

  test('where /dev/fuse is closed to the user', () => {
    const script = `
      becomeUser()
      results.closed = failure(() => mountFuse(directory, plain))
    `
    expect(runIsolated(device('600'), script)).toEqual({
      closed: ['EACCES', `${directory}: no permission to open /dev/fuse`],
    })
  })

  test('where there is no /dev/fuse, also for root', () => {
    const script = `
      results.root = failure(() => mountFuse(directory, plain))
      becomeUser()
      results.user = failure(() => mountFuse(directory, plain))
    `
    const noDevice = 'mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/urandom c 1 9'
    const refusal = [
      'ENOENT',
      `${directory}: /dev/fuse is missing: this system has no FUSE, or its module isn't loaded (modprobe fuse)`,
    ]
    expect(runIsolated(noDevice, script)).toEqual({ root: refusal, user: refusal })
  })
})

test('the programs are quoted without their own names', () => {
  const told = (program: string, output: string): unknown => {
    const text = complaint(program, '/mnt', output)
    return [codeOfComplaint(text), text]
  }
  expect(told('mount', 'mount: /mnt: permission denied.\n       dmesg(1) may have more\n')).toEqual([
    'EPERM',
    'permission denied.',
  ])
  expect(told('mount', "mount: /mnt: unknown filesystem type 'fuse.x'.\n")).toEqual([
    'ENODEV',
    "unknown filesystem type 'fuse.x'.",
  ])
  expect(told('umount', 'umount: /mnt: target is busy.\n')).toEqual(['EBUSY', 'target is busy.'])
  expect(told('umount', 'umount: /mnt: not mounted.\n')).toEqual(['EINVAL', 'not mounted.'])
  expect(told('fusermount3', 'fusermount3: failed to unmount /mnt: Device or resource busy\n')).toEqual([
    'EBUSY',
    'failed to unmount /mnt: Device or resource busy',
  ])
  expect(told('mount', '')).toEqual(['EIO', 'mount failed without a message'])
})
