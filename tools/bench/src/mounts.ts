/**
 * Mounting: FUSE servers as child processes, and images over a loop device. What was mounted here is unmounted again when
 * the process ends, be it by an error or by a signal, lazily and with SIGKILL if nothing else helps; what a killed run left
 * mounted, the next run unmounts. All of it is mounted in BENCH_DIRECTORY/mounts/PROCESS-ID/. Needs root.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { join, sep } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { must, run, succeeds } from './run.ts'
import { BENCH_DIRECTORY } from './trees.ts'

/** A program that serves a filesystem. */
export interface Server {
  readonly name: string
  /** What it shows: the files of a tree, or as many files with made-up contents. */
  readonly shows: 'tree' | 'made-up files'
  /** Left out: it is only read. */
  readonly access?: 'ro' | 'rw'
  /** The process that mounts `directory`, serves in the foreground, and ends with 0 when somebody unmounts it. */
  command(directory: string): readonly [program: string, ...args: string[]]
}

/** A directory at which a server is mounted, as often as wanted. */
export interface MountPoint {
  readonly server: Server
  readonly directory: string
  /** The process that serves it; undefined while it isn't mounted. */
  readonly pid: () => number | undefined
  /** Mounts, as the first time: a new server process, and nothing in the kernel's caches. Unmounts what was there. */
  readonly renew: () => Promise<void>
  /** Empties the kernel's caches of names, attributes and pages of this mount; the server goes on. */
  readonly dropCaches: () => Promise<void>
  readonly unmount: () => Promise<void>
}

const MOUNTS = join(BENCH_DIRECTORY, 'mounts')
const OURS = join(MOUNTS, String(process.pid))
const READY_MS = 30_000
const ANSWER_MS = 10_000
const END_MS = 10_000
const BUSY_TRIES = 20
const POLL_MS = 5
/** Options that keep umount(8) from looking at a mount, which may hang. */
const UNSEEN = ['-i', '-c']

/** What is mounted now: the server's process, or undefined for a loop device. */
const mounted = new Map<string, ChildProcess | undefined>()
let watching = false

/** A place for the server; nothing is mounted yet. */
export function mountPoint(server: Server): MountPoint {
  const directory = place(server.name)
  let serving: ChildProcess | undefined
  const unmount = async () => {
    if (serving !== undefined) await stop(directory, serving)
    serving = undefined
  }
  return {
    server,
    directory,
    pid: () => serving?.pid,
    unmount,
    async renew() {
      await unmount()
      serving = await start(server, directory)
      await untilIdle(serving)
    },
    async dropCaches() {
      // To change the flags of a mount, even into what they are, throws its unused names away, and with them all else.
      const as = `remount,${server.access ?? 'ro'}`
      await run('mount', ['-i', '-c', '-o', as, 'none', directory], 'ignore', ANSWER_MS)
      if (serving !== undefined) await untilIdle(serving) // forgets what the kernel has forgotten
    },
  }
}

/** Mounts an image over a loop device. */
export function mountLoop(
  image: string,
  name = 'ext4',
  access: 'ro' | 'rw' = 'ro',
): { readonly directory: string; unmount(): void } {
  const directory = place(name)
  mounted.set(directory, undefined)
  must('mount', ['-o', access === 'ro' ? 'loop,ro,noatime' : 'loop', image, directory])
  return {
    directory,
    unmount() {
      must('umount', [directory])
      mounted.delete(directory)
    },
  }
}

/** How much the kernel reads ahead on a mount; undefined where the system doesn't tell. */
export function readAheadKiB(directory: string): number | undefined {
  const device = mountTable().get(directory)
  const file = `/sys/class/bdi/${device}/read_ahead_kb`
  return existsSync(file) ? Number(readFileSync(file, 'utf8')) : undefined
}

async function start(server: Server, directory: string): Promise<ChildProcess> {
  const [program, ...args] = server.command(directory)
  const logFile = `${directory}.log`
  const log = openSync(logFile, 'w')
  const child = spawn(program, args, { stdio: ['ignore', log, log], detached: true }) // Ctrl-C isn't for it: we unmount
  closeSync(log)
  child.once('error', () => undefined) // it has no pid then
  if (child.pid === undefined) throw new Error(`${program} can't be started`)
  mounted.set(directory, child)
  for (const end = performance.now() + READY_MS; performance.now() < end; await sleep(POLL_MS)) {
    if (hasEnded(child)) break
    if (!mountTable().has(directory)) continue
    if (await answers(directory)) return child
  }
  const how = hasEnded(child) ? `ended with ${child.exitCode ?? child.signalCode}` : `didn't mount in ${READY_MS} ms`
  release(directory, child)
  throw new Error(`${server.name} ${how}: ${readFileSync(logFile, 'utf8').trim()}`)
}

