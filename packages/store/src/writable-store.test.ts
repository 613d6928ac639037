import { Arena, DeviceError, loadNative, ThreadRegistry, type WritableBlockDevice } from '@cowherd/shim'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openStore, openWritableStore, writableMemoryStore } from './index.ts'

ThreadRegistry.create().enter()

const SIZE = 3 << 20
const root = process.getuid?.() === 0
const loopsWork = root && process.platform === 'linux' && spawnSync('losetup', ['-f']).status === 0
const NO_LOOPS = 'no loop devices here'
const native = loadNative()

let folder: string
let image: string
let loop: string | undefined
let stores: WritableBlockDevice[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cowherd-store-'))
  image = join(folder, 'disk.img')
  writeFileSync(image, new Uint8Array(SIZE).fill(0xaa))
  stores = []
})
afterEach(() => {
  for (const store of stores) store.close()
  if (loop !== undefined) spawnSync('losetup', ['-d', loop])
  loop = undefined
  rmSync(folder, { recursive: true })
})

function attach(): string {
  loop = spawnSync('losetup', ['-f', '--show', image]).stdout.toString().trim()
  return loop
}

function open(path: string, options?: Parameters<typeof openWritableStore>[1]): WritableBlockDevice {
  const store = openWritableStore(path, options)
  stores.push(store)
  return store
}

function failure(action: () => unknown): [string, string] {
  try {
    action()
  } catch (error) {
    if (error instanceof DeviceError) return [error.code, error.message.replaceAll(folder, 'FOLDER')]
    throw error
  }
  return ['', 'nothing thrown']
}

/** Page-aligned memory. */
function pages(count: number): Uint8Array {
  const arena = Arena.create(1 << 20)
  return new Uint8Array(arena.descriptor.buffer, 4 * arena.allocate(1024 * count), 4096 * count)
}

describe.each(['file', 'block device', 'memory'] as const)('%s', (kind) => {
  let memory: Uint8Array
  const make = (): WritableBlockDevice => {
    if (kind === 'file') return open(image)
    if (kind === 'block device') return open(attach())
    memory = new Uint8Array(SIZE).fill(0xaa)
    return writableMemoryStore(memory, 'memory')
  }
  const content = (): Uint8Array => (kind === 'memory' ? memory : readFileSync(image))

  test('writes what is read again, here and elsewhere', (context) => {
    if (kind === 'block device' && !loopsWork) return context.skip(NO_LOOPS)
    const store = make()
    expect([store.size, store.alignment]).toEqual([SIZE, 1])
    store.write(Uint8Array.of(1, 2, 3), 4095)
    store.writeThrough(new Uint8Array(new SharedArrayBuffer(8), 2, 3).fill(7), SIZE - 3)
    store.write(new Uint8Array(0), SIZE)
    const target = new Uint8Array(5)
    store.read(target, 4094)
    expect([...target]).toEqual([0xaa, 1, 2, 3, 0xaa])
    store.flush()
    store.close()
    store.close()
    const model = new Uint8Array(SIZE).fill(0xaa)
    model.set([1, 2, 3], 4095)
    model.fill(7, SIZE - 3)
    expect(Buffer.compare(content(), model)).toBe(0)
  })

  test('refuses what lies outside, and anything after it was closed', (context) => {
    if (kind === 'block device' && !loopsWork) return context.skip(NO_LOOPS)
    const store = make()
    const bytes = new Uint8Array(10)
    for (const act of [
      () => store.write(bytes, SIZE - 9),
      () => store.writeThrough(bytes, SIZE),
      () => store.write(bytes, -1),
      () => store.write(bytes, 0.5),
      () => store.read(bytes, 2 ** 60),
      () => store.discard(SIZE - 9, 10),
    ]) {
      expect(failure(act)[0]).toBe('EIO')
    }
    store.close()
    for (const act of [
      () => store.write(bytes, 0),
      () => store.writeThrough(bytes, 0),
      () => store.read(bytes, 0),
      () => store.flush(),
      () => store.discard(0, 10),
    ]) {
      expect(failure(act)[0]).toBe('EBADF')
    }
    expect(Buffer.compare(content(), new Uint8Array(SIZE).fill(0xaa))).toBe(0)
  })

  test('discards', (context) => {
    if (kind === 'block device' && !loopsWork) return context.skip(NO_LOOPS)
    if (kind !== 'memory' && native === undefined) return context.skip('no native calls here')
    const store = make()
    expect(store.canDiscard).toBe(true)
    const before = kind === 'memory' ? 0 : statSync(image).blocks
    try {
      store.discard(1 << 20, 1 << 20)
    } catch (error) {
      // a filesystem without holes says so by name
      expect(error).toMatchObject({ code: 'EOPNOTSUPP' })
      return
    }
    store.discard(5, 0)
    store.close()
    const bytes = content()
    expect(bytes.subarray(0, 1 << 20).every((byte) => byte === 0xaa)).toBe(true)
    expect(bytes.subarray(2 << 20).every((byte) => byte === 0xaa)).toBe(true)
    if (kind !== 'memory') expect(statSync(image).blocks).toBeLessThan(before)
    expect(bytes.subarray(1 << 20, 2 << 20).every((byte) => byte === 0)).toBe(true)
  })
})

