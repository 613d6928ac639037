/** Copying local trees into a volume on behalf of a command: with its progress, its messages, and an orderly end whatever happens. */

import { statSync } from 'node:fs'
import { loadNative } from '@cowherd/shim'
import type { Context } from '../cli/context.ts'
import { Unkept, type Losses } from '../copy/unkept.ts'
import type { LocalFile } from './local-files.ts'
import { sizeOfTree, TreePut } from './tree-put.ts'
import type { TargetOptions, TreeTarget } from './tree-target.ts'
import { VolumeFiles } from './volume-files.ts'
import type { WritableFiles } from './writable-files.ts'

export interface Trees {
  readonly sources: readonly Buffer[]
  /** The paths of the volume's devices. */
  readonly images: readonly string[]
  readonly force: boolean
  readonly oneFileSystem: boolean
  /** What is not kept is a failure. */
  readonly mustKeep: boolean
}

/** Has `put` called for each source, to copy it into a volume. Throws Interrupted, and CommandError when nothing more can be copied. */
export async function copyIn(
  context: Context,
  fs: WritableFiles,
  trees: Trees,
  put: (copy: TreePut, source: Buffer) => Promise<void>,
): Promise<void> {
  await copyTo(context, (unkept, options) => new VolumeFiles(fs, unkept, options), trees, put, fs.deviceNumber)
}

/** The same to any target, which is made with what it needs; `mount`: the device number of what is mounted of it. */
export async function copyTo(
  context: Context,
  makeTarget: (unkept: Losses, options: TargetOptions) => TreeTarget,
  { sources, images, force, oneFileSystem, mustKeep }: Trees,
  put: (copy: TreePut, source: Buffer) => Promise<void>,
  mount?: bigint,
): Promise<void> {
  const { interruption } = context
  let size = 0
  for (const source of context.progressIsShown ? sources : []) {
    size += await sizeOfTree(source, { interruption, oneFileSystem })
  }
  const progress = context.progress(size)
  const unkept = new Unkept()
  const options: TargetOptions = {
    ...{ native: loadNative(), interruption, progress },
    fail: (text) => context.fail(text),
    note: (text) => context.note(text),
  }
  const isVolume = volumeTest(images, mount)
  const copy = new TreePut(makeTarget(unkept, options), unkept, { ...options, force, oneFileSystem, isVolume })
  try {
    for (const source of sources) await put(copy, source)
  } catch (error) {
    copy.abort()
    throw error
  } finally {
    progress.clear()
  }
  for (const line of unkept.lines()) {
    if (mustKeep) context.fail(line)
    else context.note(line)
  }
}

/**
 * Tells which local files are the volume's own images, or lie in it where it is mounted: what is copied must not come from where it goes to.
 */
function volumeTest(paths: readonly string[], mount: bigint | undefined): (file: LocalFile) => boolean {
  const images = paths.map((path) => statSync(path, { bigint: true })).filter((stat) => stat.isFile())
  return ({ dev, ino }) => dev === mount || images.some((image) => image.dev === dev && image.ino === ino)
}
