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
import { unlinkSync } from 'node:fs'
import { MountError } from '@cowherd/fuse'
import { EngineError, mountVolume, type MountedVolume, type MountVolumeOptions } from '@cowherd/mount'
import { CommandError, ExitCode } from '../cli/exit-code.ts'
import { listen } from './control.ts'
import { inspectionText } from './inspection-text.ts'
import type { MountMessages } from './messages.ts'
import { ownSocket } from './run-folder.ts'

export interface ServeOptions {
  readonly mount: Omit<MountVolumeOptions, 'note'>
  readonly messages: MountMessages
  readonly env: Readonly<Record<string, string | undefined>>
  /** Called when the mount stands. */
  readonly ready?: (mounted: MountedVolume) => void
}

/** Mounts and serves to the end. Throws CommandError if it can't be mounted, or when the engine has failed. */
export async function serve(options: ServeOptions): Promise<void> {
  const { messages, env } = options
  const mounted = await mounting(() => mountVolume({ ...options.mount, note: (text) => messages.note(text) }))
  const off = guard(mounted, messages)
  const control = await openControl(mounted, messages, env)
  try {
    options.ready?.(mounted)
    await mounted.ended
  } catch (error) {
    throw failure(error)
  } finally {
    control?.close()
    off()
  }
}

async function mounting(action: () => Promise<MountedVolume>): Promise<MountedVolume> {
  try {
    return await action()
  } catch (error) {
    throw failure(error)
  }
}

/** What a user is told. Errors of volumes and devices are the volume's; others of the engine are ours. */
function failure(error: unknown): unknown {
  if (error instanceof MountError) return new CommandError(ExitCode.incomplete, error.message, { cause: error })
  if (!(error instanceof EngineError)) return error
  if (/^(\w*Error)$/.test(error.kind) && error.code !== '' && !OURS.has(error.kind)) {
    return new CommandError(ExitCode.volume, error.message, { cause: error })
  }
  const message = `a bug in cowherd: ${error.kind}: ${error.message}; the mount was taken away`
  return new CommandError(ExitCode.bug, message, { cause: error })
}

/** Errors of Node and of the language: not of a volume. */
const OURS: ReadonlySet<string> = new Set(['Error', 'TypeError', 'RangeError', 'ReferenceError', 'SyntaxError'])

async function openControl(
  mounted: MountedVolume,
  messages: MountMessages,
  env: ServeOptions['env'],
): Promise<Pick<Server, 'close'> | undefined> {
  const { entry } = mounted
  const path = entry === undefined ? undefined : ownSocket(entry, env)
  if (path === undefined) return undefined
  try {
    const server = await listen(path, async (question) =>
      question === 'inspect' ? { ...(await mounted.inspect()), messages: messages.kept } : undefined,
    )
    const close = (): Server => {
      try {
        unlinkSync(path)
      } catch {
        // somebody was faster
      }
      return server.close()
    }
    return { close }
  } catch (error) {
    messages.note(`the mount can't be inspected: ${error instanceof Error ? error.message : String(error)}`)
    return undefined
  }
}

const STOP_SIGNALS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP']

/** Sets the handlers of signals and of errors that nobody caught. Returns what takes them away. */
function guard(mounted: MountedVolume, messages: MountMessages): () => void {
  let stops = 0
  const stop = (): void => {
    stops++
    if (stops > 2) process.kill(process.pid, 'SIGKILL')
    const lazy = stops === 2
    mounted.unmount({ lazy }).catch((error: unknown) => {
      const why = error instanceof Error ? error.message : String(error)
      messages.note(`${why}${lazy ? '' : '; it is served on, and a second signal takes it out of sight'}`)
      stops = lazy ? 2 : 1
    })
  }
  const inspect = (): void => {
    void mounted.inspect().then((inspection) => messages.note(inspectionText(inspection)))
  }
  const crash = (error: unknown): void => {
    messages.note(`a bug in cowherd: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
    const [program, ...words] = process.geteuid?.() === 0 ? ['umount', '-l', '-i'] : ['fusermount3', '-u', '-z']
    spawnSync(program, [...words, '--', mounted.directory], { timeout: 10_000 })
    process.kill(process.pid, 'SIGKILL')
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
