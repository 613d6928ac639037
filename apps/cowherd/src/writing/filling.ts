/** Fills a volume that was just made with what is in a local directory: its root becomes what that directory is. */

import type { NewDevice } from '@cowherd/db'
import type { Context } from '../cli/context.ts'
import { Interrupted } from '../cli/exit-code.ts'
import { openWritingOn } from '../cli/writing.ts'
import { copyIn } from './copying-in.ts'

export interface Filling {
  readonly passphrase: Uint8Array | undefined
  /** The local directory. */
  readonly source: string
  /** The paths of the devices. */
  readonly paths: readonly string[]
}

/** Fills the volume on `devices`. Throws Interrupted, CommandError, VolumeError. */
export async function fillVolume(
  context: Context,
  devices: readonly NewDevice[],
  { passphrase, source, paths }: Filling,
): Promise<void> {
  const stores = devices.map(({ device }) => device)
  const fs = openWritingOn(context, stores, { passphrase })
  const trees = {
    ...{ sources: [Buffer.from(source)], images: paths },
    ...{ force: false, oneFileSystem: false, mustKeep: false },
  }
  try {
    await copyIn(context, fs, trees, (copy, each) => copy.fill(each, fs.root, new Uint8Array(0), true))
  } catch (error) {
    if (error instanceof Interrupted) context.note('interrupted: the volume is made, but not everything is in it')
    throw error
  }
}
