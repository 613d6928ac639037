/**
 * A mount that a worker serves while the test's thread goes on: that one looks at it through child processes, changes what is in it,
 * notifies the kernel and answers deferred requests. What the worker is asked for comes as events.
 *
 * The worker runs the built package, since Node runs no TypeScript; what the test itself uses of the package are the sources.
 *
 *     file, other      regular files, both with the mount's content; remembered by the kernel for ever, as names too
 *     later-NAME       a lookup that is deferred
 *     slow-NAME        a regular file whose reads are deferred
 *     anything else    ENOENT, asked for each time
 */

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { Doorbell } from '../doorbell.ts'
import { mountFuse } from '../mount.ts'
import { Notifier } from '../notifier.ts'
import { Reply, type DeferredRequest } from '../reply.ts'
import { RequestTable } from '../request-table.ts'
import { newSessionMemory, type SessionMemory } from '../session.ts'
import { deviceTransport } from '../transport.ts'
import { unmount } from '../unmount.ts'
import { unmountAll } from './bare-server.ts'

/** What the worker tells: an operation's name and what it was called with. */
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
  /** Requests that wait; `answer` takes them out. */
  readonly deferred: DeferredRequest[] = []
  /** Minor version of the kernel's protocol. */
  kernelMinor = 0
  private readonly content = new SharedArrayBuffer(4 + CONTENT_BYTES_MAX)
  private readonly worker: Worker
  private readonly ended: Promise<unknown>
  private readonly onlookers: Onlooker[] = []
  private wake: () => void = () => undefined

  /** Mounts on a new directory, and returns when the mount answers. */
  static async start(): Promise<ServedMount> {
    const mount = new ServedMount()
    const [, kernelMinor] = await mount.event('ready')
    mount.kernelMinor = Number(kernelMinor)
    return mount
  }

  private constructor() {
    const built = new URL('../../dist/index.js', import.meta.url)
    if (!existsSync(built)) throw new Error("the package isn't built: npm run build")
    this.directory = realpathSync(mkdtempSync(join(tmpdir(), 'cowherd-served-')))
    this.fd = mountFuse(this.directory, { source: 'served', subtype: 'cowherd', options: ['ro'] })
    this.memory = newSessionMemory()
    this.notifier = new Notifier(deviceTransport(this.fd))
    this.doorbell = new Doorbell(this.memory.doorbell)
    this.requests = new RequestTable(this.memory.requests)
    this.reply = Reply.over({ fd: this.fd, requests: this.memory.requests, statistics: this.memory.statistics })
    this.write('content')
    const workerData = { built: built.href, fd: this.fd, memory: this.memory, content: this.content }
    this.worker = new Worker(SERVER, { eval: true, workerData })
    this.ended = once(this.worker, 'exit')
    this.worker.on('message', (event: ServedEvent) => {
      this.events.push(event)
      if (event[0] === 'deferred') this.deferred.push(event[1] as DeferredRequest)
      this.wake()
    })
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
    const isServed = this.worker.threadId !== -1
    if (isServed) for (const request of this.requests.list()) this.giveUp(request.unique)
    await Promise.all(this.onlookers.map(({ end }) => end))
    if (isServed) await unmount(this.directory).catch(() => undefined)
    unmountAll(this.directory)
    await this.ended
    closeSync(this.fd)
    rmSync(this.directory, { recursive: true })
  }

  /** Answers a request that the test has left waiting. */
  private giveUp(unique: string): void {
    const isIt = ({ uniqueHi, uniqueLo }: DeferredRequest): boolean =>
      `${(BigInt(uniqueHi) << 32n) | BigInt(uniqueLo)}` === unique
    for (const request of this.deferred.filter(isIt)) this.reply.to(request).error('EIO')
  }
}

/** The worker. It posts each event as it comes; a port sends although its thread is busy. */
const SERVER = `
const { parentPort, workerData } = require('node:worker_threads')
const { built, fd, memory, content } = workerData
const tell = (...event) => parentPort.postMessage(event)
const names = new Map() // of nodes
const nodes = new Map() // of names
const nodeOf = (name) => {
  if (!nodes.has(name)) {
    nodes.set(name, nodes.size + 2)
    names.set(nodes.size + 1, name)
  }
  return nodes.get(name)
}

import(built).then(({ Attributes, Entry, FuseError, Session }) => {
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
  const session = new Session(fd, {
    lookup(request, parent, bytes) {
      const name = Buffer.from(bytes).toString()
      tell('lookup', name)
      if (name.startsWith('later-')) return defer(request)
      if (!/^(file|other|slow-.*)$/.test(name)) throw new FuseError('ENOENT')
      const node = nodeOf(name)
      session.doorbell.remember(node)
      request.entry(fill(node))
    },
    forget: (node, count) => tell('forget', names.get(node), count),
    getattr(request, node) {
      tell('getattr', names.get(node))
      request.attributes(node === 1 ? root : fill(node).attributes, Infinity)
    },
    read(request, node, handle, offset, wanted) {
      tell('read', names.get(node), offset)
      if (names.get(node).startsWith('slow-')) return defer(request)
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
    features: ['parallelDirops', 'hasResend', 'hasExpireOnly', 'noOpenSupport', 'noOpendirSupport'],
    ready: ({ kernelMinor }) => tell('ready', kernelMinor),
  })
  session.serve()
  tell('end')
})
`
