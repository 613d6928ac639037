/** Makes a file of what comes from standard input, all of it or none. */

import { NodeRef } from '@cowherd/fs'
import type { Input } from '../cli/input.ts'
import type { Progress } from '../cli/progress.ts'
import { thisUser } from './caller.ts'
import { removeUnfinished } from './failure.ts'
import { PieceWriter } from './piece-writer.ts'
import type { Place } from './place.ts'
import type { WritableFiles } from './writable-files.ts'

const MODE = 0o666

/** Makes the file, which must not be there. Throws VolumeError, Interrupted, and CommandError about the input. */
export async function putStream(
  fs: WritableFiles,
  place: Place,
  input: Input,
  { progress, note }: { readonly progress: Progress; readonly note: (text: string) => void },
): Promise<void> {
  const ref = new NodeRef()
  fs.create(place.directory, place.name, MODE, thisUser(), ref, fs.newInode())
  try {
    const writer = new PieceWriter(fs)
    writer.begin(ref)
    for (let bytes = await input.read(); bytes.length > 0; bytes = await input.read()) {
      writer.add(writer.end, bytes)
      progress.add(bytes.length)
    }
    writer.flush()
  } catch (error) {
    removeUnfinished(fs, place, note)
    throw error
  }
}
