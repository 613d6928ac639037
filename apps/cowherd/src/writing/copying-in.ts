/** Copying local trees into a volume on behalf of a command: with its progress, its messages, and an orderly end whatever happens. */

import { statSync } from 'node:fs'
import type { WritableFileSystem } from '@cowherd/fs'
import { loadNative } from '@cowherd/shim'
import type { Context } from '../cli/context.ts'
import type { LocalFile } from './local-files.ts'
import { sizeOfTree, TreePut } from './tree-put.ts'

export interface Trees {
  readonly sources: readonly Buffer[]
  /** The paths of the volume's devices. */
  readonly images: readonly string[]
  readonly force: boolean
  readonly oneFileSystem: boolean
  /** What is not kept is a failure. */
  readonly mustKeep: boolean
}

/** Has `put` called for each source. Throws Interrupted, and CommandError when nothing more can be copied. */
export async function copyIn(
  context: Context,
  fs: WritableFileSystem,
  { sources, images, force, oneFileSystem, mustKeep }: Trees,
  put: (copy: TreePut, source: Buffer) => Promise<void>,
): Promise<void> {
  const { interruption } = context
  let size = 0
  for (const source of context.progressIsShown ? sources : []) {
    size += await sizeOfTree(source, { interruption, oneFileSystem })
  }
  const progress = context.progress(size)
  const copy = new TreePut(fs, {
    ...{ force, oneFileSystem, native: loadNative(), interruption, progress },
    isVolume: volumeTest(images),
    fail: (text) => context.fail(text),
    note: (text) => context.note(text),
  })
  try {
    for (const source of sources) await put(copy, source)
  } catch (error) {
    copy.abort()
    throw error
  } finally {
    progress.clear()
  }
  for (const line of copy.unkept.lines()) {
    if (mustKeep) context.fail(line)
    else context.note(line)
  }
}

/** Tells which local files are the volume's own images: what is copied must not come from where it goes to. */
function volumeTest(paths: readonly string[]): (file: LocalFile) => boolean {
  const images = paths.map((path) => statSync(path, { bigint: true })).filter((stat) => stat.isFile())
  return ({ dev, ino }) => images.some((image) => image.dev === dev && image.ino === ino)
}
