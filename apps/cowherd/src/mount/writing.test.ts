/** Mounts that write: what programs do there is there afterwards, and the real fsck has nothing against the volume; however the mount ends. */

import { spawnSync } from 'node:child_process'
import { fuseAvailable } from '@cowherd/fixtures'
import { referee } from '@cowherd/referee'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { MountPlace, NOTHING, until, type Ended } from '../testing/mount-place.ts'
import { bugInReadlink, preload } from '../testing/preload.ts'

const DONE = { code: 0, out: '', err: '' }
const RW = ['-o', 'rw']

let place: MountPlace
beforeEach(() => {
  place = new MountPlace()
})
afterEach(() => place[Symbol.asyncDispose]())

const hasPython = spawnSync('python3', ['-c', 'import mmap']).status === 0

/** A new, empty volume of so many MiB. */
async function newVolume(mebibytes = 256, words: readonly string[] = []): Promise<string> {
  const image = place.path('volume.img')
  await place.run('truncate', ['-s', `${mebibytes}M`, image])
  expect(await place.cowherd(['format', '--quiet', ...words, image])).toMatchObject({ code: 0, err: '' })
  return image
}

/** Runs a line of shell in the directory of the mount. */
async function inside(line: string): Promise<string> {
  const { code, out, err } = await place.shell(`cd "$m" && { ${line}\n}`)
  expect({ code, err }).toEqual({ code: 0, err: '' })
  return out
}

async function unmount(): Promise<void> {
  expect(await place.cowherd(['umount', place.directory])).toEqual(DONE)
  expect(place.processes()).toEqual([])
}

/** The real fsck has nothing against the volume, and it was shut down, or wasn't. */
async function judge(images: string, isClean = true): Promise<void> {
  if (!referee.available()) return
  const { complaints, code, stdout } = await referee.fsck(images.split(':'))
  expect({ complaints, code }).toEqual({ complaints: [], code: 0 })
  expect(/recovering from unclean shutdown/.test(stdout)).toBe(!isClean)
}

/** What the mount shows, as far as it stays the same. */
async function manifest(): Promise<string> {
  const { out } = await place.shell(
    `cd "$m" && find . -printf '%p %y %m %U %G %n %s %l %T@\\n' | sort && find . -type f -exec sha256sum {} + | sort`,
  )
  return out
}

