/** `cowherd debug`: what a running mount is doing. */

import { resolve } from 'node:path'
import type { Command } from 'commander'
import { findMount, isFuse, MountError, type MountEntry } from '@cowherd/fuse'
import type { Inspection } from '@cowherd/mount'
import type { Context } from '../cli/context.ts'
import { CommandError, ExitCode } from '../cli/exit-code.ts'
import { examples } from '../cli/help.ts'
import { jsonText } from '../cli/json.ts'
import { reach } from '../mount/control.ts'
import { inspectionText } from '../mount/inspection-text.ts'
import type { KeptMessage } from '../mount/messages.ts'
import { socketsOf } from '../mount/run-folder.ts'

export function registerDebug(program: Command, context: Context): void {
  const command = program
    .command('debug')
    .description('print what a running mount is doing: open requests, caches, counters, latencies, last messages')
    .argument('<directory>', 'where the volume is mounted')
    .option('--json', 'print as JSON')
    .action((directory: string, { json }: { json?: boolean }) => debug(context, resolve(directory), json === true))
  examples(command, ['cowherd debug /mnt'], 'The signal SIGUSR2 has a mount write the same into its log.')
}

async function debug(context: Context, directory: string, json: boolean): Promise<void> {
  const entry = mountOn(directory)
  if (entry === undefined || !isFuse(entry, 'cowherd'))
    throw new CommandError(ExitCode.incomplete, `${directory}: no volume is mounted there`)
  const peer = await reach(socketsOf(entry, context.env))
  if (peer === undefined) throw new CommandError(ExitCode.incomplete, `${directory}: its process does not answer`)
  try {
    const inspection = (await peer.ask('inspect')) as Inspection & { messages: KeptMessage[] }
    context.out.line(json ? jsonText(inspection, 2) : inspectionText(inspection, inspection.messages))
  } finally {
    peer.close()
  }
}

function mountOn(directory: string): MountEntry | undefined {
  try {
    return findMount(directory)
  } catch (error) {
    if (!(error instanceof MountError)) throw error
    throw new CommandError(ExitCode.incomplete, error.message, { cause: error })
  }
}
