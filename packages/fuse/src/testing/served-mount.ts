/**
 * A mount that workers serve, one or several, while the test's thread goes on: that one looks at it through child processes, changes what is
 * in it, notifies the kernel and answers deferred requests. What the workers are asked for comes as events.
 *
 * The workers run the built package, since Node runs no TypeScript; what the test itself uses of the package are the sources.
 *
 *     file, other      regular files, both with the mount's content; remembered by the kernel for ever, as names too
 *     later-NAME       a lookup that is deferred
 *     slow-NAME        a regular file whose reads are deferred
 *     busy-NAME        a regular file whose reads keep the thread busy until the mount is `relieved`
 *     hold-NAME        a lookup that keeps the thread busy until it is interrupted
 *     bug-NAME         a lookup that throws
 *     anything else    ENOENT, asked for each time
 *
 * Names are at most 12 bytes long: they are the words of their nodes.
 */

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { ThreadRegistry } from '@cowherd/shim'
import type { Connection } from '../connection.ts'
import { Doorbell } from '../doorbell.ts'
import { mountFuse } from '../mount.ts'
import { NodeTable } from '../node-table.ts'
import { Notifier } from '../notifier.ts'
import { Reply, type DeferredRequest } from '../reply.ts'
import { RequestTable } from '../request-table.ts'
import { newSessionMemory, type SessionMemory } from '../session.ts'
import { deviceTransport } from '../transport.ts'
import { unmount } from '../unmount.ts'
import { unmountAll } from './bare-server.ts'

const registry = ThreadRegistry.create()
registry.enter()

/** What a worker tells: an operation's name and what it was called with. */
export type ServedEvent = readonly [operation: string, ...values: unknown[]]

/** A child process that looks at the mount. */
export interface Onlooker {
  readonly child: ChildProcess
  /** What it printed, and how it ended: a status or a signal. */
  readonly end: Promise<{ readonly output: string; readonly status: number | string }>
  /** Sends it a signal, wherever it waits. */
  signal(signal: 'SIGINT' | 'SIGKILL'): void
}

const CONTENT_BYTES_MAX = 4096
const WAIT_MS_MAX = 20_000

export class ServedMount {
  readonly directory: string
  readonly fd: number
  readonly memory: SessionMemory
  readonly notifier: Notifier
  readonly doorbell: Doorbell
  readonly requests: RequestTable
  readonly reply: Reply
  readonly events: ServedEvent[] = []
  /** The threads that told of the events. */
  readonly servedBy: number[] = []
  /** Requests that wait; `answer` takes them out. */
  readonly deferred: DeferredRequest[] = []
  /** Minor version of the kernel's protocol. */
  kernelMinor = 0
  private readonly content = new SharedArrayBuffer(4 + CONTENT_BYTES_MAX)
  private readonly relief = new Int32Array(new SharedArrayBuffer(4))
  private readonly workers: Worker[] = []
  private readonly ends: Promise<unknown>[] = []
  private readonly onlookers: Onlooker[] = []
  private isOpen = true
  private wake: () => void = () => undefined

  /** Mounts on a new directory, and returns when the mount answers and that many threads serve it. */
  static async start(threads = 1): Promise<ServedMount> {
    const mount = new ServedMount(threads)
    const [, connection] = await mount.event('ready')
    mount.kernelMinor = (connection as Connection).kernelMinor
    for (const worker of mount.workers.slice(1)) worker.postMessage(connection)
    const all = await mount.until(() => mount.doorbell.serving === threads)
    if (!all) throw new Error(`${mount.doorbell.serving} of ${threads} threads serve`)
    return mount
  }

  private constructor(threads: number) {
    const built = new URL('../../dist/index.js', import.meta.url)
    if (!existsSync(built)) throw new Error("the package isn't built: npm run build")
    this.directory = realpathSync(mkdtempSync(join(tmpdir(), 'cowherd-served-')))
    this.fd = mountFuse(this.directory, { source: 'served', subtype: 'cowherd', options: ['ro'] })
    this.memory = newSessionMemory(threads)
    this.notifier = new Notifier(deviceTransport(this.fd))
    this.doorbell = new Doorbell(this.memory.doorbell)
    this.requests = new RequestTable(this.memory.requests)
    this.reply = Reply.over({ fd: this.fd, requests: this.memory.requests, statistics: this.memory.statistics })
    this.write('content')
    const table = NodeTable.create(0, 0, 0, 1 << 16).descriptor
    const { fd, memory, content, relief } = this
    const common = { built: built.href, shim: new URL('../../../shim/dist/index.js', import.meta.url).href }
    for (let seat = 0; seat < threads; seat++) {
      const id = registry.reserve()
      const shared = { registry: registry.place, id, table, fd, memory, content, relief }
      const worker = new Worker(SERVER, { eval: true, workerData: { ...common, ...shared, seat } })
      registry.watch(worker, id)
      this.workers.push(worker)
      this.ends.push(once(worker, 'exit'))
      worker.on('message', (event: ServedEvent) => {
        this.events.push(event)
        this.servedBy.push(seat)
        if (event[0] === 'deferred') this.deferred.push(event[1] as DeferredRequest)
        this.wake()
      })
    }
  }

