/** Opening a device that is going to be one of a volume: an image file or block device, or an image that is made. */

import { closeSync, existsSync, ftruncateSync, openSync } from 'node:fs'
import type { NewDevice } from '@cowherd/db'
import type { WritableBlockDevice } from '@cowherd/shim'
import { findSignature, openWritableStore, physicalBlockBytes } from '@cowherd/store'
import type { Context } from '../cli/context.ts'
import { CommandError, ExitCode } from '../cli/exit-code.ts'
import type { WantedDevice } from './format-words.ts'

/** Opens a device for writing, and refuses one that holds something, unless that may go. */
export function openNewDevice(context: Context, wanted: WantedDevice, force: boolean): NewDevice {
  const { path, ...options } = wanted
  const isNew = options.sizeBytes !== undefined && !existsSync(path)
  if (isNew) makeImage(path, options.sizeBytes)
  const device = openWritableStore(path, { note: (text: string) => context.note(text) })
  context.closeLater(device)
  if (!force && !isNew) refuseUsed(device)
  return { ...options, device, blockBytes: Math.max(512, Math.min(4096, physicalBlockBytes(path))) }
}

function refuseUsed(device: WritableBlockDevice): void {
  const found = findSignature(device)
  if (found === undefined) return
  throw new CommandError(ExitCode.incomplete, `${device.name}: holds ${found} already (--force overwrites it)`)
}

function makeImage(path: string, sizeBytes = 0): void {
  const file = openSync(path, 'wx')
  try {
    ftruncateSync(file, sizeBytes)
  } finally {
    closeSync(file)
  }
}
