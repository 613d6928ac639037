/** Makes a new volume with what is in a local directory: its root becomes what that directory is. */

import { OPTIONS, VolumeInMaking, type NewDevice, type NewVolumeOptions } from '@cowherd/db'
import { NodeRef, ROOT_INODE, ROOT_SUBVOLUME, TimeScale } from '@cowherd/fs'
import { availableParallelism } from 'node:os'
import type { Context } from '../cli/context.ts'
import { EarlyWriting } from '../cli/early-writing.ts'
import { CommandError, Interrupted } from '../cli/exit-code.ts'
import { openWritingOn } from '../cli/writing.ts'
import { enterRegistry } from '../parallel/registry.ts'
import { copyTo } from '../writing/copying-in.ts'
import { VolumeFiles } from '../writing/volume-files.ts'
import { NewVolumeFiles } from './new-volume-files.ts'

export interface FilledVolume {
  /** The local directory. */
  readonly source: string
  /** The paths of the devices. */
  readonly paths: readonly string[]
  /** Told when there is a volume. */
  readonly built: () => void
  /** For tests: bytes of keys that are collected. */
  readonly keyBytesMax?: number
}

/** More are no faster: the devices take one write after the other. */
const THREADS_MAX = 3
const SECOND = 1_000_000_000n

/** Makes a volume that `isPlain`. Throws Interrupted, CommandError, and what `makeVolume` does. */
export async function makeFilledVolume(
  context: Context,
  devices: readonly NewDevice[],
  options: NewVolumeOptions,
  { source, paths, built, keyBytesMax }: FilledVolume,
): Promise<void> {
  const { codecs, random, nowNs, options: values = {} } = options
  const stores = devices.map(({ device }) => device)
  const volume = new VolumeInMaking(devices, options)
  enterRegistry()
  context.interruption.watch()
  const early = new EarlyWriting(stores)
  context.closeLater(early)
  const trees = {
    ...{ sources: [Buffer.from(source)], images: paths },
    ...{ force: false, oneFileSystem: false, mustKeep: false },
  }
  let files: NewVolumeFiles | undefined
  try {
    await copyTo(
      context,
      (unkept, targetOptions) =>
        (files = new NewVolumeFiles(
          {
            volume,
            devices: stores,
            tree: {
              ...{ codecs, random, times: new TimeScale(nowNs, 1) },
              now: { seconds: Number(nowNs / SECOND), nanoseconds: Number(nowNs % SECOND) },
              strHash: values.strHash ?? OPTIONS.strHash.defaultValue,
              acl: values.acl ?? OPTIONS.acl.defaultValue,
            },
            threads: (context.threads ?? Math.min(THREADS_MAX, availableParallelism())) - 1,
            built,
            ...(keyBytesMax === undefined ? {} : { keyBytesMax }),
            openRest: (...with_) =>
              new VolumeFiles(openWritingOn(context, stores, { passphrase: undefined }), ...with_),
          },
          unkept,
          targetOptions,
        )),
      trees,
      (copy, each) => copy.fill(each, NodeRef.of(ROOT_SUBVOLUME, 0, ROOT_INODE), new Uint8Array(0), true),
    )
    files?.finish()
  } catch (error) {
    if (error instanceof Interrupted || error instanceof CommandError) files?.finish()
    if (error instanceof Interrupted) context.note('interrupted: the volume is made, but not everything is in it')
    throw error
  } finally {
    await files?.close()
  }
}