  /** Lets busy threads go on. */
  relieve(): void {
    Atomics.store(this.relief, 0, 1)
    Atomics.notify(this.relief, 0)
  }

  /** Resolves when all threads have ended. */
  get ended(): Promise<unknown> {
    return Promise.all(this.ends)
  }

  /** Closes the device: with the last thread that serves the mount is dead. */
  close(): void {
    if (this.isOpen) closeSync(this.fd)
    this.isOpen = false
  }

  /** Waits until something holds. Returns whether it does. */
  async until(holds: () => boolean): Promise<boolean> {
    for (const deadline = Date.now() + WAIT_MS_MAX; !holds();) {
      if (Date.now() > deadline) return false
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    return true
  }

  /** Changes the content of the files; the kernel is not told. */
  write(text: string): void {
    const bytes = new TextEncoder().encode(text)
    new Uint8Array(this.content, 4).set(bytes)
    new Int32Array(this.content, 0, 1)[0] = bytes.length
  }

  /** The next event of that kind behind the first `from`. */
  async event(operation: string, from = 0): Promise<ServedEvent> {
    const deadline = Date.now() + WAIT_MS_MAX
    for (;;) {
      const found = this.events.slice(from).find(([name]) => name === operation)
      if (found !== undefined) return found
      await this.change(deadline, operation)
    }
  }

  /** Returns when `count` requests wait to be answered. */
  async deferrals(count: number): Promise<readonly DeferredRequest[]> {
    const deadline = Date.now() + WAIT_MS_MAX
    while (this.deferred.length < count) await this.change(deadline, `${count} deferred requests`)
    return this.deferred
  }

  private async change(deadline: number, what: string): Promise<void> {
    const left = deadline - Date.now()
    let timer: NodeJS.Timeout | undefined
    const inTime = await new Promise<boolean>((resolve) => {
      this.wake = () => resolve(true)
      timer = setTimeout(() => resolve(false), left)
    })
    clearTimeout(timer)
    if (!inTime) throw new Error(`no ${what} within ${WAIT_MS_MAX} ms; there were: ${JSON.stringify(this.events)}`)
  }

  /** The events of that kind so far. */
  eventsOf(operation: string): ServedEvent[] {
    return this.events.filter(([name]) => name === operation)
  }

  /** Runs a program on a name in the mount. */
  start(program: string, ...words: string[]): Onlooker {
    const child = spawn('timeout', ['-k', '1', '20', program, ...words], {
      cwd: '/',
      detached: true, // a group of its own
      env: { ...process.env, LC_ALL: 'C' },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    child.stdout.on('data', (data: Buffer) => (output += data.toString()))
    child.stderr.on('data', (data: Buffer) => (output += data.toString()))
    const end = once(child, 'close').then(async ([status, signal]: unknown[]) => {
      await setImmediate() // events that came before the end are seen before it
      return { output, status: typeof status === 'number' ? status : String(signal) }
    })
    const onlooker: Onlooker = {
      child,
      end,
      signal: (signal) => void process.kill(-Number(child.pid), signal),
    }
    this.onlookers.push(onlooker)
    return onlooker
  }

  path(name: string): string {
    return join(this.directory, name)
  }

  /** What `cat` shows of a file. */
  async cat(name: string): Promise<string> {
    return (await this.start('cat', this.path(name)).end).output
  }

  /** What `stat` shows of a file: its kind. */
  async stat(name: string): Promise<string> {
    return (await this.start('stat', '-c', '%F', this.path(name)).end).output.trim()
  }

  /** Unmounts, whatever state it is in; the worker sees the end. */
  async [Symbol.asyncDispose](): Promise<void> {
    const isServed = this.workers.some(({ threadId }) => threadId !== -1)
    this.relieve()
    let areGone = false
    const gone = Promise.all(this.onlookers.map(({ end }) => end)).then(() => (areGone = true))
    while (isServed && !areGone) {
      // a read that fails may be tried again
      for (const request of this.requests.list()) this.giveUp(request.unique)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    await gone
    if (isServed) await unmount(this.directory).catch(() => undefined)
    unmountAll(this.directory)
    await this.ended
    this.close()
    rmSync(this.directory, { recursive: true })
  }

  /** Answers a request that the test has left waiting. */
  private giveUp(unique: string): void {
    const isIt = ({ uniqueHi, uniqueLo, row }: DeferredRequest): boolean =>
      this.requests.isDeferred(row, uniqueHi, uniqueLo) && `${(BigInt(uniqueHi) << 32n) | BigInt(uniqueLo)}` === unique
    for (const request of this.deferred.filter(isIt)) this.reply.to(request).error('EIO')
  }
}

/** A worker. It posts each event as it comes; a port sends although its thread is busy. */
const SERVER = `
const { once } = require('node:events')
const { parentPort, workerData } = require('node:worker_threads')
const { built, shim, registry, id, table, fd, memory, content, relief, seat } = workerData
const tell = (...event) => parentPort.postMessage(event)

Promise.all([import(built), import(shim)]).then(async ([{ Attributes, Entry, FuseError, NodeTable, Session }, { ThreadRegistry }]) => {
  new ThreadRegistry(registry).enter(id)
  const nodes = new NodeTable(table)
  const nodeOf = (name) => {
    const words = new Uint32Array(3)
    Buffer.from(words.buffer).write(name)
    return nodes.retain(...words)
  }
  const nameOf = (node) => {
    const words = Uint32Array.from([0, 1, 2], (i) => nodes.word(node, i))
    return node === 1 ? undefined : Buffer.from(words.buffer).toString().replace(/\\0+$/, '')
  }
  const root = new Attributes()
  root.ino = 1
  root.mode = 0o40755
  const entry = new Entry()
  entry.entrySeconds = entry.attrSeconds = Infinity
  entry.attributes.mode = 0o100644
  const size = () => new Int32Array(content, 0, 1)[0]
  const fill = (node) => {
    entry.node = node
    entry.attributes.ino = node
    entry.attributes.size = size()
    return entry
  }
  const defer = (request) => {
    const deferred = request.defer()
    tell('deferred', deferred)
  }
  const isInterrupted = () => session.requests.list().some(({ operation, interrupted }) => operation === 'lookup' && interrupted)
  const agreed = seat === 0 ? undefined : (await once(parentPort, 'message'))[0]
  const session = new Session(fd, {
    lookup(request, parent, bytes) {
      const name = Buffer.from(bytes).toString()
      tell('lookup', name)
      if (name.startsWith('later-')) return defer(request)
      if (name.startsWith('hold-')) {
        for (let i = 0; i < 2000 && !isInterrupted(); i++) Atomics.wait(relief, 0, 0, 5)
        throw new FuseError('EINTR')
      }
      if (name.startsWith('bug-')) throw new TypeError('provoked')
      if (!/^(file|other|slow-.*|busy-.*)$/.test(name)) throw new FuseError('ENOENT')
      const node = nodeOf(name)
      session.doorbell.remember(node)
      request.entry(fill(node))
    },
    forget: (node, count) => tell('forget', nameOf(node), count),
    getattr(request, node) {
      tell('getattr', nameOf(node))
      request.attributes(node === 1 ? root : fill(node).attributes, Infinity)
    },
    read(request, node, handle, offset, wanted) {
      const name = nameOf(node)
      tell('read', name, offset)
      if (name.startsWith('slow-')) return defer(request)
      if (name.startsWith('busy-')) Atomics.wait(relief, 0, 0, 10_000)
      request.copy(new Uint8Array(content, 4, size()).subarray(offset, offset + wanted))
    },
    statfs(request) {
      tell('statfs')
      throw new FuseError('EIO')
    },
    interrupt: (hi, lo) => tell('interrupt', hi, lo),
    retrieved: (unique, node, offset, data) => tell('retrieved', unique, node, offset, Buffer.from(data).toString()),
    doorbell: () => tell('doorbell'),
  }, {
    memory,
    seat,
    ...(agreed === undefined ? {} : { agreed }),
    features: ['parallelDirops', 'hasResend', 'hasExpireOnly', 'noOpenSupport', 'noOpendirSupport'],
    ready: (connection) => tell('ready', connection),
  })
  try {
    session.serve()
    tell('end')
  } catch (error) {
    tell('failed', String(error))
  }
  parentPort.close()
})
`
