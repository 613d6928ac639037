/** `cowherd rm`: removes files, and with -r directories with all that is in them. */

import type { Command } from 'commander'
import { VolumeError } from '@cowherd/db'
import type { Context } from '../cli/context.ts'
import { Interrupted } from '../cli/exit-code.ts'
import { examples } from '../cli/help.ts'
import { takesVolumeToWrite, type VolumeFlags } from '../cli/volume-options.ts'
import { pathText } from '../cli/volume-path.ts'
import { changeFailure } from '../writing/failure.ts'
import { findPlace } from '../writing/place.ts'
import { TreeRemoval } from '../writing/tree-removal.ts'

interface Flags extends VolumeFlags {
  readonly recursive?: boolean
  readonly force?: boolean
}

export function registerRm(program: Command, context: Context): void {
  const command = takesVolumeToWrite(program.command('rm').description('remove files from a volume'))
    .argument('<paths...>', 'paths in the volume')
    .option('-r, --recursive', 'directories too, with all that is in them')
    .option('-f, --force', 'say nothing of what is not there')
    .action((volume: string, paths: string[], flags: Flags) => rm(context, volume, paths, flags))
  const remark = 'Nothing is asked. Symbolic links are removed, not what they lead to; subvolumes stay.'
  examples(command, ['cowherd rm disk.img /home/me/old.txt', 'cowherd rm -r disk.img /tmp/build /var/cache'], remark)
}

async function rm(context: Context, volume: string, paths: readonly string[], flags: Flags): Promise<void> {
  const fs = await context.openWriting(volume, flags)
  const inode = fs.newInode()
  const removal = new TreeRemoval(fs, { interruption: context.interruption, fail: (text) => context.fail(text) })
  for (const path of paths) {
    try {
      const found = findPlace(fs, path)
      fs.getattr(found.ref, inode)
      if (inode.isDirectory && flags.recursive !== true) {
        context.fail(`${pathText(found.path)}: is a directory (-r removes it with all that is in it)`)
      } else await removal.remove(found, found.ref)
    } catch (error) {
      if (error instanceof Interrupted) context.note('interrupted: not everything is removed')
      if (flags.force === true && isAbsence(error)) continue
      context.fail(changeFailure(Buffer.from(path), error))
    }
  }
}

function isAbsence(error: unknown): boolean {
  return error instanceof VolumeError && (error.code === 'ENOENT' || error.code === 'ENOTDIR')
}
