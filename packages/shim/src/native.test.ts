import { spawnSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  lstatSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { loadNative } from './native.ts'

const native = loadNative()
const root = process.getuid?.() === 0
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const times = (
  ...[atimeSeconds, atimeNanoseconds, mtimeSeconds, mtimeNanoseconds]: [number, number, number, number]
) => ({
  atimeSeconds,
  atimeNanoseconds,
  mtimeSeconds,
  mtimeNanoseconds,
})

let folder: string
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'cowherd-native-'))))
afterEach(() => rmSync(folder, { recursive: true }))

test('COWHERD_NO_KOFFI=1 does without', () => {
  process.env['COWHERD_NO_KOFFI'] = '1'
  try {
    expect(loadNative()).toBeUndefined()
  } finally {
    delete process.env['COWHERD_NO_KOFFI']
  }
  expect(loadNative()).toBe(native)
})

describe.skipIf(native === undefined)('native calls', () => {
  if (native === undefined) return

  test('times to the nanosecond, on links themselves, before 1970 too', () => {
    const file = join(folder, 'file')
    const link = join(folder, 'link')
    writeFileSync(file, 'x')
    symlinkSync('file', link)
    native.setTimes(bytes(file), times(1_234_567_890, 123_456_789, -1, 999_999_999))
    native.setTimes(bytes(link), times(0, 5, 1, 1))
    const stat = statSync(file, { bigint: true })
    expect([stat.atimeNs, stat.mtimeNs]).toEqual([1_234_567_890_123_456_789n, -1n])
    expect(lstatSync(link, { bigint: true }).mtimeNs).toBe(1_000_000_001n)
    const fd = openSync(file, 'r+')
    native.setTimesOfOpen(fd, times(0, 1, 0, 2))
    closeSync(fd)
    expect(statSync(file, { bigint: true }).mtimeNs).toBe(2n)
  })

  test('extended attributes, also empty and binary ones', () => {
    const file = join(folder, 'file')
    writeFileSync(file, 'x')
    native.setXattr(bytes(file), 'user.binary', new Uint8Array([0, 1, 255]))
    native.setXattr(bytes(file), 'user.empty', new Uint8Array(0))
    const shown = spawnSync('getfattr', ['-e', 'hex', '-d', '--absolute-names', file]).stdout?.toString()
    if (shown !== undefined) {
      expect(shown).toContain('user.binary=0x0001ff')
      expect(shown).toContain('user.empty')
    }
    expect(native.listXattrs(bytes(file)).sort((a, b) => Buffer.compare(a, b))).toEqual([
      bytes('user.binary'),
      bytes('user.empty'),
    ])
    expect(native.getXattr(bytes(file), bytes('user.binary'))).toEqual(new Uint8Array([0, 1, 255]))
    expect(native.getXattr(bytes(file), bytes('user.empty'))).toEqual(new Uint8Array(0))
    expect(native.getXattr(bytes(file), bytes('user.none'))).toBeUndefined()
    expect(() => native.listXattrs(bytes(`${file}.none`))).toThrow('ENOENT')
    native.removeXattr(bytes(file), bytes('user.empty'))
    expect(native.getXattr(bytes(file), bytes('user.empty'))).toBeUndefined()
    expect(() => native.removeXattr(bytes(file), bytes('user.empty'))).toThrow(/ENODATA|ENOATTR/)
    symlinkSync('file', join(folder, 'link'))
    expect(native.listXattrs(bytes(join(folder, 'link')))).toEqual([])
  })

  test.runIf(process.platform === 'linux')('renaming to a name that is free', () => {
    const [from, to] = [join(folder, 'from'), join(folder, 'to')]
    writeFileSync(from, 'x')
    writeFileSync(to, 'y')
    expect(() => native.renameToFree(bytes(from), bytes(to))).toThrow('EEXIST')
    native.renameToFree(bytes(from), bytes(`${to}.free`))
    expect([existsSync(from), existsSync(`${to}.free`)]).toEqual([false, true])
  })

  test('data and holes', () => {
    const file = join(folder, 'file')
    const fd = openSync(file, 'w+')
    const MIB = 1 << 20
    ftruncateSync(fd, 4 * MIB)
    expect(native.nextHole(fd, 0)).toBe(0)
    writeSync(fd, new Uint8Array(MIB).fill(1), 0, MIB, MIB)
    expect([native.nextData(fd, 0), native.nextHole(fd, MIB)]).toEqual([MIB, 2 * MIB])
    expect([native.nextData(fd, MIB + 5), native.nextData(fd, 2 * MIB)]).toEqual([MIB + 5, undefined])
    expect(native.nextHole(fd, 3 * MIB)).toBe(3 * MIB)
    expect(native.nextData(fd, 4 * MIB)).toBeUndefined()
    closeSync(fd)
  })

  test('fifos and, as root, device nodes with large numbers', () => {
    native.mknod(bytes(join(folder, 'fifo')), 0o010600, 0, 0)
    expect(statSync(join(folder, 'fifo')).isFIFO()).toBe(true)
    if (!root) return
    native.mknod(bytes(join(folder, 'disk')), 0o060600, 259, 70000)
    const stat = statSync(join(folder, 'disk'), { bigint: true })
    expect(stat.isBlockDevice()).toBe(true)
    expect(
      spawnSync('stat', ['-c', '%t:%T', join(folder, 'disk')])
        .stdout.toString()
        .trim(),
    ).toBe('103:11170')
  })

  test('failures carry the errno name and the call', () => {
    const call = (): void => native.setXattr(bytes(join(folder, 'none')), 'user.a', new Uint8Array(1))
    expect(call).toThrow(expect.objectContaining({ code: 'ENOENT' }))
    expect(call).toThrow(/setxattr: ENOENT/)
    expect(() => native.setTimes(bytes('a\0b'), times(0, 0, 0, 0))).toThrow('EINVAL')
  })

  describe.skipIf(process.platform !== 'linux')('descriptors over sockets', () => {
    let sockets: number[]
    beforeEach(() => void (sockets = native.socketPair()))
    afterEach(() => {
      for (const socket of sockets) closeSync(socket)
    })

    /** Open flags say whether a child process would inherit the descriptor. */
    const closesOnExec = (fd: number): boolean =>
      (parseInt(/flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '0', 8) & 0o2000000) !==
      0

    test('a socket pair is connected, and not inherited', () => {
      const [ours = -1, theirs = -1] = sockets
      writeSync(ours, 'hello')
      const got = new Uint8Array(5)
      readSync(theirs, got)
      expect(new TextDecoder().decode(got)).toBe('hello')
      expect(sockets.map(closesOnExec)).toEqual([true, true])
    })

    test('whether there is something to read', () => {
      const [ours = -1, theirs = -1] = sockets
      expect(native.isReadable(theirs)).toBe(false)
      writeSync(ours, 'x')
      expect(native.isReadable(theirs)).toBe(true)
      readSync(theirs, new Uint8Array(1))
      expect(native.isReadable(theirs)).toBe(false)
    })

    test('a descriptor from another process', () => {
      const [ours = -1, theirs = -1] = sockets
      // Node's own channel between processes passes sockets in this way
      const script = `const server = require('net').createServer().listen(${JSON.stringify(join(folder, 'socket'))}, () =>
        process.send('a descriptor', server, () => process.exit()))`
      const env = { NODE_CHANNEL_FD: '3', NODE_CHANNEL_SERIALIZATION_MODE: 'json' }
      const { status } = spawnSync(process.execPath, ['-e', script], {
        stdio: ['ignore', 'inherit', 'inherit', theirs],
        env,
      })
      expect(status).toBe(0)
      const fd = native.receiveDescriptor(ours)
      if (fd === undefined) throw new Error('no descriptor received')
      expect(fstatSync(fd).isSocket()).toBe(true)
      expect(closesOnExec(fd)).toBe(true)
      closeSync(fd)
    })

    test('undefined for a byte without a descriptor, and when the other side closed', () => {
      const [ours = -1, theirs = -1] = sockets
      writeSync(theirs, 'x')
      expect(native.receiveDescriptor(ours)).toBeUndefined()
      closeSync(theirs)
      sockets = [ours]
      expect(native.receiveDescriptor(ours)).toBeUndefined()
    })

    test('not a socket', () => {
      const fd = openSync(process.execPath, 'r')
      expect(() => native.receiveDescriptor(fd)).toThrow('recvmsg: ENOTSOCK')
      closeSync(fd)
    })
  })
})
