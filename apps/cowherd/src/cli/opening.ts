/**
 * Opening what a command line names: devices, volumes, filesystems. Loaded when a command opens something, because it
 * brings the whole reader with it.
 */

import * as db from '@cowherd/db'
import * as fs from '@cowherd/fs'
import { DeviceError, nativeCodecs, type BlockDevice } from '@cowherd/shim'
import { openStore, parseVolume } from '@cowherd/store'
import type { Context } from './context.ts'
import { CommandError, ExitCode } from './exit-code.ts'
import { findPassphrase } from './passphrase.ts'
import { parseMountOptions, type VolumeFlags } from './volume-options.ts'

/** The devices of VOLUME, open for reading and locked unless `lock` is false. Throws CommandError (exit code 3). */
export function openDevices(context: Context, volume: string, { lock = true }: { lock?: boolean }): BlockDevice[] {
  return opening(() =>
    parseVolume(volume).map((path) => {
      const device = openStore(path, { lock, note: (text) => context.note(text) })
      context.closeLater(device)
      return device
    }),
  )
}

/** How the database opens a volume, beyond what the command line says. */
export type OpenDetails = Partial<Pick<db.OpenOptions, 'cacheBytes' | 'shared' | 'note'>>

/** The volume on the devices of VOLUME. Asks for the passphrase if it takes one. Throws CommandError (exit code 3). */
export async function openVolume(
  context: Context,
  volume: string,
  flags: VolumeFlags,
  details: OpenDetails = {},
): Promise<db.Volume> {
  const options = parseMountOptions(flags.options)
  const devices = openDevices(context, volume, { lock: !options.nolock })
  const codecs = nativeCodecs()
  const superblocks = devices.map((device) => opening(() => db.readSuperblock(device, codecs)))
  const passphrase = await passphraseFor(context, volume, superblocks, flags.passphraseFile)
  return opening(() =>
    db.openVolume(devices, {
      codecs,
      keyTypes: fs.fsKeyTypes,
      passphrase: () => passphrase,
      missing: options.veryDegraded ? 'very_degraded' : options.degraded ? 'degraded' : 'none',
      norecovery: options.norecovery,
      note: (message) => context.note(message),
      ...details,
    }),
  )
}

/**
 * The passphrase of VOLUME, for another process or thread that opens it; undefined if it takes none. Only superblocks are looked at.
 * Throws CommandError (exit code 3).
 */
export async function findPassphraseOf(
  context: Context,
  volume: string,
  file: string | undefined,
): Promise<Uint8Array | undefined> {
  const candidates = readSuperblocks(context, volume)
  for (const { device } of candidates) device.close()
  return passphraseFor(
    context,
    volume,
    candidates.map(({ superblock }) => superblock),
    file,
  )
}

/** The passphrase of a volume with these superblocks; undefined if it takes none. Throws CommandError (exit code 3). */
export async function passphraseFor(
  context: Context,
  volume: string,
  superblocks: readonly db.Superblock[],
  file: string | undefined,
): Promise<Uint8Array | undefined> {
  if (!superblocks.some((superblock) => db.needsPassphrase(superblock))) return undefined
  return findPassphrase({ file, environment: context.env['COWHERD_PASSPHRASE'] }, `Passphrase of ${volume}`)
}

/** Each device of VOLUME with its superblock; no other byte is looked at. Throws CommandError (exit code 3). */
export function readSuperblocks(context: Context, volume: string): db.Candidate[] {
  // a superblock is written in whole, and checked: there is nothing to lock out
  const devices = openDevices(context, volume, { lock: false })
  const codecs = nativeCodecs()
  return devices.map((device) => opening(() => ({ device, superblock: db.readSuperblock(device, codecs) })))
}

/** The filesystem on VOLUME. Throws CommandError (exit code 3). */
export async function openFileSystem(context: Context, volume: string, flags: VolumeFlags): Promise<fs.FileSystem> {
  return openFileSystemOn(await openVolume(context, volume, flags))
}

/** The filesystem on a volume that is open. Throws CommandError (exit code 3). */
export function openFileSystemOn(volume: db.Volume): fs.FileSystem {
  return opening(() => fs.openFileSystem(volume))
}

/** Runs `action`; what it throws about devices and volumes is the volume's failure to open. */
export function opening<T>(action: () => T): T {
  try {
    return action()
  } catch (error) {
    if (error instanceof DeviceError || error instanceof db.VolumeError) {
      throw new CommandError(ExitCode.volume, error.message, { cause: error })
    }
    throw error
  }
}
