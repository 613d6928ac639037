/** `cowherd ln`: gives a file of a volume another name, or makes a symbolic link. */

import type { Command } from 'commander'
import { NodeRef } from '@cowherd/fs'
import type { Context } from '../cli/context.ts'
import { examples } from '../cli/help.ts'
import { takesVolumeToWrite, type VolumeFlags } from '../cli/volume-options.ts'
import { baseName, pathText } from '../cli/volume-path.ts'
import { thisUser } from '../writing/caller.ts'
import { changeFailure } from '../writing/failure.ts'
import { findDestination, findPlace, lookAt, placeIn, type Place } from '../writing/place.ts'
import type { WritableFiles } from '../writing/writable-files.ts'

interface Flags extends VolumeFlags {
  readonly symbolic?: boolean
  readonly force?: boolean
}

export function registerLn(program: Command, context: Context): void {
  const command = takesVolumeToWrite(program.command('ln').description('make links in a volume'))
    .argument('<target>', 'path in the volume; of a symbolic link, what it is to say')
    .argument('<path>', 'where the link is to be; in a directory it is called as its target')
    .option('-s, --symbolic', 'a symbolic link, to whatever it may lead')
    .option('-f, --force', 'replace a file that exists')
    .action((volume: string, target: string, path: string, flags: Flags) => ln(context, volume, target, path, flags))
  examples(command, [
    'cowherd ln disk.img /bin/gzip /bin/gunzip',
    'cowherd ln -s disk.img ../lib/libx.so.1 /usr/lib/libx.so',
  ])
}

async function ln(context: Context, volume: string, target: string, path: string, flags: Flags): Promise<void> {
  const fs = await context.openWriting(volume, flags)
  let subject = target
  try {
    const existing = flags.symbolic === true ? undefined : findPlace(fs, target)
    subject = path
    const text = Buffer.from(target)
    const place = placeIn(findDestination(fs, path), existing?.name ?? baseName(text))
    if (!makeWay(context, fs, place, existing?.ref, flags)) return
    const { directory, name } = place
    if (existing === undefined) fs.symlink(directory, name, text, thisUser(), new NodeRef(), fs.newInode())
    else fs.link(existing.ref, directory, name, fs.newInode())
  } catch (error) {
    context.fail(changeFailure(Buffer.from(subject), error))
  }
}

/** Removes what is there, if that is wanted. Returns whether the link can be made. */
function makeWay(
  context: Context,
  fs: WritableFiles,
  place: Place,
  target: NodeRef | undefined,
  { force }: Flags,
): boolean {
  const there = lookAt(fs, place)
  if (there === undefined) return true
  if (force !== true || (target !== undefined && there.equals(target))) {
    context.fail(`${pathText(place.path)}: exists already${force === true ? '' : ' (--force replaces it)'}`)
    return false
  }
  fs.unlink(place.directory, place.name)
  return true
}
