/**
 * Opening a volume that a mount of ours has: commands go through that mount, or are told who has it.
 *
 * Who only reads beside a mount that only reads needs no mount: both have the volume open, and nothing changes. Who asks for no lock wants the devices
 * as they lie.
 */

import { VolumeError } from '@cowherd/db'
import { findMount, isFuse } from '@cowherd/fuse'
import { parseVolume } from '@cowherd/store'
import type { Context } from '../cli/context.ts'
import { CommandError, ExitCode } from '../cli/exit-code.ts'
import { opening } from '../cli/opening.ts'
import { parseMountOptions, parseWritingOptions, type VolumeFlags } from '../cli/volume-options.ts'
import { nameOfDevice } from '../mount/run-folder.ts'
import { findVolumeMount, type FoundMount } from '../mount/volume-mount.ts'
import type { MountedFiles } from './mounted-files.ts'
import type { MountedReader } from './mounted-reader.ts'

/** The files of VOLUME through the mount that writes it; undefined if no mount does. Throws CommandError. */
export async function openMountedToRead(
  context: Context,
  volume: string,
  flags: VolumeFlags,
): Promise<MountedReader | undefined> {
  const { nolock } = parseMountOptions(flags.options)
  const mount = nolock ? undefined : await mountOf(context, volume)
  if (mount?.isWritable !== true) return undefined
  const { MountedReader } = await import('./mounted-reader.ts')
  return kept(context, () => new MountedReader(directoryOf(volume, mount), failing(context)))
}

/** The same, to be changed. Throws CommandError, also if the mount only reads. */
export async function openMountedToWrite(
  context: Context,
  volume: string,
  flags: VolumeFlags,
): Promise<MountedFiles | undefined> {
  parseWritingOptions(flags.options)
  const mount = await mountOf(context, volume)
  if (mount === undefined) return undefined
  if (!mount.isWritable) throw inUse(volume, mount, ', read only')
  const { MountedFiles } = await import('./mounted-files.ts')
  context.interruption.watch()
  return kept(context, () => new MountedFiles(directoryOf(volume, mount), failing(context)))
}

/**
 * For commands that need the devices themselves, to read them or, exclusively, to change them. Throws CommandError (exit code 3) that names the mount which is
 * in the way.
 */
export async function refuseMounted(
  context: Context,
  volume: string,
  { flags = {}, isExclusive = false }: { readonly flags?: VolumeFlags; readonly isExclusive?: boolean },
): Promise<void> {
  const mount = parseMountOptions(flags.options).nolock ? undefined : await mountOf(context, volume)
  if (mount === undefined || !(mount.isWritable || isExclusive)) return
  throw inUse(volume, mount, isExclusive ? '' : '; -o nolock reads the devices as they lie, while they change')
}

async function mountOf(context: Context, volume: string): Promise<FoundMount | undefined> {
  const paths = opening(() => parseVolume(volume))
  return findVolumeMount(paths, context.env)
}

/** Where all of the volume can be reached. Throws CommandError if it can't. */
function directoryOf(volume: string, mount: FoundMount): string {
  const { directory, subvolume } = mount
  if (subvolume !== undefined) throw inUse(volume, mount, `, but its subvolume ${subvolume} only`)
  const entry = findMount(directory)
  if (entry === undefined || !isFuse(entry, 'cowherd') || nameOfDevice(entry) !== mount.device) {
    throw inUse(volume, mount, ', where it can not be reached from here')
  }
  return directory
}

function kept<Files extends { close(): void }>(context: Context, open: () => Files): Files {
  try {
    const files = open()
    context.closeLater(files)
    return files
  } catch (error) {
    if (!(error instanceof VolumeError)) throw error
    throw new CommandError(ExitCode.volume, error.message, { cause: error })
  }
}

function failing(context: Context): { fail: (text: string) => void } {
  return { fail: (text) => context.fail(text) }
}

function inUse(volume: string, { pid, directory }: FoundMount, more: string): CommandError {
  return new CommandError(ExitCode.volume, `${volume}: in use: process ${pid} has it mounted at ${directory}${more}`)
}
