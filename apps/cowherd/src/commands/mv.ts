/** `cowherd mv`: gives files of a volume other names, or moves them to another directory. */

import type { Command } from 'commander'
import { VolumeError } from '@cowherd/db'
import type { Context } from '../cli/context.ts'
import { CommandError, ExitCode } from '../cli/exit-code.ts'
import { examples } from '../cli/help.ts'
import { takesVolumeToWrite, type VolumeFlags } from '../cli/volume-options.ts'
import { pathText } from '../cli/volume-path.ts'
import { changeFailure } from '../writing/failure.ts'
import { destinationText, findDestination, findPlace, placeIn, type Destination } from '../writing/place.ts'
import type { WritableFiles } from '../writing/writable-files.ts'

interface Flags extends VolumeFlags {
  readonly force?: boolean
}

export function registerMv(program: Command, context: Context): void {
  const command = takesVolumeToWrite(program.command('mv').description('rename or move files in a volume'))
    .argument('<paths...>', 'paths in the volume, and last the new path')
    .usage('[options] <volume> <paths...> <new path>')
    .option('-f, --force', 'replace files that exist')
    .action(async (volume: string, words: string[], flags: Flags) => {
      const to = words.at(-1)
      const paths = words.slice(0, -1)
      if (to === undefined || paths.length === 0) {
        throw new CommandError(ExitCode.usage, 'mv: a path and a new path are needed (see cowherd mv --help)')
      }
      await mv(context, volume, paths, to, flags)
    })
  const remark = 'A new path that is a directory gets the files inside. Files stay in their subvolume.'
  examples(command, ['cowherd mv disk.img /home/me/a.txt /home/me/b.txt', 'cowherd mv disk.img /a /b /old'], remark)
}

async function mv(context: Context, volume: string, paths: readonly string[], to: string, flags: Flags): Promise<void> {
  const fs = await context.openWriting(volume, flags)
  const destination = destinationOf(fs, to)
  if (paths.length > 1 && destination.into === undefined) {
    throw new CommandError(ExitCode.incomplete, `${destinationText(destination)}: is no directory`)
  }
  for (const path of paths) {
    try {
      const from = findPlace(fs, path)
      const target = placeIn(destination, from.name)
      try {
        fs.rename(from.directory, from.name, target.directory, target.name, { noReplace: flags.force !== true })
      } catch (error) {
        if (!(error instanceof VolumeError) || error.code !== 'EEXIST') throw error
        context.fail(`${pathText(target.path)}: exists already (--force replaces it)`)
      }
    } catch (error) {
      context.fail(changeFailure(Buffer.from(path), error))
    }
  }
}

function destinationOf(fs: WritableFiles, to: string): Destination {
  try {
    return findDestination(fs, to)
  } catch (error) {
    throw new CommandError(ExitCode.incomplete, changeFailure(Buffer.from(to), error), { cause: error })
  }
}
