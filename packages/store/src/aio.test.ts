/**
 * Stores under asynchronous I/O: several threads submit random requests of every kind, each on its own part of the device, and
 * know what they must read; in the end the bytes are looked at by other means. The threads run what was built.
 */

import { AioService, Arena, errnoName, RequestBatch, ThreadRegistry, type WritableBlockDevice } from '@cowherd/shim'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openWritableStore, writableMemoryStore } from './index.ts'

const registry = ThreadRegistry.create()
registry.enter()

const script = new URL('../../shim/dist/aio/io.worker.js', import.meta.url)
const isSoak = process.env['COWHERD_SOAK'] === '1'
const ROUNDS = isSoak ? 100_000 : 600
const seed = isSoak ? Date.now() % 2 ** 31 : 1

const SUBMITTERS = 3
const DEPTH = 8
const BLOCKS = 64
const BLOCK_BYTES = 4096
const SLOT_BYTES = 8 * BLOCK_BYTES
const PART_BYTES = BLOCKS * BLOCK_BYTES
const DEVICE_BYTES = SUBMITTERS * PART_BYTES

const loopsWork = process.getuid?.() === 0 && process.platform === 'linux' && spawnSync('losetup', ['-f']).status === 0

let folder: string
let image: string
let loop: string | undefined

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cowherd-aio-'))
  image = join(folder, 'disk.img')
  writeFileSync(image, '')
  truncateSync(image, DEVICE_BYTES)
})
afterEach(() => {
  if (loop !== undefined) spawnSync('losetup', ['-d', loop])
  loop = undefined
  rmSync(folder, { recursive: true })
})

/** A loop device on the image. */
function attach(): string {
  loop = spawnSync('losetup', ['-f', '--show', image]).stdout.toString().trim()
  return loop
}

/** What a submitter knows in the end. */
interface Knowledge {
  readonly model: Uint8Array
  readonly unknown: Uint8Array
}

async function mixedLoad(store: WritableBlockDevice, workers: number): Promise<Knowledge[]> {
  const service = new AioService({ workers, depth: SUBMITTERS * DEPTH, queues: SUBMITTERS, script })
  const device = service.addDevice(store)
  const memory = Arena.create(4 * SUBMITTERS * DEPTH * (SLOT_BYTES + 4096)).descriptor.buffer
  const buffer = service.addBuffer(memory)
  try {
    const ends = Array.from({ length: SUBMITTERS }, (_, i) => {
      const id = registry.reserve()
      const workerData = {
        registry: registry.place,
        id,
        descriptor: service.descriptor,
        device,
        buffer,
        memory,
        slotBytes: SLOT_BYTES,
        firstSlot: 1 + i * DEPTH, // an arena's own words come first
        queue: i,
        offset: i * PART_BYTES,
        blocks: BLOCKS,
        blockBytes: BLOCK_BYTES,
        discards: store.canDiscard,
        depth: DEPTH,
        rounds: ROUNDS,
        seed: seed + i,
      }
      const worker = new Worker(new URL('../test/fixtures/aio-submitter.mjs', import.meta.url), { workerData })
      registry.watch(worker, id)
      return new Promise<Knowledge>((resolve, reject) => {
        worker.once('message', resolve)
        worker.once('error', reject)
      })
    })
    const known = await Promise.all(ends)
    const batch = new RequestBatch(1)
    batch.flush(device, 0)
    const events = new Int32Array(2)
    expect(await service.aio.submitAsync(batch)).toBe(1)
    expect(await service.aio.queues[0].waitAsync(events)).toBe(1)
    expect(events[1]).toBe(0)
    return known
  } finally {
    await service.closeAsync()
  }
}

/** The bytes are what the submitters know. */
function compare(bytes: Uint8Array, known: readonly Knowledge[]): void {
  known.forEach(({ model, unknown }, i) => {
    for (let block = 0; block < BLOCKS; block++) {
      if (unknown[block] !== 0) continue
      const at = block * BLOCK_BYTES
      const found = bytes.subarray(i * PART_BYTES + at, i * PART_BYTES + at + BLOCK_BYTES)
      const isRight = Buffer.compare(found, model.subarray(at, at + BLOCK_BYTES)) === 0
      if (!isRight) throw new Error(`block ${block} of part ${i} is wrong (seed ${seed})`)
    }
  })
}

describe.each([
  [1, false],
  [3, false],
  [3, true],
])('%d I/O threads, direct: %s', (workers, direct) => {
  test('a file', { timeout: 3600_000 }, async (context) => {
    let store: WritableBlockDevice
    try {
      store = openWritableStore(image, { direct })
    } catch (error) {
      if (!direct) throw error
      return context.skip('no direct I/O on the filesystem of temporary files')
    }
    const known = await mixedLoad(store, workers)
    store.close()
    compare(readFileSync(image), known)
  })

  test('a block device', { timeout: 3600_000 }, async (context) => {
    if (!loopsWork) return context.skip('no loop devices here')
    const store = openWritableStore(attach(), { direct })
    const known = await mixedLoad(store, workers)
    store.close()
    compare(readFileSync(image), known)
  })
})

test('memory', { timeout: 3600_000 }, async () => {
  const bytes = new Uint8Array(new SharedArrayBuffer(DEVICE_BYTES))
  const known = await mixedLoad(writableMemoryStore(bytes), 2)
  compare(bytes, known)
})

test('what direct I/O must have on a boundary, and has not, fails by itself', (context) => {
  let store: WritableBlockDevice
  try {
    store = openWritableStore(image, { direct: true })
  } catch {
    return context.skip('no direct I/O on the filesystem of temporary files')
  }
  const service = new AioService({ workers: 1, script })
  const device = service.addDevice(store)
  const buffer = service.addBuffer(Arena.create(1 << 20).descriptor.buffer)
  const batch = new RequestBatch(2)
  const events = new Int32Array(4)
  batch.read(device, 0, buffer, 8192 + 4, 4096, 1)
  batch.read(device, 0, buffer, 8192, 4096, 2)
  service.aio.submit(batch)
  expect(service.aio.queues[0].wait(events, 2)).toBe(2)
  const results = new Map([0, 1].map((i) => [events[2 * i], events[2 * i + 1]]))
  expect(results.get(2)).toBe(4096)
  expect([4096, 'EINVAL']).toContain(errnoOrBytes(results.get(1))) // some filesystems don't mind
  service.close()
  store.close()
})

function errnoOrBytes(result = 0): string | number {
  return result < 0 ? errnoName(result) : result
}
