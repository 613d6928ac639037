/**
 * Starts and ends asynchronous I/O: its threads, and the devices and buffers that they work on. It belongs to the thread that starts
 * it; all threads, that one included, use it by `Aio`.
 *
 * Devices stay open, and belong to whoever opened them, until they are removed or all is closed: descriptors are numbers, and a
 * number that is closed too early may be another file's soon.
 */

import { existsSync } from 'node:fs'
import { MessageChannel, Worker, type MessagePort } from 'node:worker_threads'
import { DeviceError, type BlockDevice } from '../block-device.ts'
import { LockUseError } from '../sync/sync-error.ts'
import { self } from '../sync/threads.ts'
import { AioMemory, DEVICES_MAX, Phase, VERSION } from './aio-memory.ts'
import { Aio, isModule, type AioDescriptor } from './aio.ts'
import { livingWorkers, rescue, unfinished } from './aio-core.ts'
import { deviceTarget } from './io-target.ts'
import type { IoWorkerData } from './io.worker.ts'
import { Performer, type IoNews } from './performer.ts'
import { DEVICE, Status, STATUS_MASK } from './slots.ts'

export interface AioOptions {
  /** The most requests in flight, at most 4096. */
  readonly depth?: number
  /**
   * I/O threads, at most 32; each takes about 9 MB. 0: the thread that submits performs requests at once, and only the thread that
   * started it can.
   */
  readonly workers?: number
  /** Completion queues, at most 64. */
  readonly queues?: number
  /** How often a thread looks before it sleeps, at most: it learns by itself to do so less. 0: never. */
  readonly spins?: number
  /** The script of the I/O threads, where it doesn't lie beside this module: in a bundle. */
  readonly script?: URL
}

const DEPTH = 64
const WORKERS = 4
const SPINS = 512
/** How long a thread that closes or removes sleeps before it looks again. */
const PAUSE_MS = 1

export class AioService {
  /** What the thread that started it submits and waits by. */
  readonly aio: Aio
  private readonly memory: AioMemory
  private readonly performer: Performer
  private readonly threads: { readonly worker: Worker; readonly port: MessagePort }[] = []
  private readonly news: IoNews[] = []
  private readonly ended: Promise<void>[] = []
  private devices = 0
  private buffers = 0

  /** Starts it. The calling thread has entered a `ThreadRegistry`, which has free seats for the I/O threads. */
  constructor(options: AioOptions = {}) {
    const { depth = DEPTH, workers = WORKERS, queues = 1, spins = SPINS } = options
    self() // throws before anything is started
    this.memory = AioMemory.create({ depth, queues, workers, spins })
    this.performer = new Performer(this.memory)
    this.aio = new Aio(this.memory, this.performer)
    const script = workers > 0 ? scriptFor(options.script) : undefined
    for (let worker = 0; script !== undefined && worker < workers; worker++) this.startWorker(worker, script)
  }

  /** What another thread needs to use it: `new Aio(descriptor)`. It can be posted. */
  get descriptor(): AioDescriptor {
    return { place: this.memory.place, news: [...this.news], version: Atomics.load(this.memory.words, VERSION) }
  }

  /**
   * Makes a device known; it stays the caller's, who keeps it open. Returns its number.
   * @throws DeviceError ENOTSUP if other threads can't reach it; RangeError if there are too many
   */
  addDevice(device: BlockDevice): number {
    this.refuseClosed()
    const { handle } = device
    if (handle === undefined && this.threads.length > 0) {
      throw new DeviceError('ENOTSUP', device.name, "other threads can't reach it")
    }
    if (this.devices === DEVICES_MAX) throw new RangeError(`more than ${DEVICES_MAX} devices`)
    const number = this.devices++
    if (handle !== undefined) this.tell({ kind: 'device', number, handle })
    if (handle === undefined || handle.kind === 'module') this.performer.addDevice(number, deviceTarget(device))
    this.memory.addDevice(number)
    return number
  }

  /**
   * Makes a device unknown: requests on it fail with EBADF from now on. When it returns, no thread uses the device any more; a
   * request that is being performed is waited for.
   */
  removeDevice(number: number): void {
    this.beginRemoval(number)
    while (this.isUsed(number)) this.pause()
    this.tell({ kind: 'removed', number })
  }

  /** `removeDevice` without blocking the thread. */
  async removeDeviceAsync(number: number): Promise<void> {
    this.beginRemoval(number)
    while (this.isUsed(number)) await this.pauseAsync()
    this.tell({ kind: 'removed', number })
  }