test('without native calls discarding is refused by name', () => {
  const store = open(image, { native: undefined })
  expect(store.canDiscard).toBe(false)
  expect(failure(() => store.discard(0, 4096))).toEqual([
    'EOPNOTSUPP',
    "FOLDER/disk.img: discarding needs Linux and the optional package 'koffi'",
  ])
})

test('direct I/O keeps to its alignment', (context) => {
  let store: WritableBlockDevice
  try {
    store = open(image, { direct: true })
  } catch (error) {
    expect(error).toMatchObject({ code: 'EINVAL' })
    return context.skip('no direct I/O on the filesystem of temporary files')
  }
  expect(store.alignment).toBe(4096)
  const memory = pages(2).fill(5)
  store.write(memory.subarray(0, 4096), 8192)
  store.writeThrough(memory.subarray(0, 4096), 16384)
  store.read(memory.subarray(4096), 8192 - 4096)
  expect(memory[4096]).toBe(0xaa)
  store.close()
  const bytes = readFileSync(image)
  expect([bytes[8191], bytes[8192], bytes[12287], bytes[12288], bytes[16384]]).toEqual([0xaa, 5, 5, 0xaa, 5])
  truncateSync(image, SIZE - 100)
  expect(failure(() => open(image, { direct: true }))).toEqual([
    'EINVAL',
    `FOLDER/disk.img: its ${SIZE - 100} bytes are no multiple of 4096, as direct I/O wants them`,
  ])
})

test('direct I/O on a block device goes by its sectors', (context) => {
  if (!loopsWork) return context.skip(NO_LOOPS)
  const store = open(attach(), { direct: true })
  expect(store.alignment).toBe(512)
  const memory = pages(1).fill(9)
  store.write(memory.subarray(0, 512), 512)
  store.close()
  expect([511, 512, 1023, 1024].map((at) => readFileSync(image)[at])).toEqual([0xaa, 9, 9, 0xaa])
})

test('what shrinks under it', () => {
  const store = open(image)
  truncateSync(image, 100)
  expect(failure(() => store.read(new Uint8Array(10), 95))[1]).toContain('it became shorter')
})

test.skipIf(!existsSync('/dev/full'))('what is no image or disk is refused in one sentence', () => {
  expect(failure(() => open(join(folder, 'none')))).toEqual(['ENOENT', 'FOLDER/none: no such file or device'])
  expect(failure(() => open(folder))[0]).toBe('EISDIR')
  expect(failure(() => open('/dev/full'))[0]).toBe('ENOTBLK')
})

describe('one writer, and nobody beside him', () => {
  const locks = native !== undefined || spawnSync('flock', ['--version']).status === 0

  test.for(['file', 'block device'] as const)('%s', (kind, context) => {
    if (!locks) return context.skip('nothing can be locked here')
    if (kind === 'block device' && !loopsWork) return context.skip(NO_LOOPS)
    const path = kind === 'file' ? image : attach()
    const store = open(path)
    for (const again of [() => open(path), () => openStore(path)]) {
      expect(failure(again)).toEqual(['EBUSY', expect.stringMatching(/in use: this process itself/)])
    }
    if (kind === 'block device')
      expect(spawnSync('mount', ['-r', path, folder]).stderr.toString()).toMatch(/busy|already/)
    store.close()
    const reader = openStore(path)
    expect(failure(() => open(path))[0]).toBe('EBUSY')
    reader.close()
    open(path).close()
  })

  test('not a disk that the kernel uses', (context) => {
    if (!loopsWork) return context.skip(NO_LOOPS)
    spawnSync('mkfs.ext4', ['-q', image])
    const device = attach()
    const mounted = spawnSync('mount', [device, folder]).status === 0
    if (!mounted) return context.skip('nothing can be mounted here')
    try {
      expect(failure(() => open(device))).toEqual(['EBUSY', expect.stringContaining('mounted')])
    } finally {
      spawnSync('umount', [folder])
    }
  })
})

describe('a block device', () => {
  /** Whether nobody else may claim it. */
  const isClaimed = (path: string): boolean => {
    const script =
      "const fs = require('node:fs'); fs.openSync(process.argv[1], fs.constants.O_RDWR | fs.constants.O_EXCL)"
    return spawnSync(process.execPath, ['-e', script, path]).status !== 0
  }

  test('whose claim is given up for a mount is written all the same', (context) => {
    if (!loopsWork) return context.skip(NO_LOOPS)
    const path = attach()
    let release: () => void = () => undefined
    const store = open(path, { claimed: (give) => (release = give) })
    expect(isClaimed(path)).toBe(true)
    release()
    release()
    expect(isClaimed(path)).toBe(false)
    store.write(new Uint8Array(4096).fill(7), 8192)
    store.flush()
    const read = new Uint8Array(4096)
    store.read(read, 8192)
    expect(read.every((byte) => byte === 7)).toBe(true)
    expect(failure(() => open(path))).toEqual(['EBUSY', expect.stringContaining('in use') as string])
    store.close()
    release()
    open(path)
  })

  test('that can only be read is refused', (context) => {
    if (!loopsWork) return context.skip(NO_LOOPS)
    loop = spawnSync('losetup', ['-f', '-r', '--show', image]).stdout.toString().trim()
    expect(failure(() => open(loop ?? ''))).toEqual(['EROFS', `${loop}: the device can only be read`])
    openStore(loop).close()
  })
})
