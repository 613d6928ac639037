/** Opening a volume for changing its superblocks: all its devices, exclusively. */

import { SuperblockEdit } from '@cowherd/db'
import { nativeCodecs } from '@cowherd/shim'
import { openWritableStore, parseVolume } from '@cowherd/store'
import { refuseMounted } from '../mounted/opening.ts'
import type { Context } from './context.ts'

/** Runs `change`, and writes what it changed. Throws DeviceError and VolumeError. */
export async function editSuperblocks(
  context: Context,
  volume: string,
  change: (edit: SuperblockEdit) => void | Promise<void>,
): Promise<void> {
  await refuseMounted(context, volume, { isExclusive: true })
  const devices = parseVolume(volume).map((path) => {
    const device = openWritableStore(path, { note: (text: string) => context.note(text) })
    context.closeLater(device)
    return device
  })
  const edit = new SuperblockEdit(devices, nativeCodecs())
  await change(edit)
  edit.write(BigInt(Math.floor(Date.now() / 1000)))
}