  /**
   * Makes memory known that requests read into and write from; for direct I/O it must lie on page boundaries, as an `Arena`'s
   * does. Returns its number.
   * @throws RangeError if other threads can't reach it
   */
  addBuffer(buffer: ArrayBufferLike): number {
    this.refuseClosed()
    if (!(buffer instanceof SharedArrayBuffer) && this.threads.length > 0) {
      throw new RangeError('memory that is not shared was registered for I/O by other threads')
    }
    const number = this.buffers++
    this.tell({ kind: 'buffer', number, buffer })
    return number
  }

  /**
   * Ends it: what was submitted is performed, and the I/O threads end. When it returns, all requests have completed and no thread uses a
   * device any more. Completions can still be taken.
   */
  close(): void {
    this.memory.beginClose()
    while (livingWorkers(this.memory) > 0) this.pause()
    while (!this.isSettled()) this.pause()
  }

  /** `close` without blocking the thread; the I/O threads have ended wholly then. */
  async closeAsync(): Promise<void> {
    this.memory.beginClose()
    for (const { worker } of this.threads) worker.ref()
    await Promise.all(this.ended)
    while (!this.isSettled()) await this.pauseAsync()
  }

  private startWorker(worker: number, script: URL): void {
    const { registry } = self()
    const { port1, port2 } = new MessageChannel()
    const id = registry.reserve()
    const data: IoWorkerData = { registry: registry.place, id, place: this.memory.place, worker, port: port2 }
    this.memory.setWorker(worker, id, 0)
    const thread = new Worker(script, { name: 'aio', workerData: data, transferList: [port2] })
    registry.watch(thread, id)
    thread.on('error', () => undefined) // it has died, and the state says so
    this.ended.push(
      new Promise((resolve) => {
        thread.once('exit', () => {
          rescue(this.memory)
          port1.close()
          resolve()
        })
      }),
    )
    thread.unref()
    port1.unref()
    this.threads.push({ worker: thread, port: port1 })
  }

  /** Tells all threads. The number that they look at changes after the message was sent. */
  private tell(news: IoNews): void {
    if (!isModule(news)) this.performer.learn(news) // the device itself is at hand here
    if (news.kind === 'removed') {
      this.news.splice(
        this.news.findIndex((piece) => piece.kind === 'device' && piece.number === news.number),
        1,
      )
    } else {
      this.news.push(news)
    }
    for (const { port } of this.threads) port.postMessage(news)
    Atomics.add(this.memory.words, VERSION, 1)
  }

  private beginRemoval(number: number): void {
    if (!this.memory.removeDevice(number)) throw new RangeError(`no device has the number ${number}`)
  }

  /** Whether a thread may be performing a request on the device: who begins after the removal sees that. */
  private isUsed(number: number): boolean {
    const { memory } = this
    for (let slot = 0; slot < memory.depth; slot++) {
      const at = memory.slotAt(slot)
      const status = Atomics.load(memory.words, at) & STATUS_MASK
      if (status === Status.running && memory.words[at + DEVICE] === number) return true
    }
    return false
  }

  /** After the last worker: what came too late is refused, and who is just submitting is waited for. */
  private isSettled(): boolean {
    this.memory.endClose()
    rescue(this.memory)
    if (unfinished(this.memory) > 0) return false
    for (const gate of [this.memory.space, ...this.memory.reapers]) gate.wakeAll()
    return true
  }

  private refuseClosed(): void {
    if (this.memory.phase >= Phase.closing) throw new LockUseError('asynchronous I/O was used after it was closed')
  }

  /** A moment, after which threads that died are looked for. */
  private pause(): void {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS)
    rescue(this.memory)
  }

  private async pauseAsync(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
    rescue(this.memory)
  }
}

/** The script of the I/O threads. If it is missing, that must be found out now: the caller may be blocked in a moment. */
function scriptFor(given: URL | undefined): URL {
  const script = given ?? scriptBeside()
  if (script.protocol === 'file:' && !existsSync(script))
    throw new RangeError(`no script of I/O threads: ${script.href}`)
  return script
}

function scriptBeside(): URL {
  try {
    return new URL('./io.worker.js', import.meta.url)
  } catch (error) {
    throw new RangeError('in a bundle, the script of the I/O threads must be named', { cause: error })
  }
}
