/**
 * Opening a volume for commands that change files: all its devices, exclusively, with recovery if it wasn't shut down. It is shut down when the
 * command has ended, whichever way.
 */

import * as db from '@cowherd/db'
import { openWritableFileSystem, type WritableFileSystem } from '@cowherd/fs'
import { fillWithRandom, nativeCodecs, type WritableBlockDevice } from '@cowherd/shim'
import { openWritableStore, parseVolume } from '@cowherd/store'
import type { Context } from './context.ts'
import { EarlyWriting } from './early-writing.ts'
import { opening, passphraseFor } from './opening.ts'
import { parseWritingOptions, type VolumeFlags } from './volume-options.ts'

/** Bound of the node cache: as much as reading takes, and what is changed lies in it at several times its size. */
const CACHE_BYTES = 128 << 20

/** The filesystem on VOLUME. Asks for the passphrase if it takes one. Throws CommandError (exit code 3). */
export async function openWriting(context: Context, volume: string, flags: VolumeFlags): Promise<WritableFileSystem> {
  const options = parseWritingOptions(flags.options)
  const devices = opening(() =>
    parseVolume(volume).map((path) => {
      const device = openWritableStore(path, { note: (text: string) => context.note(text) })
      context.closeLater(device)
      return device
    }),
  )
  const codecs = nativeCodecs()
  const superblocks = devices.map((device) => opening(() => db.readSuperblock(device, codecs)))
  const passphrase = await passphraseFor(context, volume, superblocks, flags.passphraseFile)
  const missing = options.veryDegraded ? 'very_degraded' : options.degraded ? 'degraded' : 'none'
  return openWritingOn(context, devices, { passphrase, missing })
}

export interface WritingDetails {
  readonly passphrase: Uint8Array | undefined
  readonly missing?: 'none' | 'degraded' | 'very_degraded'
}

/** The filesystem on devices that are open for writing. Throws CommandError (exit code 3). */
export function openWritingOn(
  context: Context,
  devices: readonly WritableBlockDevice[],
  { passphrase, missing = 'none' }: WritingDetails,
): WritableFileSystem {
  context.interruption.watch()
  const fs = opening(() =>
    openWritableFileSystem(devices, {
      codecs: nativeCodecs(),
      random: fillWithRandom,
      passphrase: () => passphrase,
      missing,
      cacheBytes: CACHE_BYTES,
      note: (message) => context.note(message),
    }),
  )
  context.closeLater(fs)
  context.closeLater(new EarlyWriting(devices))
  return fs
}
