/** `cowherd untar`: makes the files of a tar archive, read from standard input, in a volume. */

import type { Command } from 'commander'
import type { Context } from '../cli/context.ts'
import { CommandError, ExitCode, Interrupted } from '../cli/exit-code.ts'
import { examples } from '../cli/help.ts'
import { takesVolumeToWrite, type VolumeFlags } from '../cli/volume-options.ts'
import { findFile, pathText, type NamedFile } from '../cli/volume-path.ts'
import { localIds } from '../tar/local-ids.ts'
import { TarReader } from '../tar/tar-reader.ts'
import { TarError } from '../tar/tar-source.ts'
import { Unpacker } from '../tar/unpacker.ts'
import { changeFailure } from '../writing/failure.ts'
import type { WritableFiles } from '../writing/writable-files.ts'

interface Flags extends VolumeFlags {
  readonly archive?: boolean
  readonly force?: boolean
}

export function registerUntar(program: Command, context: Context): void {
  const command = takesVolumeToWrite(
    program.command('untar').description('unpack a tar archive from standard input into a volume'),
  )
    .argument('[path]', 'directory in the volume; the root if left out', '/')
    .option('-a, --archive', 'everything must be kept: exit code 1 if something is not')
    .option('-f, --force', 'replace files that exist')
    .action((volume: string, path: string, flags: Flags) => untar(context, volume, path, flags))
  const remark = `Archives of cowherd tar, GNU tar, bsdtar, star and all that write ustar or pax: with modes, numeric owners, times, hard links,
devices, extended attributes, ACLs, files with holes. Nothing is made outside the directory; no symbolic link is followed. Directories
that exist get the attributes that the archive has for them.`
  examples(
    command,
    [
      'cowherd untar disk.img < disk.tar',
      'zstdcat home.tar.zst | cowherd untar disk.img /home',
      'ssh host tar -cS --xattrs --acls /srv | cowherd untar -a disk.img',
    ],
    remark,
  )
}

async function untar(context: Context, volume: string, path: string, flags: Flags): Promise<void> {
  if (flags.passphraseFile === '-') {
    throw new CommandError(
      ExitCode.usage,
      'untar: the archive comes from standard input; the passphrase has to come from elsewhere',
    )
  }
  const fs = await context.openWriting(volume, flags)
  const directory = directoryAt(fs, path)
  const input = context.openInput()
  const progress = context.progress(input.size)
  const tar = new TarReader(async () => {
    const bytes = await input.read()
    progress.add(bytes.length)
    return bytes
  })
  const unpacker = new Unpacker(fs, tar, directory.ref, directory.path, {
    force: flags.force === true,
    idOf: localIds(),
    interruption: context.interruption,
    fail: (text) => context.fail(text),
    note: (text) => context.note(text),
  })
  try {
    await unpacker.run()
  } catch (error) {
    unpacker.abort()
    if (error instanceof Interrupted)
      context.note(`interrupted: what is in ${pathText(directory.path)} is not complete`)
    if (!(error instanceof TarError)) throw error
    throw new CommandError(ExitCode.incomplete, error.message, { cause: error })
  } finally {
    progress.clear()
  }
  for (const line of unpacker.unkept.lines()) {
    if (flags.archive === true) context.fail(line)
    else context.note(line)
  }
}

function directoryAt(fs: WritableFiles, path: string): NamedFile {
  const inode = fs.newInode()
  try {
    const file = findFile(fs, path)
    fs.getattr(file.ref, inode)
    if (inode.isDirectory) return file
  } catch (error) {
    throw new CommandError(ExitCode.incomplete, changeFailure(Buffer.from(path), error), { cause: error })
  }
  throw new CommandError(ExitCode.incomplete, `${path}: is not a directory`)
}
