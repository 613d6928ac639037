import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BtreeId, openVolume, POS_MIN, VolumeInMaking } from '@cowherd/db'
import { addFirstKeys, fsKeyTypes } from '@cowherd/fs'
import { nativeCodecs, type WritableBlockDevice } from '@cowherd/shim'
import { openStore, openWritableStore } from '@cowherd/store'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { CommandError } from '../cli/exit-code.ts'
import { noise } from '../testing/sample-tree.ts'
import { BlockAssembler } from './block-assembler.ts'
import { DataCopier, type Copied } from './data-copier.ts'
import { JOB_BYTES, JOBS, SLOTS } from './data-jobs.ts'

const BLOCK = 4096
const SECTOR = 512
const SNAPSHOT = 0xffffffff
const MIB = 1 << 20

let folder: string
let image: string
let device: WritableBlockDevice
let volume: VolumeInMaking
let copier: DataCopier
const codecs = nativeCodecs()
const random = (bytes: Uint8Array): void => void bytes.fill(9)

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cowherd-copier-'))
  image = join(folder, 'image')
  writeFileSync(image, '')
  truncateSync(image, 256 * MIB)
  device = openWritableStore(image)
  volume = new VolumeInMaking([{ device, blockBytes: BLOCK }], { codecs, random, nowNs: 1n })
  addFirstKeys(volume.builder, { codecs, random, strHash: 'siphash' })
  copier = new DataCopier({ devices: [device], builder: volume.builder, blockBytes: BLOCK, threads: 0 })
})
afterEach(async () => {
  await copier.close()
  device.close()
  rmSync(folder, { recursive: true })
})

let settled: number[] = []
beforeEach(() => {
  settled = []
})

function copied(number: number): Copied {
  return {
    inode: { numberHi: 0, numberLo: number, snapshot: SNAPSHOT },
    ...{ underWay: 0, sectors: 0, end: Infinity, failure: undefined },
    settled: () => settled.push(number),
  }
}

/** What the extents of an inode lead to, as the volume has it: first byte in the file, and the bytes. */
function dataOf(number: number): { readonly at: number; readonly bytes: Buffer }[] {
  volume.finish()
  const store = openStore(image, { lock: false })
  const bytes = readFileSync(image)
  const cursor = openVolume([store], { codecs, keyTypes: fsKeyTypes }).cursor(BtreeId.extents)
  const found: { at: number; bytes: Buffer }[] = []
  for (let more = cursor.seek(POS_MIN); more; more = cursor.next()) {
    const { key } = cursor
    if (key.inode !== number) continue
    const last = key.u64s * 2 - 2 // a pointer, behind the checksum
    const sector = (key.words[last] >>> 4) + (key.words[last + 1] & 0xffff) * 0x10000000
    found.push({ at: key.start * SECTOR, bytes: bytes.subarray(sector * SECTOR, (sector + key.size) * SECTOR) })
  }
  store.close()
  return found
}

function joined(number: number): Buffer {
  return Buffer.concat(dataOf(number).map(({ bytes }) => bytes))
}

test('a file is copied in whole blocks, however many jobs it takes', () => {
  const source = join(folder, 'source')
  const content = noise(3 * JOB_BYTES + 5000)
  writeFileSync(source, content)
  const fd = openSync(source, 'r')
  const file = copied(5000)
  copier.copyFrom(fd, file, 0, content.length)
  copier.drain()
  closeSync(fd)
  expect(settled).toEqual([5000])
  const blocks = Math.ceil(content.length / BLOCK) * BLOCK
  expect([file.sectors, file.end, file.failure]).toEqual([blocks / SECTOR, Infinity, undefined])
  const found = joined(5000)
  expect(found.length).toBe(blocks)
  expect(found.subarray(0, content.length).equals(content)).toBe(true)
  expect(found.subarray(content.length).every((byte) => byte === 0)).toBe(true)
})

