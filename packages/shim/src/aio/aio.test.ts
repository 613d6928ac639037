/**
 * Asynchronous I/O in the thread that submits, and by real I/O threads, which run what was built. Under all orders of steps:
 * tools/schedule. On stores: packages/store.
 */

import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Arena, LockUseError, ThreadRegistry, type BlockDevice, type DeviceHandle } from '../index.ts'
import { Aio, AioService, errnoName, RequestBatch, segmentListBytes, type AioOptions } from './index.ts'

ThreadRegistry.create().enter()

const script = new URL('../../dist/aio/io.worker.js', import.meta.url)
let folder: string
let file: string
let descriptors: number[]
let services: AioService[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cowherd-aio-'))
  file = join(folder, 'disk.img')
  writeFileSync(
    file,
    Uint8Array.from({ length: 100_000 }, (_, i) => i % 251),
  )
  descriptors = []
  services = []
})
afterEach(async () => {
  await Promise.all(services.map((service) => service.closeAsync()))
  for (const fd of descriptors) closeSync(fd)
  rmSync(folder, { recursive: true })
})

function start(options: AioOptions = {}): AioService {
  const service = new AioService({ script, ...options })
  services.push(service)
  return service
}

function open(path: string, flags: string): number {
  const fd = openSync(path, flags)
  descriptors.push(fd)
  return fd
}

/** A device of which only the handle matters. */
function deviceOf(handle: DeviceHandle): BlockDevice {
  const refuse = (): never => {
    throw new Error('the device itself is not used')
  }
  const size = handle.kind === 'memory' ? handle.bytes.length : handle.size
  return { name: handle.name, size, handle, read: refuse, close: () => undefined }
}

function fileDevice(flags = 'r+', size = 100_000): BlockDevice {
  const fd = open(file, flags)
  return deviceOf({ kind: 'descriptor', name: 'disk', size, fd, isWritable: flags !== 'r', discards: 'hole' })
}

/** A device that runs `body`, the text of functions `read(target, offset)` and so on, in whichever thread uses it. */
function scriptedDevice(body: string, size = 1 << 20): BlockDevice {
  const nothing = 'name: "scripted", close() {}, write() {}, writeThrough() {}, flush() {}, discard() {}, read() {}'
  const text = `export const openDevice = (data) => ({ size: ${size}, ${nothing}, ...(${body})(data) })`
  const url = `data:text/javascript,${encodeURIComponent(text)}`
  return deviceOf({ kind: 'module', name: 'scripted', size, url, data: new Int32Array(new SharedArrayBuffer(8)) })
}

/** Cookies and results, as errno names if they are such, in order of the cookies. */
function outcomes(events: Int32Array, count: number): [cookie: number, result: number | string][] {
  return Array.from({ length: count }, (_, i): [number, number | string] => {
    const result = events[2 * i + 1]
    return [events[2 * i], result < 0 ? errnoName(result) : result]
  }).sort(([a], [b]) => a - b)
}

/** Submits the batch and waits for all of it, without lending a hand. */
function performElsewhere(service: AioService, batch: RequestBatch): [cookie: number, result: number | string][] {
  const events = new Int32Array(2 * batch.length)
  const { length } = batch
  service.aio.submit(batch)
  return outcomes(events, service.aio.queues[batch.queue].waitWithin(events, length, 50_000))
}

/** Submits the batch and waits for all of it. */
function perform(service: AioService, batch: RequestBatch): [cookie: number, result: number | string][] {
  const events = new Int32Array(2 * batch.length)
  const { length } = batch
  service.aio.submit(batch)
  return outcomes(events, service.aio.queues[batch.queue].wait(events, length))
}