describe.skipIf(!fuseAvailable())('programs at work', () => {
  test('names: made, moved, linked, removed', async () => {
    const volume = await newVolume()
    await place.mount(volume, RW)
    await inside(`
      mkdir -p a/b/c && touch a/one a/b/two && ln a/one a/hard && ln -s ../one a/b/soft && mkfifo a/pipe && mknod a/null c 1 3
      mv a/b/two a/b/c/three && mv -T a/b d && mv a/one d/ && mkdir e && rmdir e && rm a/hard && chmod 2750 a && chown 7:8 d/one
      mv -n d/one d/c/three; test -e d/one; touch x y; mv x y; for i in $(seq 200); do : > a/file-$i; done; rm a/file-1??`)
    expect(await inside('ls a | wc -l; ls d d/c; stat -c "%a %u:%g %h" a d/one; readlink d/soft')).toBe(
      '102\nd:\nc\none\nsoft\n\nd/c:\nthree\n2750 0:0 2\n644 7:8 1\n../one\n',
    )
    const before = await manifest()
    await unmount()
    await judge(volume)
    await place.mount(volume)
    expect(await manifest()).toBe(before)
  })

  test('data: written, synced, appended, cut, with holes', async () => {
    const volume = await newVolume()
    await place.mount(volume, RW)
    await inside(`
      dd if=/dev/urandom of=big bs=1M count=24 conv=fsync 2> /dev/null
      dd if=/dev/urandom of=odd bs=777 count=999 2> /dev/null; cat odd odd >> twice; head -c 100 odd > short; echo more >> short
      truncate -s 1000000 sparse; printf end >> sparse; printf mid | dd of=sparse bs=1 seek=300000 conv=notrunc 2> /dev/null
      dd if=/dev/zero of=direct bs=64k count=10 oflag=direct 2> /dev/null; dd if=big of=copy bs=1M 2> /dev/null; truncate -s 5000 twice`)
    await inside('cmp big copy && head -c 5000 odd | cmp - twice && test $(stat -c %s sparse) = 1000003')
    expect(await inside('dd if=sparse bs=1 skip=300000 count=3 2> /dev/null; tail -c 3 sparse; stat -c %s short')).toBe(
      'midend105\n',
    )
    const before = await manifest()
    await unmount()
    await judge(volume)
    await place.mount(volume, RW)
    expect(await manifest()).toBe(before)
    const usedOf = async (): Promise<number> => Number(await inside('df --output=used -B4096 . | tail -n 1'))
    const used = await usedOf()
    await inside('rm big copy') // they are deleted when the kernel has forgotten them
    expect(await until(async () => used - (await usedOf()) >= 2 * 24 * 256)).toBe(true)
    await unmount()
    await judge(volume)
  })

  test.skipIf(!hasPython)('mapped memory, unlinked files, times, room set aside', async () => {
    const volume = await newVolume()
    await place.mount(volume, RW)
    const out = await place.run('python3', ['-c', PROGRAM, place.directory])
    expect(out).toEqual({ code: 0, out: 'done\n', err: '' })
    await unmount()
    await judge(volume)
    await place.mount(volume)
    expect(await inside('tail -c +5001 mapped | head -c 6; ls; stat -c "%X %.9Y" times')).toBe(
      'shared' + 'linked\nlost+found\nmapped\nroom\ntimes\n987631200 123116400.000000007\n',
    )
  })

  test('a volume that gets full, and room again', async () => {
    const volume = await newVolume(48)
    await place.mount(volume, RW)
    const full = await place.shell('dd if=/dev/zero of="$m/fill" bs=1M count=100 conv=fsync 2>&1')
    expect(full.code).toBe(1)
    expect(full.out).toContain('No space left on device')
    await inside(
      'rm fill && dd if=/dev/urandom of=again bs=1M count=8 conv=fsync 2> /dev/null && sha256sum again > sum',
    )
    await unmount()
    await judge(volume)
    await place.mount(volume)
    await inside('sha256sum -c --quiet sum')
  })

  test('a volume that Linux made', async () => {
    const volume = place.volume('default')
    await place.mount(volume, RW)
    await inside('rm -r many && mkdir new && cp -a tree new/ && mv tree moved && echo text > moved/file')
    await unmount()
    await judge(volume)
  })

  test('two devices with two copies of everything', async () => {
    const volume = place.volume('replicas')
    await place.mount(volume, RW)
    await inside('dd if=/dev/urandom of=data bs=1M count=4 conv=fsync 2> /dev/null; mkdir d; sha256sum data > sum')
    await unmount()
    await judge(volume)
  })
})

