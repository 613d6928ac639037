/** `cowherd get`: copies files and trees out of a volume. */

import { mkdirSync, statSync } from 'node:fs'
import type { Command } from 'commander'
import { walk, type FileSystemReader, type WalkEntry } from '@cowherd/fs'
import { loadNative } from '@cowherd/shim'
import type { Context } from '../cli/context.ts'
import { CommandError, ExitCode, Interrupted } from '../cli/exit-code.ts'
import { examples } from '../cli/help.ts'
import { sharing, type Reading, type ReadingFlags } from '../cli/reading.ts'
import { takesThreads, takesVolume } from '../cli/volume-options.ts'
import { baseName, failureText, findFile, type NamedFile } from '../cli/volume-path.ts'
import { progressShare, TreeCopy } from '../copy/tree-copy.ts'

interface Flags extends ReadingFlags {
  readonly archive?: boolean
  readonly force?: boolean
}

export function registerGet(program: Command, context: Context): void {
  const command = takesThreads(
    takesVolume(program.command('get').description('copy files and directories out of a volume')),
  )
    .argument('<paths...>', 'paths in the volume, and last the destination')
    .usage('[options] <volume> <paths...> <destination>')
    .option('-a, --archive', 'everything must be kept: exit code 1 if something is not')
    .option('-f, --force', 'replace files that exist, and add to directories that exist')
    .action(async (volume: string, words: string[], flags: Flags) => {
      const destination = words.at(-1)
      const paths = words.slice(0, -1)
      if (destination === undefined || paths.length === 0) {
        throw new CommandError(ExitCode.usage, 'get: a path and a destination are needed (see cowherd get --help)')
      }
      await get(context, await context.openReading(volume, flags), paths, destination, flags)
    })
  const remark = `A destination that is a directory gets the copies inside; the root of the volume (/) is copied onto it.
Kept are modes, times, hard links, symbolic links and holes; owners as root; with the package koffi also
extended attributes, ACLs, device nodes, fifos, sockets and the nanoseconds of times. What is not kept is told.`
  examples(command, ['cowherd get disk.img /home/me/photos ~/photos', 'cowherd get -a disk.img / /mnt/copy'], remark)
}

async function get(
  context: Context,
  reading: Reading,
  paths: readonly string[],
  destination: string,
  flags: Flags,
): Promise<void> {
  const { fs, tuning } = reading
  const { partBytes } = tuning
  const files: NamedFile[] = []
  for (const path of paths) {
    try {
      files.push(properlyNamed(fs, findFile(fs, path, { followLast: false })))
    } catch (error) {
      context.fail(failureText(path, error))
    }
  }
  if (files.length === 0) return
  const isInside = isDirectory(destination) || (paths.length > 1 && makeDirectory(destination))

  context.interruption.watch()
  const umask = process.umask(0) // files get the modes that they had
  const progress = context.progressIsShown ? context.progress(sizeOf(fs, files)) : context.progress(0)
  let failures = 0
  const force = flags.force === true
  const copy = new TreeCopy(fs, {
    ...sharing(reading, { name: 'copy', settings: { force } }),
    ...(partBytes === undefined ? {} : { partBytes }),
    force,
    native: loadNative(),
    interruption: context.interruption,
    progress,
    fail: (text) => {
      failures++
      context.fail(text)
    },
    note: (text) => context.note(text),
  })
  reading.notes.to = (text) => copy.work.noteHere(text)
  try {
    for (const file of files) {
      const name = baseName(file.path)
      const isRoot = name.length === 0
      const folder = Buffer.from(destination)
      const target = isInside && !isRoot ? Buffer.concat([folder, SLASH, name]) : folder
      await copy.copy(file, target, { merge: isRoot && isInside })
    }
  } catch (error) {
    await copy.abort()
    if (error instanceof Interrupted) context.note(`interrupted: what is in ${destination} is not complete`)
    throw error
  } finally {
    reading.notes.to = (text) => context.note(text)
    await copy.work.end()
    process.umask(umask)
    progress.clear()
    context.interruption.unwatch()
  }
  if (failures > 1) context.note(`${failures} files are not in the copy, or not whole: see above`)
  for (const line of copy.unkept.lines()) {
    if (flags.archive === true) context.fail(line)
    else context.note(line)
  }
}

const SLASH = Buffer.from('/')

/** A file named by `.` or `..` at the end is called what its directory calls it. */
function properlyNamed(fs: FileSystemReader, file: NamedFile): NamedFile {
  const name = new TextDecoder().decode(baseName(file.path))
  if (name !== '.' && name !== '..') return file
  const path = fs.pathOf(file.ref)
  if (path === undefined) throw new CommandError(ExitCode.usage, `get: ${name} has no name here; give its path`)
  return { ref: file.ref, path }
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}

function makeDirectory(path: string): boolean {
  try {
    mkdirSync(path)
    return true
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    const reason = code === 'EEXIST' ? 'is not a directory' : `can't be made (${code})`
    throw new CommandError(ExitCode.incomplete, `${path}: ${reason}`, { cause: error })
  }
}

/** How much there is to copy, for the progress bar. */
function sizeOf(fs: FileSystemReader, files: readonly NamedFile[]): number {
  let size = 0
  for (const { ref } of files) {
    const visit = ({ inode }: WalkEntry): void => void (size += progressShare(inode))
    walk(fs, { visit, fail: () => undefined }, ref) // the copy will tell
  }
  return size
}