function answers(directory: string): Promise<boolean> {
  return run('stat', [directory], 'ignore', ANSWER_MS).then(
    () => true,
    () => false,
  )
}

async function stop(directory: string, child: ChildProcess): Promise<void> {
  let tries = 0
  while (!succeeds('umount', [...UNSEEN, directory])) {
    if (++tries === BUSY_TRIES) break
    await sleep(10 * POLL_MS)
  }
  detach(directory)
  for (const end = performance.now() + END_MS; !hasEnded(child) && performance.now() < end;) await sleep(POLL_MS)
  const code = child.exitCode
  release(directory, child)
  if (code === 0) return
  const log = readFileSync(`${directory}.log`, 'utf8').trim()
  throw new Error(`${directory}: unmounted, the server ended with ${code ?? child.signalCode ?? 'SIGKILL'}: ${log}`)
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

/** Waits until a process takes no more processor time: it has started up, or has done what was left to do. */
async function untilIdle({ pid }: ChildProcess): Promise<void> {
  let before = ''
  for (let polls = 0; polls < 200; polls++, await sleep(5 * POLL_MS)) {
    const taken = processState(pid).slice(11, 13).join(' ') // utime, stime
    if (taken === before) return
    before = taken
  }
}

/** An empty directory for a mount. */
function place(name: string): string {
  if (!watching) watch()
  const directory = join(OURS, name.replaceAll(/[^a-z0-9]+/gi, '-'))
  mkdirSync(directory, { recursive: true })
  return directory
}

function watch(): void {
  watching = true
  releaseLeftOvers()
  process.once('exit', () => {
    for (const [directory, child] of [...mounted].reverse()) release(directory, child)
    if (mountsIn(OURS).length === 0) rmSync(OURS, { recursive: true, force: true })
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))
}

/** Unmounts lazily and ends the server, whatever state they are in. */
function release(directory: string, child?: ChildProcess): void {
  detach(directory)
  if (child?.pid !== undefined && !hasEnded(child)) {
    waitForEnd(child.pid)
    child.kill('SIGKILL')
    detach(directory) // it was about to mount
  }
  mounted.delete(directory)
}

function detach(directory: string): void {
  if (mountTable().has(directory)) succeeds('umount', [...UNSEEN, '-l', directory])
}

/** Gives an unmounted server a second to end by itself, without the event loop: it may not run any more. */
function waitForEnd(pid: number): void {
  const timer = new Int32Array(new SharedArrayBuffer(4))
  for (let polls = 0; polls < 1000 / POLL_MS; polls++) {
    const [state = 'X'] = processState(pid)
    if (state === 'Z' || state === 'X') return
    Atomics.wait(timer, 0, 0, POLL_MS)
  }
}

/** The fields of proc(5)'s `stat` after the name: the state is the first. None if there is no such process. */
function processState(pid: number | undefined): string[] {
  const file = `/proc/${pid}/stat`
  if (!existsSync(file)) return []
  const text = readFileSync(file, 'utf8')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

/** Unmounts what runs left that are no more. Their servers end when that is done. */
function releaseLeftOvers(): void {
  if (!existsSync(MOUNTS)) return
  for (const run of readdirSync(MOUNTS)) {
    if (existsSync(`/proc/${run}`)) continue
    for (const directory of mountsIn(join(MOUNTS, run)).reverse()) must('umount', [...UNSEEN, '-l', directory])
    rmSync(join(MOUNTS, run), { recursive: true })
  }
}

/** What is mounted below a directory, in the order of mounting. */
function mountsIn(directory: string): string[] {
  return [...mountTable().keys()].filter((each) => each.startsWith(directory + sep))
}

/** The mounts of this process' view: the numbers of the device (MAJOR:MINOR) by directory. */
function mountTable(): Map<string, string> {
  const table = new Map<string, string>()
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [, , device, , directory] = line.split(' ')
    if (directory !== undefined) table.set(directory.replaceAll(/\\(\d{3})/g, fromOctal), device)
  }
  return table
}

function fromOctal(_: string, digits: string): string {
  return String.fromCharCode(parseInt(digits, 8))
}
