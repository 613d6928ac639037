/**
 * Serves a mount in this process until it is gone: signals, the control channel, and the end. The first SIGINT, SIGTERM or SIGHUP unmounts;
 * if the mount is in use that is said, and it is served on; a second one takes it out of sight, and it ends with its last user; a third one
 * ends the process, and users get errors.
 *
 * An error of ours never leaves a mount behind that nobody serves: it is taken away, and the process ends at once. Its threads may wait in
 * the kernel, so that nothing but a signal ends it for sure.
 */

import { spawnSync } from 'node:child_process'
import type { Server } from 'node:net'
import { MountError } from '@cowherd/fuse'
import { EngineError, mountVolume, type MountedVolume, type MountVolumeOptions } from '@cowherd/mount'
import { CommandError, ExitCode } from '../cli/exit-code.ts'
import { listen } from './control.ts'
import { inspectionText } from './inspection-text.ts'
import type { MountMessages } from './messages.ts'
import { ownSocket, removeSocket } from './run-folder.ts'
import { deviceIdentity, VOLUME, type VolumeMount } from './volume-mount.ts'

export interface ServeOptions {
  readonly mount: Omit<MountVolumeOptions, 'note' | 'mounting'>
  readonly messages: MountMessages
  readonly env: Readonly<Record<string, string | undefined>>
  /** Called when the mount stands. */
  readonly ready?: (mounted: MountedVolume) => void
}

/** Mounts and serves to the end. Throws CommandError if it can't be mounted, or when the engine has failed. */
export async function serve(options: ServeOptions): Promise<void> {
  const { messages, env } = options
  const signals = new HeldSignals()
  const note = (text: string): void => messages.noteOnce(text)
  const mounted = await mountVolume({ ...options.mount, note, mounting: () => signals.hold() }).catch(
    (error: unknown) => {
      signals.release()
      throw failure(error)
    },
  )
  const { entry } = mounted
  const socket = entry === undefined ? undefined : ownSocket(entry, env)
  const removeOwn = (): void => {
    if (socket !== undefined) removeSocket(socket)
  }
  const off = guard(mounted, messages, removeOwn)
  signals.release() // not before: one that Node has caught and not told yet would find nobody, and be lost
  signals.raise()
  const control = socket === undefined ? undefined : await openControl(socket, mounted, options)
  try {
    options.ready?.(mounted)
    await mounted.ended
  } catch (error) {
    if (error instanceof EngineError && error.stuckThreads > 0) endAtOnce(error, messages, removeOwn)
    throw failure(error)
  } finally {
    removeOwn()
    control?.close()
    off()
  }
}

/** Ends the process although threads of the engine can't be ended. */
function endAtOnce(error: EngineError, messages: MountMessages, cleanUp: () => void): void {
  const cause = failure(error)
  messages.note(`${cause instanceof Error ? cause.message : String(cause)}; ${error.stuckThreads} threads do not end`)
  cleanUp()
  process.kill(process.pid, 'SIGKILL')
}

/** Keeps signals that come while it is being mounted: one that ended the process then would leave a mount that nobody serves. */
class HeldSignals {
  #held: NodeJS.Signals | undefined
  #isHolding = false
  readonly #keep = (signal: NodeJS.Signals): void => {
    this.#held = signal
  }

  hold(): void {
    if (this.#isHolding) return
    this.#isHolding = true
    for (const signal of STOP_SIGNALS) process.on(signal, this.#keep)
  }

  release(): void {
    this.#isHolding = false
    for (const signal of STOP_SIGNALS) process.off(signal, this.#keep)
  }

  /** Sends the last one that was held again. */
  raise(): void {
    if (this.#held !== undefined) process.kill(process.pid, this.#held)
  }
}

/** What a user is told. Errors of volumes and devices are the volume's; others of the engine are ours. */
function failure(error: unknown): unknown {
  if (error instanceof MountError) return new CommandError(ExitCode.incomplete, error.message, { cause: error })
  if (!(error instanceof EngineError)) return error
  if (error.code !== '' && !OURS.has(error.kind)) {
    return new CommandError(ExitCode.volume, error.message, { cause: error })
  }
  const message = `a bug in cowherd: ${error.kind}: ${error.message}; the mount was taken away`
  return new CommandError(ExitCode.bug, message, { cause: error })
}

/** Errors of Node and of the language: not of a volume. */
const OURS: ReadonlySet<string> = new Set(['Error', 'TypeError', 'RangeError', 'ReferenceError', 'SyntaxError'])

async function openControl(
  path: string,
  mounted: MountedVolume,
  { mount: { volume, directory }, messages }: ServeOptions,
): Promise<Server | undefined> {
  const { devices, subvolume } = volume
  const shown: VolumeMount = {
    directory,
    isWritable: mounted.isWritable,
    subvolume: subvolume === undefined ? undefined : String(subvolume),
    devices: devices.flatMap((device) => deviceIdentity(device) ?? []),
  }
  try {
    return await listen(path, (question) => {
      if (question === 'inspect') return { ...mounted.inspect(), messages: messages.kept }
      return question === VOLUME ? shown : undefined
    })
  } catch (error) {
    messages.note(`the mount can't be inspected: ${error instanceof Error ? error.message : String(error)}`)
    return undefined
  }
}

const STOP_SIGNALS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP']

/**
 * Sets the handlers of signals and of errors that nobody caught; `cleanUp` is called before such an error ends the process. Returns what
 * takes them away.
 */
function guard(mounted: MountedVolume, messages: MountMessages, cleanUp: () => void): () => void {
  let stops = 0
  const stop = (): void => {
    stops++
    if (stops > 2) {
      cleanUp()
      process.kill(process.pid, 'SIGKILL')
    }
    const lazy = stops === 2
    mounted.unmount({ lazy }).catch((error: unknown) => {
      const why = error instanceof Error ? error.message : String(error)
      messages.note(`${why}${lazy ? '' : '; it is served on, and a second signal takes it out of sight'}`)
      stops = lazy ? 2 : 1
    })
  }
  const inspect = (): void => messages.note(inspectionText(mounted.inspect()))
  const crash = (error: unknown): void => {
    messages.note(`a bug in cowherd: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
    const [program, ...words] = process.geteuid?.() === 0 ? ['umount', '-c', '-l', '-i'] : ['fusermount3', '-u', '-z']
    try {
      const { entry } = mounted
      if (entry !== undefined) spawnSync(program, [...words, '--', entry.mountPoint], { timeout: 10_000 })
      cleanUp()
    } finally {
      process.kill(process.pid, 'SIGKILL')
    }
  }
  for (const signal of STOP_SIGNALS) process.on(signal, stop)
  process.on('SIGUSR2', inspect)
  process.on('uncaughtException', crash)
  process.on('unhandledRejection', crash)
  return () => {
    for (const signal of STOP_SIGNALS) process.off(signal, stop)
    process.off('SIGUSR2', inspect)
    process.off('uncaughtException', crash)
    process.off('unhandledRejection', crash)
  }
}