/** Maps, unlinks, sets times and room aside; prints `done`. */
const PROGRAM = `
import mmap, os, sys
os.chdir(sys.argv[1])
with open('mapped', 'w+b') as file:
    file.truncate(100000)
    shared = mmap.mmap(file.fileno(), 100000)
    shared[5000:5006] = b'shared'
    assert os.pread(file.fileno(), 6, 5000) == b'shared'
    os.pwrite(file.fileno(), b'!', 99999)
    assert shared[99999:] == b'!'
    private = mmap.mmap(file.fileno(), 4096, flags=mmap.MAP_PRIVATE)
    private[0:1] = b'x'
    assert os.pread(file.fileno(), 1, 0) == b'\\0'
    shared.flush()
fd = os.open('gone', os.O_RDWR | os.O_CREAT, 0o600)
os.write(fd, b'a' * 3000000)
os.unlink('gone')
assert os.fstat(fd).st_nlink == 0 and not os.path.exists('gone')
os.fsync(fd)
os.pwrite(fd, b'b', 2999999)
assert os.pread(fd, 2, 2999998) == b'ab'
os.close(fd)
fd = os.open('.', os.O_TMPFILE | os.O_RDWR, 0o600)
os.write(fd, b'text')
os.link('/proc/self/fd/%d' % fd, 'linked', src_dir_fd=0, follow_symlinks=True)
os.close(fd)
os.close(os.open('.', os.O_TMPFILE | os.O_RDWR, 0o600))
fd = os.open('times', os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o400)
os.write(fd, b'times')
os.fsync(fd)
os.utime('times', ns=(987631200 * 10**9, 123116400 * 10**9 + 7))
os.close(fd)
try:
    os.open('times', os.O_RDWR | os.O_CREAT | os.O_EXCL)
except FileExistsError:
    pass
fd = os.open('room', os.O_RDWR | os.O_CREAT)
os.posix_fallocate(fd, 0, 1 << 20)
assert os.fstat(fd).st_size == 1 << 20 and os.fstat(fd).st_blocks >= 2048
os.close(fd)
fd = os.open('holes', os.O_RDWR | os.O_CREAT) # of what nothing has been written back
os.pwrite(fd, b'x', 0)
os.pwrite(fd, b'y', 1 << 20)
assert [os.lseek(fd, at, os.SEEK_DATA) for at in (0, 5, 4096)] == [0, 5, 1 << 20]
assert [os.lseek(fd, at, os.SEEK_HOLE) for at in (0, 5000, 1 << 20)] == [4096, 5000, (1 << 20) + 1]
os.fsync(fd)
assert 0 < os.fstat(fd).st_blocks < 100
os.close(fd)
os.unlink('holes')
os.mkdir('inner')
os.chdir('inner')
os.rmdir('../inner')
assert os.listdir('.') == []
os.setxattr('../times', 'user.name', b'value', os.XATTR_CREATE)
assert os.getxattr('../times', 'user.name') == b'value'
print('done')
`