describe.each([0, 1, 3])('with %d I/O threads', (workers) => {
  test('all operations on a file', () => {
    const service = start({ workers })
    const device = service.addDevice(fileDevice())
    const buffer = new SharedArrayBuffer(4096)
    const number = service.addBuffer(buffer)
    const bytes = new Uint8Array(buffer)
    const batch = new RequestBatch(8)

    bytes.fill(1, 0, 10).fill(2, 10, 20).fill(3, 20, 30)
    const list = new Int32Array(buffer, 1024, segmentListBytes(3) / 4)
    list.set([number, 20, 5, number, 0, 0, number, 10, 10])
    batch.write(device, 50_000, number, 0, 10, 1)
    batch.writeThrough(device, 60_000, number, 10, 10, 2)
    batch.writeVector(device, 70_000, number, 1024, 3, 3)
    batch.writeVectorThrough(device, 80_000, number, 1024, 3, 4)
    batch.flush(device, -5)
    expect(perform(service, batch)).toEqual([
      [-5, 0],
      [1, 10],
      [2, 10],
      [3, 15],
      [4, 15],
    ])
    const model = Uint8Array.from({ length: 100_000 }, (_, i) => i % 251)
    model.fill(1, 50_000, 50_010).fill(2, 60_000, 60_010)
    for (const at of [70_000, 80_000]) model.fill(3, at, at + 5).fill(2, at + 5, at + 15)
    expect(readFileSync(file).equals(model)).toBe(true)

    batch.read(device, 49_999, number, 2000, 12, 1)
    list.set([number, 3000, 4, number, 3010, 6, number, 0, 0])
    batch.readVector(device, 79_998, number, 1024, 3, 2)
    batch.read(device, 100_000, number, 0, 0, 3)
    expect(perform(service, batch)).toEqual([
      [1, 12],
      [2, 10],
      [3, 0],
    ])
    expect(bytes.slice(2000, 2012)).toEqual(model.slice(49_999, 50_011))
    expect([...bytes.subarray(3000, 3004), ...bytes.subarray(3010, 3016)]).toEqual([...model.subarray(79_998, 80_008)])
  })

  test('errors come with the request', () => {
    const service = start({ workers })
    const device = service.addDevice(fileDevice())
    const readOnly = service.addDevice(fileDevice('r'))
    const longer = service.addDevice(fileDevice('r+', 200_000))
    const full = service.addDevice(
      deviceOf({ kind: 'descriptor', name: 'full', size: 1 << 20, fd: open('/dev/full', 'r+'), isWritable: true }),
    )
    const fd = 0x7fffffff // which is not open
    const closed = service.addDevice(
      deviceOf({ kind: 'descriptor', name: 'closed', size: 1000, fd, isWritable: false }),
    )
    const removed = service.addDevice(fileDevice())
    service.removeDevice(removed)
    const buffer = service.addBuffer(new SharedArrayBuffer(4096))

    const batch = new RequestBatch(32)
    batch.read(device, 99_990, buffer, 0, 11, 1)
    batch.write(device, 99_990, buffer, 0, 11, 2)
    batch.read(device, 2 ** 50, buffer, 0, 1, 3)
    batch.read(longer, 99_990, buffer, 0, 11, 4)
    batch.write(readOnly, 0, buffer, 0, 1, 5)
    batch.discard(readOnly, 0, 1, 6)
    batch.flush(readOnly, 7)
    batch.write(full, 0, buffer, 0, 100, 8)
    batch.discard(full, 0, 4096, 9)
    batch.read(closed, 0, buffer, 0, 1, 10)
    batch.read(removed, 0, buffer, 0, 1, 11)
    batch.read(77, 0, buffer, 0, 1, 12)
    batch.read(-1, 0, buffer, 0, 1, 13)
    batch.read(device, 0, buffer, 4000, 97, 14)
    batch.read(device, 0, 9, 0, 1, 15)
    batch.read(device, 0, -1, 0, 1, 16)
    batch.readVector(device, 0, buffer, 4088, 1, 17)
    batch.discard(device, 99_000, 2000, 18)
    batch.read(device, 0, buffer, 0, 1, 19)
    expect(perform(service, batch)).toEqual([
      [1, 'EIO'],
      [2, 'EIO'],
      [3, 'EIO'],
      [4, 'EIO'],
      [5, 'EROFS'],
      [6, 'EROFS'],
      [7, 0],
      [8, 'ENOSPC'],
      [9, 'EOPNOTSUPP'],
      [10, 'EBADF'],
      [11, 'EBADF'],
      [12, 'EBADF'],
      [13, 'EBADF'],
      [14, 'EFAULT'],
      [15, 'EFAULT'],
      [16, 'EFAULT'],
      [17, 'EFAULT'],
      [18, 'EIO'],
      [19, 1],
    ])
  })

  test('memory as a device, and an arena as a buffer', () => {
    const service = start({ workers })
    const arena = Arena.create(1 << 20)
    const bytes = new Uint8Array(new SharedArrayBuffer(10_000))
    const device = service.addDevice(deviceOf({ kind: 'memory', name: 'memory', bytes, isWritable: true }))
    const buffer = service.addBuffer(arena.descriptor.buffer)
    const at = arena.allocate(1024)
    arena.words.fill(0x01020304, at, at + 1024)
    const batch = new RequestBatch(4)
    batch.write(device, 100, buffer, 4 * at, 4096, 1)
    expect(perform(service, batch)).toEqual([[1, 4096]])
    batch.discard(device, 200, 1000, 2)
    batch.flush(device, 3)
    batch.read(device, 9_990, buffer, 4 * at, 11, 4)
    expect(perform(service, batch)).toEqual([
      [2, 0],
      [3, 0],
      [4, 'EIO'],
    ])
    expect(bytes.reduce((sum, byte) => sum + byte)).toBe((3096 / 4) * 10)
  })

  test('a device of any kind, by a module', () => {
    const service = start({ workers })
    const device: BlockDevice = {
      ...scriptedDevice(`() => ({
        read(target, offset) {
          if (offset >= 4096) throw Object.assign(new Error('worn out'), { code: 'EIO' })
          target.fill(offset)
        },
        write(source, offset) { throw Object.assign(new Error('full'), { code: 'ENOSPC' }) },
      })`),
      read(target, offset) {
        if (offset >= 4096) throw Object.assign(new Error('worn out'), { code: 'EIO' })
        target.fill(offset)
      },
      ...{
        write: () => {
          throw Object.assign(new Error('full'), { code: 'ENOSPC' })
        },
        flush: () => undefined,
      },
    }
    const buffer = new SharedArrayBuffer(64)
    const [disk, number] = [service.addDevice(device), service.addBuffer(buffer)]
    const batch = new RequestBatch(8)
    batch.read(disk, 7, number, 0, 32, 1)
    batch.read(disk, 4096, number, 0, 32, 2)
    batch.write(disk, 0, number, 0, 32, 3)
    batch.flush(disk, 4)
    expect(perform(service, batch)).toEqual([
      [1, 32],
      [2, 'EIO'],
      [3, 'ENOSPC'],
      [4, 0],
    ])
    expect([...new Uint8Array(buffer, 30, 4)]).toEqual([7, 7, 0, 0])
  })

  test('more than there is room for', async () => {
    const service = start({ workers, depth: 4 })
    const device = service.addDevice(fileDevice())
    const buffer = service.addBuffer(new SharedArrayBuffer(64))
    const batch = new RequestBatch(6)
    for (let cookie = 0; cookie < 6; cookie++) expect(batch.read(device, cookie, buffer, 0, 1, cookie)).toBe(true)
    expect(batch.read(device, 0, buffer, 0, 1, 9)).toBe(false)
    expect(service.aio.trySubmit(batch)).toBe(4)
    expect(batch.length).toBe(2)
    expect(service.aio.trySubmit(batch)).toBe(0)
    expect(service.aio.submitWithin(batch, 1)).toBe(0)
    expect(await service.aio.submitAsync(batch, 1)).toBe(0)
    expect(service.aio.state).toMatchObject({ phase: 'open', depth: 4, inFlight: 4, deaths: 0 })
    expect(batch.read(device, 0, buffer, 0, 1, 6)).toBe(true) // room at the beginning is used again

    const events = new Int32Array(20)
    let count = service.aio.queues[0].wait(events, 4)
    expect(outcomes(events, count).map(([cookie]) => cookie)).toEqual([0, 1, 2, 3])
    const submitted = service.aio.submitAsync(batch)
    count = await service.aio.queues[0].waitAsync(events, 3)
    expect(await submitted).toBe(3)
    expect(outcomes(events, count).map(([cookie]) => cookie)).toEqual([4, 5, 6])
    expect(service.aio.queues[0].length).toBe(0)
    expect(service.aio.queues[0].waitWithin(events, 1, 1)).toBe(0)
    expect(await service.aio.queues[0].waitAsync(events, 1, 1)).toBe(0)
  })

  test('queues are apart from each other', () => {
    const service = start({ workers, queues: 2 })
    const device = service.addDevice(fileDevice())
    const buffer = service.addBuffer(new SharedArrayBuffer(64))
    const [first, second] = [new RequestBatch(2, 0), new RequestBatch(2, 1)]
    first.read(device, 0, buffer, 0, 1, 1)
    second.read(device, 0, buffer, 0, 1, 2)
    second.read(device, 0, buffer, 0, 1, 3)
    const events = new Int32Array(8)
    service.aio.submit(first)
    expect(service.aio.submitAndWait(second, events, 2)).toBe(2)
    expect(outcomes(events, 2).map(([cookie]) => cookie)).toEqual([2, 3])
    expect(service.aio.queues[1].take(events)).toBe(0)
    expect(service.aio.queues[0].wait(events)).toBe(1)
    expect(outcomes(events, 1)).toEqual([[1, 1]])
  })

  test('after it was closed, nothing is submitted, and what completed can be taken', () => {
    const service = start({ workers })
    const device = service.addDevice(fileDevice())
    const buffer = service.addBuffer(new SharedArrayBuffer(64))
    const batch = new RequestBatch(4)
    for (let cookie = 0; cookie < 4; cookie++) batch.read(device, 0, buffer, 0, 1, cookie)
    service.aio.submit(batch)
    service.close()
    service.close()
    expect(service.aio.state).toMatchObject({ phase: 'closed', livingWorkers: 0, deaths: 0, submitted: 0 })
    batch.flush(device, 5)
    expect(() => service.aio.trySubmit(batch)).toThrow(LockUseError)
    expect(() => service.addDevice(fileDevice())).toThrow(LockUseError)
    expect(() => service.addBuffer(new SharedArrayBuffer(8))).toThrow(LockUseError)
    const events = new Int32Array(16)
    expect(service.aio.queues[0].wait(events, 8)).toBe(4) // waits for nothing that can't come
    expect(outcomes(events, 4)).toEqual([0, 1, 2, 3].map((cookie) => [cookie, 1]))
  })
})

