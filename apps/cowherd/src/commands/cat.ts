/** `cowherd cat`: the content of files, to standard output. */

import type { Command } from 'commander'
import type { FileSystemReader } from '@cowherd/fs'
import type { Context } from '../cli/context.ts'
import { examples } from '../cli/help.ts'
import { takesVolume, type VolumeFlags } from '../cli/volume-options.ts'
import { failureText, findFile, pathText } from '../cli/volume-path.ts'

/** Files are read in pieces of this size. */
const PIECE_BYTES = 1 << 20

export function registerCat(program: Command, context: Context): void {
  const command = takesVolume(program.command('cat').description('write the content of files to standard output'))
    .argument('<paths...>', 'paths in the volume')
    .action(async (volume: string, paths: string[], flags: VolumeFlags) => {
      const fs = await context.openFileSystem(volume, flags)
      const piece = new Uint8Array(PIECE_BYTES)
      for (const path of paths) {
        try {
          writeFile(context, fs, path, piece)
        } catch (error) {
          context.fail(failureText(path, error))
        }
      }
    })
  const remark = 'A file that can not be read to its end is written up to there, and said.'
  examples(command, ['cowherd cat disk.img /etc/fstab', 'cowherd cat disk.img backup.tar | tar -t'], remark)
}

function writeFile(context: Context, fs: FileSystemReader, path: string, piece: Uint8Array): void {
  const file = findFile(fs, path)
  const open = fs.open(file.ref, pathText(file.path))
  try {
    for (let offset = 0; offset < open.size;) {
      const length = open.read(offset, piece)
      context.out.write(piece.subarray(0, length))
      offset += length
    }
  } finally {
    open.close()
  }
}