describe.skipIf(!fuseAvailable())('the end of a mount that was written', () => {
  /** A file whose data the kernel has kept so far. */
  const CHANGE = 'mkdir d && printf kept > d/file && printf more >> d/file'

  test.each([
    ['umount(8)', 'umount "$m"'],
    ['umount -l', 'umount -l "$m"'],
    ['cowherd umount', '"$node" "$program" umount "$m"'],
    ['SIGTERM', 'kill -TERM $server'],
    ['SIGINT', 'kill -INT $server'],
    ['SIGHUP', 'kill -HUP $server'],
    ['SIGTERM twice at once', 'kill -TERM $server; kill -TERM $server'],
  ])('%s', async (_name, line) => {
    const volume = await newVolume(64)
    const server = await place.mount(volume, RW)
    await inside(CHANGE)
    const env = { server: `${server}`, node: process.execPath, program: place.program }
    expect(await place.shell(line, { env })).toEqual(DONE)
    expect(await place.left(server)).toEqual(NOTHING)
    await judge(volume)
    await place.mount(volume)
    expect(await inside('cat d/file')).toBe('keptmore')
  })

  test('umount -f: what was not synced is lost, and the volume is in order', async () => {
    const volume = await newVolume(64)
    const server = await place.mount(volume, RW)
    await inside(`${CHANGE} && sync d/file && mkdir later`)
    expect(await place.shell('umount -f "$m"')).toEqual(DONE)
    expect(await place.left(server)).toEqual(NOTHING)
    await judge(volume)
    await place.mount(volume)
    expect(await inside('cat d/file; ls')).toBe('keptmored\nlater\nlost+found\n')
  })

  test('in the foreground, with an open file, by the last user', async () => {
    const volume = await newVolume(64)
    const server = await place.serve(volume, RW)
    await inside(CHANGE)
    await place.run('mkfifo', [place.path('go')])
    const env = { m: place.directory, go: place.path('go') }
    const user = place.start('sh', ['-c', 'exec 4>> "$m/d/file" && echo open && read -r _ < "$go"; printf last >&4'], {
      env,
    })
    await until(() => user.said().includes('open'))
    process.kill(server.pid, 'SIGTERM')
    await until(() => server.said().includes('in use'))
    process.kill(server.pid, 'SIGTERM')
    await until(() => place.mounts() === 0)
    await place.shell('echo > "$go"', { env })
    expect((await server.ended).code).toBe(0)
    await judge(volume)
    await place.mount(volume)
    expect(await inside('cat d/file')).toBe('keptmorelast')
  })

  test('kill -9: what was synced is there at the next mount', async () => {
    const volume = await newVolume(64)
    const server = await place.mount(volume, RW)
    await inside(`${CHANGE} && sync d/file && dd if=/dev/urandom of=big bs=1M count=4 conv=fsync 2> /dev/null
      sha256sum big > sum && sync sum && rm -f d/none && mv d/file d/moved && printf unsynced > lost`)
    process.kill(server, 'SIGKILL')
    await until(() => !place.processes().includes(server))
    await place.mount(volume, RW)
    await inside('sha256sum -c --quiet sum && test "$(cat d/*)" = keptmore')
    await inside('echo again > again')
    await unmount()
    await judge(volume)
  })

  test('kill -9 of an idle mount: what is older than the delay of the journal is there', async () => {
    const volume = await newVolume(64)
    const server = await place.mount(volume, ['-o', 'rw,journal_flush_delay=100'])
    await inside('mkdir one two && mv one three')
    await new Promise((resolve) => setTimeout(resolve, 1500))
    process.kill(server, 'SIGKILL')
    await until(() => !place.processes().includes(server))
    expect(await place.cowherd(['umount', place.directory])).toEqual(DONE) // the dead mount
    await judge(volume, false)
    await place.mount(volume, RW)
    expect(await inside('ls')).toBe('lost+found\nthree\ntwo\n')
    await unmount()
    await judge(volume)
  })

  test('an error of ours: callers hear of it, nothing more is written, and the next mount recovers', async () => {
    const volume = await newVolume(64)
    const server = await place.serve(volume, RW, preload(place.path('bug.mjs'), bugInReadlink()))
    await inside(`${CHANGE} && sync d/file && ln -s file d/link`)
    expect((await place.shell('readlink -v "$m/d/link"')).err).toContain('Input/output error')
    const { code, err } = await server.ended
    expect([code, err]).toEqual([70, expect.stringMatching(/^cowherd: a bug in cowherd: TypeError: provoked/)])
    expect(await place.left(server.pid)).toEqual(NOTHING)
    await judge(volume, false)
    await place.mount(volume, RW)
    expect(await inside('cat d/file')).toBe('keptmore')
    await unmount()
    await judge(volume)
  })

  test('a mount that comes to nothing leaves the volume shut down', async () => {
    const volume = await newVolume(64)
    const { code, err } = await place.cowherd(['mount', volume, place.path('none')])
    expect([code, err]).toEqual([1, `cowherd: ${place.path('none')}: no such directory\n`])
    await judge(volume)
  })
})