describe('wrong use', () => {
  test('is refused', () => {
    expect(() => start({ depth: 0 })).toThrow(RangeError)
    expect(() => start({ depth: 5000 })).toThrow(RangeError)
    expect(() => start({ workers: 33 })).toThrow(RangeError)
    expect(() => start({ queues: 1.5 })).toThrow(RangeError)
    expect(() => start({ script: new URL('none.js', import.meta.url) })).toThrow('no script')
    const service = start({ workers: 1, depth: 8 })
    expect(() => service.addBuffer(new ArrayBuffer(8))).toThrow(RangeError)
    const bare = { name: 'bare', size: 1, read: () => undefined, close: () => undefined }
    expect(() => service.addDevice(bare)).toThrow(expect.objectContaining({ code: 'ENOTSUP' }))
    expect(() => service.removeDevice(0)).toThrow(RangeError)
    const events = new Int32Array(4)
    expect(() => service.aio.queues[0].wait(events, 3)).toThrow(RangeError)
    expect(() => service.aio.queues[0].wait(new Int32Array(100), 9)).toThrow(RangeError)
    expect(() => service.aio.trySubmit(new RequestBatch(1, 1))).toThrow(RangeError)
    const inline = start({ workers: 0 })
    expect(() => new Aio(inline.descriptor)).toThrow(LockUseError)
    expect(inline.addDevice(bare)).toBe(0)
  })

  test('of batches is refused', () => {
    expect(() => new RequestBatch(0)).toThrow(RangeError)
    const batch = new RequestBatch(1)
    expect(() => batch.read(0, -1, 0, 0, 1, 0)).toThrow(RangeError)
    expect(() => batch.read(0, 0.5, 0, 0, 1, 0)).toThrow(RangeError)
    expect(() => batch.read(0, 2 ** 53, 0, 0, 1, 0)).toThrow(RangeError)
    expect(() => batch.read(0, 0, 0, 2 ** 32, 1, 0)).toThrow(RangeError)
    expect(() => batch.write(0, 0, 0, 0, 2 ** 31, 0)).toThrow(RangeError)
    expect(() => batch.writeThrough(0, 0, 0, 0, NaN, 0)).toThrow(RangeError)
    expect(() => batch.readVector(0, 0, 0, 2, 1, 0)).toThrow(RangeError)
    expect(() => batch.writeVector(0, 0, 0, 0, 2 ** 21, 0)).toThrow(RangeError)
    expect(batch.length).toBe(0)
    batch.flush(0, 1)
    batch.clear()
    expect(batch.length).toBe(0)
  })
})

