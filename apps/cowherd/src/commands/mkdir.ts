/** `cowherd mkdir`: makes directories. */

import { Option, type Command } from 'commander'
import { VolumeError } from '@cowherd/db'
import { NodeRef, type Caller } from '@cowherd/fs'
import type { Context } from '../cli/context.ts'
import { CommandError, ExitCode } from '../cli/exit-code.ts'
import { examples } from '../cli/help.ts'
import { takesVolumeToWrite, type VolumeFlags } from '../cli/volume-options.ts'
import { thisUser } from '../writing/caller.ts'
import { changeFailure } from '../writing/failure.ts'
import { isDots, newPlace } from '../writing/place.ts'
import type { WritableFiles } from '../writing/writable-files.ts'

interface Flags extends VolumeFlags {
  readonly parents?: boolean
  readonly mode?: number
}

const MODE = 0o777

export function registerMkdir(program: Command, context: Context): void {
  const command = takesVolumeToWrite(program.command('mkdir').description('make directories in a volume'))
    .argument('<paths...>', 'paths in the volume')
    .option('-p, --parents', 'those on the way too; what is there already is no error')
    .addOption(new Option('-m, --mode <mode>', 'permissions, in octal; as umask says if left out').argParser(parseMode))
    .action((volume: string, paths: string[], flags: Flags) => mkdir(context, volume, paths, flags))
  examples(command, ['cowherd mkdir disk.img /home/me', 'cowherd mkdir -p -m 700 disk.img /srv/private/keys'])
}

async function mkdir(context: Context, volume: string, paths: readonly string[], flags: Flags): Promise<void> {
  const fs = await context.openWriting(volume, flags)
  for (const path of paths) {
    try {
      const ref = flags.parents === true ? makeWay(fs, path) : makeDirectory(fs, path)
      if (ref !== undefined && flags.mode !== undefined) fs.setattr(ref, { mode: flags.mode }, fs.newInode())
    } catch (error) {
      context.fail(changeFailure(Buffer.from(path), error))
    }
  }
}

function makeDirectory(fs: WritableFiles, path: string): NodeRef {
  const { directory, name } = newPlace(fs, path)
  return make(fs, directory, name, thisUser())
}

/** Makes all directories on the way. Returns the last one, if that wasn't there. Throws VolumeError. */
function makeWay(fs: WritableFiles, path: string): NodeRef | undefined {
  const caller = thisUser()
  // who makes the way must be able to go on with it, whatever the umask says
  const passable = { ...caller, umask: caller.umask & ~0o300 }
  const names = Buffer.from(path)
    .toString('latin1')
    .split('/')
    .filter((name) => name !== '')
  let made: NodeRef | undefined
  for (const [i] of names.entries()) {
    const way = Buffer.from(names.slice(0, i + 1).join('/'), 'latin1')
    made = undefined
    try {
      const ref = fs.resolve(way)
      const inode = fs.newInode()
      fs.getattr(ref, inode)
      if (!inode.isDirectory) throw new VolumeError('ENOTDIR', '', 'not a directory')
    } catch (error) {
      const name = Buffer.from(names[i], 'latin1')
      if (!(error instanceof VolumeError) || error.code !== 'ENOENT' || isDots(name)) throw error
      const directory = fs.resolve(Buffer.from(names.slice(0, i).join('/'), 'latin1'))
      made = make(fs, directory, name, i === names.length - 1 ? caller : passable)
    }
  }
  return made
}

function make(fs: WritableFiles, directory: NodeRef, name: Uint8Array, caller: Caller): NodeRef {
  const ref = new NodeRef()
  fs.mkdir(directory, name, MODE, caller, ref, fs.newInode())
  return ref
}

function parseMode(text: string): number {
  if (/^[0-7]{1,4}$/.test(text)) return parseInt(text, 8)
  throw new CommandError(ExitCode.usage, `--mode ${text}: an octal number up to 7777 is wanted`)
}