describe.skipIf(!fuseAvailable())('reading and writing', () => {
  test('-o ro leaves every byte as it is, and says so', async () => {
    const volume = await newVolume(64)
    const before = await place.run('sha256sum', [volume])
    await place.mount(volume)
    expect((await place.shell('touch "$m/x"')).err).toContain('Read-only file system')
    await unmount()
    expect(await place.run('sha256sum', [volume])).toEqual(before)
  })

  test('a volume in use', async () => {
    const volume = await newVolume(64)
    const server = await place.mount(volume, RW)
    const refused = `cowherd: ${volume}: in use: process ${server} (node) has it `
    const others: Ended[] = [
      await place.cowherd(['mount', volume, place.path('m')]),
      await place.cowherd(['mount', '-o', 'ro', volume, place.path('m')]),
    ]
    expect(others.map(({ code, err }) => [code, err.startsWith(refused)])).toEqual(others.map(() => [3, true]))
  })

  test('norecovery and nolock only read', async () => {
    const volume = await newVolume(64)
    const { err } = await place.cowherd(['mount', '-o', 'norecovery', volume, place.directory])
    expect(err).toBe(`cowherd: ${place.directory}: mounted read only, as norecovery wants it\n`)
    expect((await place.shell('touch "$m/x"')).err).toContain('Read-only file system')
  })

  test('written at once, without the cache of the kernel', async () => {
    const volume = await newVolume(64)
    await place.mount(volume, ['-o', 'rw,writethrough'])
    await inside('printf abc > file && printf def >> file && cat file')
    const { protocol, operations } = await place.inspect()
    expect(protocol.features).not.toContain('writebackCache')
    expect(operations.find(({ operation }) => operation === 'write')?.count).toBe(2)
    await unmount()
    await judge(volume)
  })

  test('a program of root loses its rights when others write to it', async () => {
    const volume = await newVolume(64)
    await place.run('chmod', ['755', place.folder])
    await place.mount(volume, ['-o', 'rw,allow_other'])
    await inside(`cp /bin/true prog && chmod 4777 prog && chown 0:0 prog && chmod 4777 prog
      setpriv --reuid 65534 --regid 65534 --clear-groups sh -c 'echo x >> prog'`)
    expect(await inside('stat -c %a prog')).toBe('777\n')
    await inside('mkdir open && chmod 2777 open && setpriv --reuid 65534 --regid 65534 --clear-groups touch open/file')
    expect(await inside('stat -c "%u %g" open/file')).toBe('65534 0\n')
    const denied = await place.shell('cd "$m" && setpriv --reuid 65534 --regid 65534 --clear-groups touch none')
    expect(denied.err).toContain('Permission denied')
    await unmount()
    await judge(volume)
  })
})

/** A loop device on an image; undefined where there is none to be had. */
function attach(image: string, words: readonly string[] = []): string | undefined {
  const { status, stdout } = spawnSync('losetup', ['-f', '--show', ...words, image], { encoding: 'utf8' })
  return status === 0 ? stdout.trim() : undefined
}

function detach(device: string): void {
  spawnSync('losetup', ['-d', device])
}

const hasLoop = fuseAvailable() && process.geteuid?.() === 0 && spawnSync('losetup', ['-f']).status === 0

describe.skipIf(!hasLoop)('a block device', () => {
  test('is mounted as one: syncfs(2) reaches the volume, and umount(8) returns when it is shut down', async () => {
    const image = await newVolume(64)
    const device = attach(image)
    if (device === undefined) return expect.unreachable()
    try {
      const server = await place.mount(device, RW)
      expect((await place.shell('findmnt -n -o SOURCE,FSTYPE "$m"')).out).toMatch(`${device} fuseblk.cowherd\n`)
      await inside('mkdir d && echo text > d/file && sync -f .')
      const { operations } = await place.inspect()
      expect(operations.map(({ operation }) => operation)).toContain('syncfs')
      expect((await place.cowherd(['mount', device, place.path('m')])).err).toContain('in use')
      expect(await place.shell('umount "$m"')).toEqual(DONE)
      if (referee.available()) await judge(image) // at once: nobody has to wait for the process
      expect(await place.left(server)).toEqual(NOTHING)
      process.kill(await place.mount(device, RW), 'SIGKILL') // the dead mount has the device
      await until(async () => (await place.shell('ls "$m"')).err.includes('not connected'))
      await place.mount(device, RW)
      expect(await inside('cat d/file')).toBe('text\n')
      await unmount()
      await judge(image)
    } finally {
      await place.shell('umount "$m"')
      detach(device)
    }
  })

  test('that can only be read is mounted so, and the reason is said', async () => {
    const image = await newVolume(64)
    const device = attach(image, ['-r'])
    if (device === undefined) return expect.unreachable()
    try {
      const mounted = await place.cowherd(['mount', device, place.directory])
      expect(mounted.code).toBe(0)
      expect(mounted.err).toBe(`cowherd: ${device}: the device can only be read: mounted read only\n`)
      expect((await place.shell('touch "$m/x"')).err).toContain('Read-only file system')
      await unmount()
      const refused = await place.cowherd(['mount', '-o', 'rw', device, place.directory])
      expect([refused.code, refused.err.startsWith(`cowherd: ${device}: `)]).toEqual([3, true])
    } finally {
      await place.shell('umount "$m"')
      detach(device)
    }
  })
})
