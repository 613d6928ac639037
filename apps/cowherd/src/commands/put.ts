/** `cowherd put`: copies local files and trees into a volume. */

import type { Command } from 'commander'
import { NodeRef } from '@cowherd/fs'
import { parseVolume } from '@cowherd/store'
import type { Context } from '../cli/context.ts'
import { CommandError, ExitCode, Interrupted } from '../cli/exit-code.ts'
import { examples } from '../cli/help.ts'
import { takesVolumeToWrite, type VolumeFlags } from '../cli/volume-options.ts'
import { thisUser } from '../writing/caller.ts'
import { copyIn } from '../writing/copying-in.ts'
import { changeFailure } from '../writing/failure.ts'
import { destinationText, findDestination, isDots, lookAt, placeIn, type Destination } from '../writing/place.ts'
import { putStream } from '../writing/stream-put.ts'
import type { WritableFiles } from '../writing/writable-files.ts'

interface Flags extends VolumeFlags {
  readonly archive?: boolean
  readonly force?: boolean
  readonly oneFileSystem?: boolean
}

const STDIN = '-'

export function registerPut(program: Command, context: Context): void {
  const command = takesVolumeToWrite(program.command('put').description('copy files and directories into a volume'))
    .argument('<sources...>', 'local paths (- is standard input), and last the path in the volume that they go to')
    .usage('[options] <volume> <sources...> <path>')
    .option('-a, --archive', 'everything must be kept: exit code 1 if something is not')
    .option('-f, --force', 'replace files that exist, and add to directories that exist')
    .option('-x, --one-file-system', 'leave out what is in directories on which something is mounted')
    .action(async (volume: string, words: string[], flags: Flags) => {
      const path = words.at(-1)
      const sources = words.slice(0, -1)
      if (path === undefined || sources.length === 0) {
        throw new CommandError(
          ExitCode.usage,
          'put: a source and a path in the volume are needed (see cowherd put --help)',
        )
      }
      if (sources.includes(STDIN) && (sources.length > 1 || flags.passphraseFile === STDIN)) {
        throw new CommandError(ExitCode.usage, 'put: - stands alone: standard input is read once')
      }
      await put(context, volume, sources, path, flags)
    })
  const remark = `A PATH that is a directory gets the copies inside; of a source that ends with /. what is in it goes there.
Kept are modes, owners, times to the nanosecond, hard links, symbolic links, devices, fifos, sockets and holes; with the package koffi
also extended attributes and ACLs. What is not kept is told.`
  examples(
    command,
    [
      'cowherd put disk.img ~/photos /home/me',
      'cowherd put -a disk.img /mnt/old/. /',
      'pg_dump db | cowherd put disk.img - /backup/db.sql',
    ],
    remark,
  )
}

async function put(
  context: Context,
  volume: string,
  sources: readonly string[],
  path: string,
  flags: Flags,
): Promise<void> {
  const fs = await context.openWriting(volume, flags)
  const destination = destinationOf(fs, path, sources.length > 1)
  try {
    if (sources[0] === STDIN) await putInput(context, fs, destination, flags)
    else await putTrees(context, fs, sources, destination, { volume, flags })
  } catch (error) {
    const text = destinationText(destination)
    if (error instanceof Interrupted) context.note(`interrupted: what is in ${text} is not complete`)
    throw error
  }
}

async function putTrees(
  context: Context,
  fs: WritableFiles,
  sources: readonly string[],
  destination: Destination,
  { volume, flags }: { readonly volume: string; readonly flags: Flags },
): Promise<void> {
  const trees = {
    sources: sources.map((source) => Buffer.from(source)),
    images: parseVolume(volume),
    force: flags.force === true,
    oneFileSystem: flags.oneFileSystem === true,
    mustKeep: flags.archive === true,
  }
  await copyIn(context, fs, trees, async (copy, source) => {
    const name = baseNameOf(source)
    const isNameless = name.length === 0 || isDots(name)
    if (isNameless && destination.into !== undefined) await copy.fill(source, destination.into, destination.path)
    else await copy.put(source, placeIn(destination, name))
  })
}

async function putInput(context: Context, fs: WritableFiles, destination: Destination, flags: Flags): Promise<void> {
  const text = destinationText(destination)
  if (destination.into !== undefined) {
    throw new CommandError(ExitCode.incomplete, `${text}: is a directory: what comes from standard input needs a name`)
  }
  const place = destination.as
  try {
    if (lookAt(fs, place) !== undefined) {
      if (flags.force !== true)
        throw new CommandError(ExitCode.incomplete, `${text}: exists already (--force replaces it)`)
      fs.unlink(place.directory, place.name)
    }
    const input = context.openInput()
    const progress = context.progress(input.size)
    await putStream(fs, place, input, { progress, note: (line) => context.note(line) })
    progress.clear()
  } catch (error) {
    context.fail(changeFailure(place.path, error))
  }
}

/** Where the copies go. Several need a directory, which is made. */
function destinationOf(fs: WritableFiles, path: string, isSeveral: boolean): Destination {
  try {
    const destination = findDestination(fs, path)
    if (!isSeveral || destination.into !== undefined) return destination
    const { directory, name, path: itsPath } = destination.as
    const into = new NodeRef()
    fs.mkdir(directory, name, 0o777, thisUser(), into, fs.newInode())
    return { into, path: itsPath }
  } catch (error) {
    throw new CommandError(ExitCode.incomplete, changeFailure(Buffer.from(path), error), { cause: error })
  }
}

/** The last name of a path, without slashes behind it. */
function baseNameOf(path: Buffer): Buffer {
  let end = path.length
  while (end > 0 && path[end - 1] === SLASH) end--
  return path.subarray(path.lastIndexOf(SLASH, end - 1) + 1, end)
}

const SLASH = 0x2f