test('a file that has become shorter ends where it ends', () => {
  const source = join(folder, 'source')
  const content = noise(JOB_BYTES + 70_000)
  writeFileSync(source, content)
  const fd = openSync(source, 'r')
  const file = copied(5000)
  copier.copyFrom(fd, file, 0, 3 * JOB_BYTES)
  copier.drain()
  closeSync(fd)
  expect(file.end).toBe(content.length)
  expect(joined(5000).subarray(0, content.length).equals(content)).toBe(true)
})

test('a file that can be opened and not be read', () => {
  const fd = openSync(folder, 'r')
  const file = copied(5000)
  copier.copyFrom(fd, file, 0, 5000)
  copier.drain()
  closeSync(fd)
  expect([file.failure, file.sectors, file.underWay]).toEqual(['EISDIR', 0, 0])
  expect(dataOf(5000)).toEqual([])
})

test('more small pieces than there is memory for', () => {
  const count = (SLOTS + 2) * (JOB_BYTES / 16384)
  for (let i = 0; i < count; i++) {
    copier.memory(10_000).fill(i, 0, 10_000)
    copier.copyMemory(copied(5000 + i), 0, 10_000)
  }
  copier.drain()
  expect(settled).toHaveLength(count)
  const found = joined(5000 + count - 1)
  expect(found.length).toBe(3 * BLOCK)
  expect(found.every((byte, i) => byte === (i < 10_000 ? (count - 1) & 0xff : 0))).toBe(true)
})

test('more jobs than there is room for', () => {
  const source = join(folder, 'source')
  writeFileSync(source, noise(2 * BLOCK))
  const fd = openSync(source, 'r')
  for (let i = 0; i < 2 * JOBS; i++) copier.copyFrom(fd, copied(5000 + i), 0, 2 * BLOCK)
  copier.drain()
  closeSync(fd)
  expect(settled).toHaveLength(2 * JOBS)
  expect(joined(5000 + 2 * JOBS - 1).equals(noise(2 * BLOCK))).toBe(true)
})

test('pieces that begin and end inside of blocks', () => {
  const file = copied(5000)
  const blocks = new BlockAssembler(copier, file, BLOCK)
  blocks.add(100, Buffer.alloc(50, 1))
  blocks.add(300, Buffer.alloc(BLOCK, 2))
  blocks.add(5 * BLOCK - 1, Buffer.alloc(2, 3))
  blocks.add(9 * BLOCK, Buffer.alloc(2 * MIB, 4))
  blocks.flush()
  copier.drain()
  expect(blocks.sectors).toBe(file.sectors)
  const model = Buffer.alloc(9 * BLOCK + 2 * MIB)
  model.fill(1, 100, 150).fill(2, 300, 300 + BLOCK)
  model.fill(3, 5 * BLOCK - 1, 5 * BLOCK + 1).fill(4, 9 * BLOCK)
  const found = Buffer.alloc(model.length)
  const parts = dataOf(5000)
  for (const { at, bytes } of parts) found.set(bytes, at)
  expect(found.equals(model)).toBe(true)
  expect(parts.reduce((sum, { bytes }) => sum + bytes.length, 0)).toBe(4 * BLOCK + 2 * MIB)
})

test('a device that can not be written', async () => {
  const readOnly = openSync(image, 'r')
  const handle = { kind: 'descriptor' as const, name: image, size: device.size, fd: readOnly, isWritable: false }
  const devices = [{ ...device, name: image, handle }] as unknown as WritableBlockDevice[]
  const other = new DataCopier({ devices, builder: volume.builder, blockBytes: BLOCK, threads: 0 })
  other.memory(5000).fill(1)
  other.copyMemory(copied(5000), 0, 5000)
  expect(() => other.drain()).toThrow(CommandError)
  expect(() => other.drain()).toThrow(/image: writing at \d+ failed \(EBADF\)/)
  await other.close()
  closeSync(readOnly)
})