describe('what takes long', () => {
  /** Sleeps in each read; counts those that began and those that ended. */
  const slow = `(counter) => ({
    read(target) {
      Atomics.add(counter, 0, 1)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)
      target.fill(1)
      Atomics.add(counter, 1, 1)
    }
  })`

  test('is finished before closing returns, what waits for it too', async () => {
    for (const close of [
      async (service: AioService) => Promise.resolve(service.close()),
      (service: AioService) => service.closeAsync(),
    ]) {
      const service = start({ workers: 2 })
      const device = service.addDevice(scriptedDevice(slow))
      const buffer = new Uint8Array(new SharedArrayBuffer(8))
      const number = service.addBuffer(buffer.buffer)
      const batch = new RequestBatch(8)
      for (let cookie = 0; cookie < 8; cookie++) batch.read(device, 0, number, cookie, 1, cookie)
      service.aio.submit(batch)
      await close(service)
      expect([...buffer]).toEqual([1, 1, 1, 1, 1, 1, 1, 1])
      const events = new Int32Array(16)
      expect(service.aio.queues[0].take(events)).toBe(8)
    }
  })

  test('is waited for when its device is removed', async () => {
    const service = start({ workers: 1 })
    for (const remove of [
      async (device: number) => Promise.resolve(service.removeDevice(device)),
      (device: number) => service.removeDeviceAsync(device),
    ]) {
      const handle = scriptedDevice(slow)
      const device = service.addDevice(handle)
      const number = service.addBuffer(new SharedArrayBuffer(8))
      const batch = new RequestBatch(2)
      batch.read(device, 0, number, 0, 1, 1)
      batch.read(device, 0, number, 0, 1, 2)
      service.aio.submit(batch)
      const counter = handle.handle?.kind === 'module' ? handle.handle.data : undefined
      if (!(counter instanceof Int32Array)) throw new Error('no counter')
      while (Atomics.load(counter, 0) === 0) await new Promise((resolve) => setTimeout(resolve, 1))
      await remove(device)
      expect(counter[0]).toBe(counter[1]) // none is being performed
      const events = new Int32Array(4)
      const results = outcomes(events, service.aio.queues[0].wait(events, 2))
      expect(results[0]).toEqual([1, 1])
      expect([1, 'EBADF']).toContain(results[1]?.[1]) // the other may have been begun before
      batch.read(device, 0, number, 0, 1, 3)
      expect(performElsewhere(service, batch)).toEqual([[3, 'EBADF']])
    }
  })

  test('does not keep an event loop from its work', async () => {
    const service = start({ workers: 1 })
    const device = service.addDevice(scriptedDevice(slow))
    const number = service.addBuffer(new SharedArrayBuffer(8))
    const batch = new RequestBatch(2)
    batch.read(device, 0, number, 0, 1, 1)
    service.aio.submit(batch)
    let turns = 0
    const timer = setInterval(() => turns++, 1)
    const events = new Int32Array(4)
    expect(await service.aio.queues[0].waitAsync(events)).toBe(1)
    clearInterval(timer)
    expect(turns).toBeGreaterThan(0)
  })
})

