/**
 * A place where the built program mounts: a folder with the directory to mount on and copies of golden volumes. Whatever was started there
 * is ended, and whatever was mounted is taken away, when the place is closed. Nothing here looks into a mount but by child processes that
 * end after a while.
 */

import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { copyOf, fixture } from '@cowherd/fixtures'
import type { Inspection } from '@cowherd/mount'
import type { KeptMessage } from '../mount/messages.ts'
import { builtProgram } from './built.ts'

/** How a program ended, and what it said. */
export interface Ended {
  /** The exit code, or the name of a signal. */
  readonly code: number | string
  readonly out: string
  readonly err: string
}

/** A program that runs. */
export interface Running {
  readonly child: ChildProcess
  readonly pid: number
  readonly ended: Promise<Ended>
  /** What it has said so far on both outputs. */
  said(): string
}

export interface StartOptions {
  /** The program, where it isn't to be the one that is installed. */
  readonly program?: string
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Read on standard input. */
  readonly input?: string
  /** The program is killed then; CHILD_SECONDS_MAX by default. */
  readonly secondsMax?: number
}

const CHILD_SECONDS_MAX = 50
/** A busy machine is no failure. */
const START_MS_MAX = 180_000
const FOLDER_OF_SOCKETS = '/run/cowherd'

export class MountPlace {
  readonly folder: string
  readonly directory: string
  readonly program: string
  private readonly started: Running[] = []

  constructor() {
    this.program = builtProgram()
    this.folder = realpathSync(mkdtempSync(join(tmpdir(), 'cowherd-place-')))
    this.directory = join(this.folder, 'm')
    mkdirSync(this.directory)
  }

  path(...names: string[]): string {
    return join(this.folder, ...names)
  }

  /** A golden volume's name for the command line: copies of its images in the folder. */
  volume(name: string): string {
    return copyOf(fixture(name), this.folder).join(':')
  }

  /** Starts a program, which is ended after a while. */
  start(program: string, words: readonly string[], options: StartOptions = {}): Running {
    const { env = {}, cwd = '/', input, secondsMax = CHILD_SECONDS_MAX } = options
    const child = spawn(program, words, {
      cwd,
      env: { ...process.env, LC_ALL: 'C', ...env },
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    })
    child.stdin?.end(input)
    const timer = setTimeout(() => child.kill('SIGKILL'), secondsMax * 1000)
    let out = ''
    let err = ''
    child.stdout?.on('data', (data: Buffer) => (out += data.toString()))
    child.stderr?.on('data', (data: Buffer) => (err += data.toString()))
    const ended = once(child, 'close').then(([code, signal]: unknown[]) => {
      clearTimeout(timer)
      return { code: typeof code === 'number' ? code : String(signal), out, err }
    })
    const running = { child, pid: child.pid ?? 0, ended, said: () => out + err }
    this.started.push(running)
    return running
  }

  /** Runs a program to its end. */
  run(program: string, words: readonly string[], options: StartOptions = {}): Promise<Ended> {
    return this.start(program, words, options).ended
  }

  /** Runs a line of shell, with the directory of the mount as `$m`. */
  shell(line: string, options: StartOptions = {}): Promise<Ended> {
    return this.run('sh', ['-c', line], { ...options, env: { ...options.env, m: this.directory } })
  }

  /** `cowherd WORDS...` */
  cowherd(words: readonly string[], options: StartOptions = {}): Promise<Ended> {
    return this.run(process.execPath, [options.program ?? this.program, ...words], options)
  }

  /** Mounts a volume in the background. Throws if that fails. Returns the process that serves it. */
  async mount(volume: string, words: readonly string[] = [], options: StartOptions = {}): Promise<number> {
    const argv = ['mount', ...(words.includes('-o') ? [] : ['-o', 'ro']), ...words, '--', volume, this.directory]
    const { code, err } = await this.cowherd(argv, options)
    if (code !== 0) throw new Error(`mount ended with ${code}: ${err}`)
    return this.server()
  }

  /** Mounts a volume in the foreground, and returns when the mount answers. */
  async serve(volume: string, words: readonly string[] = [], options: StartOptions = {}): Promise<Running> {
    const argv = [options.program ?? this.program, 'mount', '-f', '-o', 'ro', ...words, '--', volume, this.directory]
    const server = this.start(process.execPath, argv, options)
    const isUp = (): boolean => this.sockets(server.pid).length > 0
    await until(() => server.child.exitCode !== null || isUp(), START_MS_MAX)
    if (!isUp()) throw new Error(`mount ended: ${server.said()}`)
    return server
  }

  /** The process that serves what was mounted in the background. */
  server(): number {
    const [pid] = this.processes()
    if (pid === undefined) throw new Error('no process serves the mount')
    return pid
  }

  async inspect(): Promise<Inspection & { readonly messages: readonly KeptMessage[] }> {
    const { code, out, err } = await this.cowherd(['debug', '--json', this.directory])
    if (code !== 0) throw new Error(`debug ended with ${code}: ${err}`)
    return JSON.parse(out) as Inspection & { messages: KeptMessage[] }
  }

  /** The processes with this place in their command lines. */
  processes(): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && commandLine(name).includes(this.folder))
      .map(Number)
  }

  /** How often something is mounted here. */
  mounts(): number {
    return readFileSync('/proc/self/mountinfo', 'utf8').split(` ${this.directory} `).length - 1
  }

  /** The sockets of a process in the run folder. */
  sockets(pid: number): string[] {
    const names = existsSync(FOLDER_OF_SOCKETS) ? readdirSync(FOLDER_OF_SOCKETS) : []
    return names.filter((name) => name.endsWith(`-${pid}.sock`))
  }

  /** What is left of a mount, after a while: nothing, it is to be hoped. */
  async left(server: number): Promise<{ processes: number[]; mounts: number; sockets: string[] }> {
    const left = () => ({ processes: this.processes(), mounts: this.mounts(), sockets: this.sockets(server) })
    await until(() => Object.values(left()).every((each) => each === 0 || (Array.isArray(each) && each.length === 0)))
    return left()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { status } = spawnSync('umount', ['-c', '-i', '-l', '--', this.directory], { timeout: 10_000 })
    for (let more = status === 0; more;) {
      more = spawnSync('umount', ['-c', '-i', '-l', '--', this.directory], { timeout: 10_000 }).status === 0
    }
    for (const { child } of this.started) child.kill('SIGKILL')
    for (const pid of this.processes()) process.kill(pid, 'SIGKILL')
    await Promise.all(this.started.map(({ ended }) => ended))
    await until(() => this.processes().length === 0)
    rmSync(this.folder, { recursive: true })
  }
}

/** What `left` says when all is gone. */
export const NOTHING = { processes: [], mounts: 0, sockets: [] }

/** Waits until something holds, for at most that long. Returns whether it does. */
export async function until(holds: () => boolean | Promise<boolean>, timeoutMs = 10_000): Promise<boolean> {
  for (const deadline = Date.now() + timeoutMs; ;) {
    if (await holds()) return true
    if (Date.now() > deadline) return false
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return '' // it has just ended
  }
}
