/**
 * Asynchronous I/O: requests of one size on a file in the page cache, so many in flight, by `fs.promises` and by `AioService`. The file is
 * the same for all; each request goes to the next place in it. A sample is some hundred requests or more, and gives the time of one.
 *
 * `waiting` is a thread that does nothing else (`submitAndWait`), `polled` one that submits and then takes what has come, `event loop`
 * one that awaits. fs.promises knows only the last.
 */

import { closeSync, constants, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  AioService,
  Arena,
  errnoName,
  RequestBatch,
  ThreadRegistry,
  type BlockDevice,
  type DescriptorHandle,
} from '@cowherd/shim'
import { type Contender, measure } from '../measure.ts'
import type { Row } from '../row.ts'

const FILE_BYTES = 64 << 20
const DEPTHS = [1, 16]
/** As many as libuv has for `fs.promises`. */
const WORKERS = 4

/** What is done, with how many bytes, and how often in a sample. */
interface Work {
  readonly operation: 'read' | 'write'
  readonly bytes: number
  readonly requests: number
  readonly direct?: boolean
}

const WORKS: readonly Work[] = [
  { operation: 'read', bytes: 4096, requests: 4000 },
  { operation: 'read', bytes: 1 << 20, requests: 200 },
  { operation: 'write', bytes: 4096, requests: 4000 },
  { operation: 'write', bytes: 1 << 20, requests: 200 },
  { operation: 'read', bytes: 4096, requests: 400, direct: true },
]

export async function aio(rounds: number): Promise<Row[]> {
  ThreadRegistry.create().enter()
  const folder = mkdtempSync(join(tmpdir(), 'cowherd-bench-'))
  const rows: Row[] = []
  try {
    const path = join(folder, 'disk.img')
    writeFileSync(path, new Uint8Array(FILE_BYTES).fill(1))
    for (const work of WORKS) for (const depth of DEPTHS) rows.push(await rowOf(path, work, depth, rounds))
  } finally {
    rmSync(folder, { recursive: true })
  }
  return rows
}

async function rowOf(path: string, work: Work, depth: number, rounds: number): Promise<Row> {
  const flags = constants.O_RDWR | (work.direct === true ? constants.O_DIRECT : 0)
  const fd = openSync(path, flags)
  const file = await open(path, flags)
  const service = new AioService({ workers: WORKERS, depth })
  try {
    const memory = new Uint8Array(Arena.create(32 << 20).descriptor.buffer)
    const handle: DescriptorHandle = { kind: 'descriptor', name: path, size: FILE_BYTES, fd, isWritable: true }
    const device = service.addDevice(deviceOf(handle))
    const load = new Load(service, device, service.addBuffer(memory.buffer), work, depth)
    const peer = ofPromises(file, memory, work, depth)
    const contenders: Contender[] = [
      { name: 'AIO, waiting', sample: () => load.waiting() },
      { name: 'AIO, polled', sample: () => load.polled() },
      { name: 'AIO, event loop', sample: () => load.awaiting() },
      peer,
    ]
    const figures = await measure(contenders, rounds)
    const what = `${work.direct === true ? 'direct ' : ''}${work.operation} ${work.bytes / 1024} KiB, depth ${depth}`
    return { what, bytes: work.bytes, figures, peer: peer.name }
  } finally {
    await service.closeAsync()
    await file.close()
    closeSync(fd)
  }
}

/** Only the handle is used. */
function deviceOf(handle: DescriptorHandle): BlockDevice {
  return { name: handle.name, size: handle.size, handle, read: () => undefined, close: () => undefined }
}

/** Where the n-th request goes. */
function placeOf(n: number, bytes: number): number {
  return (n * bytes) % FILE_BYTES
}

/** So many loops, each of which does one request after another. */
function ofPromises(
  file: FileHandle,
  memory: Uint8Array,
  { operation, bytes, requests }: Work,
  depth: number,
): Contender {
  const sample = async (): Promise<number> => {
    const start = process.hrtime.bigint()
    let next = 0
    const loop = async (slot: number): Promise<void> => {
      const at = FIRST_BYTE + slot * bytes
      while (next < requests) {
        const place = placeOf(next++, bytes)
        if (operation === 'read') await file.read(memory, at, bytes, place)
        else await file.write(memory, at, bytes, place)
      }
    }
    await Promise.all(Array.from({ length: depth }, (_, slot) => loop(slot)))
    return Number(process.hrtime.bigint() - start) / requests
  }
  return { name: 'fs.promises', sample }
}

/** An arena's own words come first. */
const FIRST_BYTE = 8 << 20

/** The same by AIO: when requests complete, their places are used for the next ones. */
class Load {
  private readonly service: AioService
  private readonly device: number
  private readonly buffer: number
  private readonly work: Work
  private readonly depth: number
  private readonly batch: RequestBatch
  private readonly events: Int32Array
  private begun = 0
  private ended = 0

  constructor(service: AioService, device: number, buffer: number, work: Work, depth: number) {
    this.service = service
    this.device = device
    this.buffer = buffer
    this.work = work
    this.depth = depth
    this.batch = new RequestBatch(depth)
    this.events = new Int32Array(2 * depth)
  }

  waiting(): number {
    const start = this.begin()
    while (this.ended < this.work.requests) {
      this.reuse(this.service.aio.submitAndWait(this.batch, this.events, this.least))
    }
    return this.timeSince(start)
  }

  polled(): number {
    const [queue] = this.service.aio.queues
    const start = this.begin()
    while (this.ended < this.work.requests) {
      this.service.aio.trySubmit(this.batch)
      const count = queue.take(this.events)
      this.reuse(count > 0 ? count : queue.waitWithin(this.events, this.least, 60_000))
    }
    return this.timeSince(start)
  }

  async awaiting(): Promise<number> {
    const [queue] = this.service.aio.queues
    const start = this.begin()
    while (this.ended < this.work.requests) {
      this.service.aio.trySubmit(this.batch)
      this.reuse(await queue.waitAsync(this.events, this.least))
    }
    return this.timeSince(start)
  }

  /** Half of what is in flight, so that both sides have something to do. */
  private get least(): number {
    return Math.min(Math.max(1, this.depth >> 1), this.work.requests - this.ended)
  }

  private begin(): bigint {
    this.begun = this.ended = 0
    const start = process.hrtime.bigint()
    for (let slot = 0; slot < this.depth; slot++) this.add(slot)
    return start
  }

  private timeSince(start: bigint): number {
    return Number(process.hrtime.bigint() - start) / this.work.requests
  }

  private add(slot: number): void {
    const { operation, bytes } = this.work
    const place = placeOf(this.begun++, bytes)
    const at = FIRST_BYTE + slot * bytes
    if (operation === 'read') this.batch.read(this.device, place, this.buffer, at, bytes, slot)
    else this.batch.write(this.device, place, this.buffer, at, bytes, slot)
  }

  private reuse(count: number): void {
    for (let i = 0; i < count; i++) {
      const result = this.events[2 * i + 1]
      if (result !== this.work.bytes) throw new Error(result < 0 ? errnoName(result) : `${result} bytes`)
      this.ended++
      if (this.begun < this.work.requests) this.add(this.events[2 * i])
    }
  }
}