describe('an I/O thread that dies', () => {
  /** Ends its thread at byte 666. */
  const deadly = `() => ({
    read(target, offset) { if (offset === 666) process.exit(); target.fill(1) }
  })`
  const sixRequests = (device: number, buffer: number): RequestBatch => {
    const batch = new RequestBatch(6)
    for (let cookie = 0; cookie < 6; cookie++) batch.read(device, cookie === 2 ? 666 : 0, buffer, 0, 1, cookie)
    return batch
  }

  test('fails its request; the others go on', () => {
    const service = start({ workers: 2 })
    const device = service.addDevice(scriptedDevice(deadly))
    const batch = sixRequests(device, service.addBuffer(new SharedArrayBuffer(8)))
    const results = performElsewhere(service, batch) // this thread is blocked meanwhile, and hears no event
    expect(results).toEqual([0, 1, 2, 3, 4, 5].map((cookie) => [cookie, cookie === 2 ? 'EIO' : 1]))
    expect(service.aio.state).toMatchObject({ phase: 'open', deaths: 1, livingWorkers: 1, workers: 2 })
    batch.read(device, 0, 0, 0, 1, 9)
    expect(performElsewhere(service, batch)).toEqual([[9, 1]])
  })

  test('fails all requests if it was the last; nobody hangs', async () => {
    const service = start({ workers: 1 })
    const device = service.addDevice(scriptedDevice(deadly))
    const batch = sixRequests(device, service.addBuffer(new SharedArrayBuffer(8)))
    const results = performElsewhere(service, batch)
    expect(results).toEqual([0, 1, 2, 3, 4, 5].map((cookie) => [cookie, cookie < 2 ? 1 : 'EIO']))
    expect(service.aio.state).toMatchObject({ phase: 'failed', deaths: 1, livingWorkers: 0 })
    batch.read(device, 0, 0, 0, 1, 9)
    expect(performElsewhere(service, batch)).toEqual([[9, 'EIO']])
    await service.closeAsync()
    expect(service.aio.state.phase).toBe('closed')
  })

  test('may be killed from outside', async () => {
    const service = start({ workers: 1 })
    const handle = scriptedDevice('(counter) => ({ read() { Atomics.store(counter, 0, 1); for (;;); } })')
    const device = service.addDevice(handle)
    const batch = new RequestBatch(1)
    batch.read(device, 0, service.addBuffer(new SharedArrayBuffer(8)), 0, 1, 1)
    service.aio.submit(batch)
    const counter = handle.handle?.kind === 'module' ? handle.handle.data : undefined
    if (!(counter instanceof Int32Array)) throw new Error('no counter')
    while (Atomics.load(counter, 0) === 0) await new Promise((resolve) => setTimeout(resolve, 1))
    const threads: unknown = Reflect.get(service, 'threads')
    if (!Array.isArray(threads)) throw new Error('no threads')
    const { worker } = threads[0] as { worker: unknown }
    if (!(worker instanceof Worker)) throw new Error('no worker')
    void worker.terminate()
    const events = new Int32Array(2)
    expect(outcomes(events, await service.aio.queues[0].waitAsync(events))).toEqual([[1, 'EIO']])
  })

  test('of a script that fails, too', async () => {
    const text = 'throw new Error("not today")'
    const service = start({ workers: 1, script: new URL(`data:text/javascript,${text}`) })
    const batch = new RequestBatch(1)
    batch.flush(0, 1)
    service.aio.submit(batch)
    const events = new Int32Array(2)
    expect(outcomes(events, await service.aio.queues[0].waitAsync(events))).toEqual([[1, 'EIO']])
  })
})

test('a module that is not there fails requests, not the thread', () => {
  const service = start({ workers: 1 })
  const url = 'data:text/javascript,throw new Error("broken")'
  const device = service.addDevice(deviceOf({ kind: 'module', name: 'broken', size: 1, url, data: 0 }))
  const batch = new RequestBatch(2)
  batch.flush(device, 1)
  batch.flush(device, 2)
  expect(performElsewhere(service, batch)).toEqual([
    [1, 'EIO'],
    [2, 'EIO'],
  ])
})
