import { spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DeviceError } from '@cowherd/shim'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { deviceSize, openStore, sizeByReading } from './file-store.ts'

const root = process.getuid?.() === 0
let folder: string
let image: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cowherd-store-'))
  image = join(folder, 'disk.img')
  writeFileSync(
    image,
    Uint8Array.from({ length: 10_000 }, (_, i) => i),
  )
})
afterEach(() => rmSync(folder, { recursive: true }))

function failure(action: () => unknown): [string, string] {
  try {
    action()
  } catch (error) {
    if (error instanceof DeviceError) return [error.code, error.message.replaceAll(folder, 'FOLDER')]
    throw error
  }
  return ['', 'nothing thrown']
}

test('reads where it is told to, into plain and shared memory', () => {
  const store = openStore(image)
  expect([store.name, store.size]).toEqual([image, 10_000])
  const plain = new Uint8Array(4)
  store.read(plain, 9_996)
  expect([...plain]).toEqual([12, 13, 14, 15])
  const shared = new Uint8Array(new SharedArrayBuffer(8), 2, 3)
  store.read(shared, 256)
  expect([...shared]).toEqual([0, 1, 2])
  store.read(new Uint8Array(0), 10_000)
  store.close()
  store.close()
})

test('reads outside and after the end of its life are refused', () => {
  const store = openStore(image)
  const target = new Uint8Array(10)
  expect(failure(() => store.read(target, 9_991))).toEqual([
    'EIO',
    'FOLDER/disk.img: 10 bytes at 9991 are outside its 10000 bytes',
  ])
  for (const offset of [-1, 0.5, 2 ** 60, NaN]) expect(failure(() => store.read(target, offset))[0]).toBe('EIO')
  truncateSync(image, 100)
  expect(failure(() => store.read(target, 95))).toEqual([
    'EIO',
    'FOLDER/disk.img: it ends at 100: it became shorter since it was opened',
  ])
  store.close()
  expect(failure(() => store.read(target, 0))[0]).toBe('EBADF')
})

test('what is no image or disk is refused in one sentence', () => {
  writeFileSync(join(folder, 'empty'), '')
  expect(failure(() => openStore(join(folder, 'none')))).toEqual(['ENOENT', 'FOLDER/none: no such file or device'])
  expect(failure(() => openStore(join(image, 'none')))).toEqual([
    'ENOTDIR',
    'FOLDER/disk.img/none: no such file or device',
  ])
  expect(failure(() => openStore(folder))).toEqual(['EISDIR', 'FOLDER: is a directory, not an image or a block device'])
  expect(failure(() => openStore(join(folder, 'empty')))).toEqual(['EINVAL', 'FOLDER/empty: is empty'])
  expect(failure(() => openStore('/dev/null'))).toEqual([
    'ENOTBLK',
    '/dev/null: is a character device, not an image or a block device',
  ])
  spawnSync('mkfifo', [join(folder, 'fifo')])
  expect(failure(() => openStore(join(folder, 'fifo')))[0]).toBe('ENOTBLK')
})

test.skipIf(root)('no permission', () => {
  spawnSync('chmod', ['0', image])
  expect(failure(() => openStore(image))).toEqual(['EACCES', 'FOLDER/disk.img: permission denied'])
})

test('a volume that is being written is refused, unless one only looks', () => {
  const lock = openSync(image, 'r')
  const held = spawnSync('flock', ['-x', '-n', '3'], { stdio: ['ignore', 'ignore', 'ignore', lock] }).status === 0
  if (held) {
    expect(failure(() => openStore(image))).toEqual(['EBUSY', expect.stringContaining('this process itself')])
    openStore(image, { lock: false }).close()
  }
  closeSync(lock)
  openStore(image).close()
})

describe('the size of what fstat gives none for', () => {
  test('is found by reading', () => {
    for (const size of [0, 1, 4096, 4097, 1 << 20, 12_345_678]) {
      truncateSync(image, size)
      const fd = openSync(image, 'r')
      expect(sizeByReading(fd)).toBe(size)
      expect(deviceSize(fd, 0, '/nonexistent')).toBe(size)
      closeSync(fd)
    }
  })

  const attached = root && process.platform === 'linux' && spawnSync('losetup', ['-f']).status === 0
  test.skipIf(!attached)('comes from sysfs for block devices', () => {
    truncateSync(image, 3 << 20)
    const device = spawnSync('losetup', ['-f', '-r', '--show', image]).stdout.toString().trim()
    try {
      const store = openStore(device)
      expect(store.size).toBe(3 << 20)
      const bytes = new Uint8Array(4)
      store.read(bytes, 256 + 1)
      expect([...bytes]).toEqual([1, 2, 3, 4])
      store.close()
      const fd = openSync(device, 'r')
      expect(deviceSize(fd, statSync(device).rdev, '/nonexistent')).toBe(3 << 20)
      closeSync(fd)
    } finally {
      spawnSync('losetup', ['-d', device])
    }
  })
})
