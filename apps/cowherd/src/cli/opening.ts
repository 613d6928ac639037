/**
 * Opening what a command line names: devices, volumes, filesystems. Loaded when a command opens something, because it
 * brings the whole reader with it.
 */

import { DeviceError, type BlockDevice } from '@cowherd/shim'
import { openStore, parseVolume } from '@cowherd/store'
import type { Context } from './context.ts'
import { CommandError, ExitCode } from './exit-code.ts'

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

/** Runs `action`; what it throws about devices is the volume's failure to open. */
function opening<T>(action: () => T): T {
  try {
    return action()
  } catch (error) {
    if (error instanceof DeviceError || error instanceof RangeError) {
      throw new CommandError(ExitCode.volume, error.message, { cause: error })
    }
    throw error
  }
}
