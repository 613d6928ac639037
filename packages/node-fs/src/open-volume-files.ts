/** Opening a volume, in a thread of its own. */

import { resolve } from 'node:path'
import type { OpenOptions } from '@cowherd/db'
import { EngineLink } from './engine-link.ts'
import type { EngineData } from './messages.ts'
import { VolumeFiles } from './volume-files.ts'

export interface VolumeFilesOptions {
  /** Opens the volume for writing: it is recovered if it wasn't shut down, and nobody else may have it open. Left out: not one byte is written. */
  readonly write?: boolean
  /** Of an encrypted volume; text stands for its UTF-8. */
  readonly passphrase?: string | Uint8Array
  /** Opens it although devices are missing: as long as all data may have a copy, or whatever is missing. */
  readonly missing?: NonNullable<OpenOptions['missing']>
  /** The subvolume or snapshot to show: its id, or its path from the root. */
  readonly subvolume?: number | string
  /** Bound of the cache of btree nodes, in bytes. */
  readonly cacheBytes?: number
  /** Who makes files: their owner, and what is taken from their modes. Left out: as this process would. */
  readonly caller?: { readonly uid: number; readonly gid: number; readonly umask: number }
  /** Told what is worth knowing: a damaged copy, an interrupted shutdown. */
  readonly note?: (text: string) => void
}

/**
 * Opens the volume on these files or block devices: all of its devices, in any order.
 * @throws VolumeFileError; what is the matter is told by its cause
 */
export async function openVolumeFiles(
  devices: readonly string[],
  options: VolumeFilesOptions = {},
): Promise<VolumeFiles> {
  return open(devices, options, {})
}

/**
 * Makes a file of so many bytes, with a new volume in it, and opens that for writing.
 * @throws VolumeFileError EEXIST if there is a file, ENOSPC, EINVAL if it is too small for a volume; the file is not there then
 */
export async function createVolumeFiles(
  path: string,
  sizeBytes: number,
  options: Omit<VolumeFilesOptions, 'write' | 'missing' | 'subvolume' | 'passphrase'> = {},
): Promise<VolumeFiles> {
  return open([path], { ...options, write: true }, { createBytes: sizeBytes })
}

async function open(
  devices: readonly string[],
  { write = false, passphrase, caller = thisProcess(), note = nobody, ...options }: VolumeFilesOptions,
  creation: Pick<EngineData, 'createBytes'>,
): Promise<VolumeFiles> {
  const secret = typeof passphrase === 'string' ? new TextEncoder().encode(passphrase) : passphrase
  const data: EngineData = {
    ...{ devices: devices.map((path) => resolve(path)), writes: write, caller },
    ...options,
    ...creation,
    ...(secret === undefined ? {} : { passphrase: secret }),
  }
  const engine = new EngineLink(data, note)
  await engine.untilOpen()
  return new VolumeFiles(engine)
}

function thisProcess(): { uid: number; gid: number; umask: number } {
  const umask = process.umask()
  return { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0, umask }
}

function nobody(): void {
  // is told
}
