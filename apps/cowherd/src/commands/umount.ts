/** `cowherd umount`: ends a mount, and waits until its process is gone. */

import { resolve } from 'node:path'
import type { Command } from 'commander'
import { clearStale, findMount, isFuse, MountError, unmount } from '@cowherd/fuse'
import type { Context } from '../cli/context.ts'
import { CommandError, ExitCode } from '../cli/exit-code.ts'
import { examples } from '../cli/help.ts'
import { reach } from '../mount/control.ts'
import { isRunning, removeSocket, socketsOf } from '../mount/run-folder.ts'

export function registerUmount(program: Command, context: Context): void {
  const command = program
    .command('umount')
    .description('unmount a volume, and wait until its process is gone')
    .argument('<directories...>', 'where volumes are mounted')
    .option('-l, --lazy', 'take it out of sight now; it ends when nobody uses it any more, which is not waited for')
    .action(async (directories: string[], { lazy }: { lazy?: boolean }) => {
      for (const directory of directories) {
        try {
          await unmountOne(context, resolve(directory), lazy === true)
        } catch (error) {
          if (!(error instanceof MountError)) throw error
          context.fail(error.message)
        }
      }
    })
  examples(command, ['cowherd umount /mnt'], 'A mount whose process has died is cleared away.')
}

async function unmountOne(context: Context, directory: string, lazy: boolean): Promise<void> {
  const entry = findMount(directory)
  if (entry === undefined) throw new MountError('EINVAL', directory, 'not mounted')
  if (!isFuse(entry, 'cowherd')) {
    throw new CommandError(ExitCode.incomplete, `${directory}: a mount of another kind (${entry.type})`)
  }
  const sockets = socketsOf(entry, context.env)
  const peer = await reach(sockets)
  try {
    if (peer === undefined && clearStale(directory)) {
      sockets.forEach(removeSocket)
      return
    }
    await unmount(directory, { lazy })
    if (peer !== undefined && !lazy) await untilGone(peer.pid, peer.gone)
  } finally {
    peer?.close()
  }
}

/** Waits until the process has closed its end of the connection, and then until it is no more. */
async function untilGone(pid: number, closed: Promise<void>): Promise<void> {
  await closed
  for (let tries = 0; tries < 500 && isRunning(pid); tries++) await new Promise((resolve) => setTimeout(resolve, 10))
}
