/**
 * What a command works with: its output, its messages, and the volumes it opens. One context serves one command line;
 * what it opened is closed when the command has ended.
 */

import type { Volume } from '@cowherd/db'
import type { FileSystemReader } from '@cowherd/fs'
import type { BlockDevice } from '@cowherd/shim'
import { ExitCode } from './exit-code.ts'
import { Input, standardInput, type InputSource } from './input.ts'
import { Interruption } from './interruption.ts'
import type { Output } from './output.ts'
import { NO_PROGRESS, progressBar, type Progress, type Terminal } from './progress.ts'
import { printable } from './text.ts'
import type { Reading, ReadingFlags, ReadingTuning } from './reading.ts'
import type { VolumeFlags } from './volume-options.ts'
import type { WritableFiles } from '../writing/writable-files.ts'

/** What surrounds a command line: the process, or a test. */
export interface Surroundings {
  readonly out: Output
  readonly err: Output
  /** Left out: the process' own. */
  readonly input?: InputSource
  /** True if `out` is a terminal. */
  readonly outIsTerminal: boolean
  /** Where progress is drawn: standard error when it is a terminal. */
  readonly terminal: Terminal
  readonly env: Readonly<Record<string, string | undefined>>
  /** How trees are read by several threads, other than is good: for tests. */
  readonly tuning?: ReadingTuning
}

/** Codes of ECMA-48, SGR. */
const STYLES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, magenta: 35, cyan: 36 } as const

type Style = keyof typeof STYLES

export class Context {
  readonly out: Output
  readonly env: Readonly<Record<string, string | undefined>>
  /** True if the output goes to a terminal: names are made printable, columns coloured. */
  readonly terminal: boolean
  readonly interruption = new Interruption()
  /** What the process will end with, if nothing worse happens. */
  exitCode: ExitCode = ExitCode.ok

  readonly #surroundings: Surroundings
  readonly #coloured: boolean
  readonly #open: { close(): void }[] = []
  #progress = NO_PROGRESS

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings
    this.out = surroundings.out
    this.env = surroundings.env
    this.terminal = surroundings.outIsTerminal
    this.#coloured = surroundings.outIsTerminal && (surroundings.env['NO_COLOR'] ?? '') === ''
  }

  /** How many threads there are to be, this one included; undefined: as many as are good. */
  get threads(): number | undefined {
    return this.#surroundings.tuning?.threads
  }

  /** A line for the user beside the output, which changes nothing. */
  note(text: string): void {
    this.#progress.clear()
    this.out.flush() // so that both come in order on a terminal
    const { err } = this.#surroundings
    err.line(`cowherd: ${printable(text)}`)
    err.flush()
  }

  /** Says what could not be done; the command goes on, and ends with exit code 1. */
  fail(text: string): void {
    if (this.exitCode === ExitCode.ok) this.exitCode = ExitCode.incomplete
    this.note(text)
  }

  /** True if a progress bar would be seen: finding out how much there is to do may take a while. */
  get progressIsShown(): boolean {
    return this.#surroundings.terminal.isTTY === true
  }

  /** A progress bar for `total` bytes of work, as far as that is known, on a terminal. */
  progress(total: number | undefined): Progress {
    this.#progress = progressBar(total, this.#surroundings.terminal)
    return this.#progress
  }

  /** A name or path as the output may show it: made printable on a terminal, its bytes in a pipe. */
  shown(name: Uint8Array): Uint8Array | string {
    return this.terminal ? printable(name) : name
  }

  /** Output text in a colour or style (`blue`, `bold`, ...) on a terminal, plain elsewhere. */
  styled(style: Style, text: string): string {
    return this.#coloured ? `\x1b[${STYLES[style]}m${text}\x1b[0m` : text
  }

  /**
   * Opens the devices named by VOLUME for reading, in the order given. `lock: false` only looks.
   * @throws CommandError (exit code 3) that says which can't be opened, and why
   */
  async openDevices(volume: string, options: { lock?: boolean } = {}): Promise<BlockDevice[]> {
    const { openDevices } = await import('./opening.ts')
    return openDevices(this, volume, options)
  }

  /** Opens the volume on the devices of VOLUME, as its options and the passphrase say. Throws CommandError (exit code 3). */
  async openVolume(volume: string, flags: VolumeFlags): Promise<Volume> {
    const { openVolume } = await import('./opening.ts')
    const { refuseMounted } = await import('../mounted/opening.ts')
    await refuseMounted(this, volume, { flags })
    return openVolume(this, volume, flags)
  }

  /** Opens the filesystem on VOLUME, or through the mount that has it. Throws CommandError (exit code 3). */
  async openFileSystem(volume: string, flags: VolumeFlags): Promise<FileSystemReader> {
    const { openMountedToRead } = await import('../mounted/opening.ts')
    const mounted = await openMountedToRead(this, volume, flags)
    if (mounted !== undefined) return mounted
    const { openFileSystem } = await import('./opening.ts')
    return openFileSystem(this, volume, flags)
  }

  /** Opens the filesystem on VOLUME for several threads, as `--threads` says; through a mount, for one. Throws CommandError (exit code 3). */
  async openReading(volume: string, flags: ReadingFlags): Promise<Reading> {
    const { tuning } = this.#surroundings
    const { openMountedToRead } = await import('../mounted/opening.ts')
    const mounted = await openMountedToRead(this, volume, flags)
    if (mounted !== undefined) {
      return { fs: mounted, notes: { to: () => undefined }, startReaders: undefined, tuning: tuning ?? {} }
    }
    const { openReading } = await import('./reading.ts')
    return openReading(this, volume, flags, tuning)
  }

  /**
   * Opens the filesystem on VOLUME for writing, or through the mount that has it. Signals wait for the next rest from then on. Throws CommandError
   * (exit code 3).
   */
  async openWriting(volume: string, flags: VolumeFlags): Promise<WritableFiles> {
    const { openMountedToWrite } = await import('../mounted/opening.ts')
    const mounted = await openMountedToWrite(this, volume, flags)
    if (mounted !== undefined) return mounted
    const { openWriting } = await import('./writing.ts')
    return openWriting(this, volume, flags)
  }

  /** Standard input. */
  openInput(): Input {
    const input = new Input(this.#surroundings.input ?? standardInput(), this.interruption)
    this.closeLater(input)
    return input
  }

  /** Has `resource` closed when the command has ended, in reverse order. */
  closeLater(resource: { close(): void }): void {
    this.#open.push(resource)
  }

  /** Closes what was opened, in reverse order: all of it, whatever of it fails. Throws the last error. */
  close(): void {
    this.#progress.clear()
    const last = this.#open.pop()
    if (last === undefined) return
    try {
      last.close()
    } finally {
      this.close()
    }
  }
}
