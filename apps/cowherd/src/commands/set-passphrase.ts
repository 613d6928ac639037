/** `cowherd set-passphrase` and `cowherd remove-passphrase`: of an encrypted volume that nobody has open. The data stay as they are. */

import type { Command } from 'commander'
import type { Context } from '../cli/context.ts'
import { editSuperblocks } from '../cli/editing.ts'
import { CommandError, ExitCode } from '../cli/exit-code.ts'
import { examples } from '../cli/help.ts'
import { findNewPassphrase, findPassphrase } from '../cli/passphrase.ts'
import { VOLUME_ARGUMENT } from '../cli/volume-options.ts'

interface Flags {
  readonly passphraseFile?: string
  readonly newPassphraseFile?: string
}

export function registerSetPassphrase(program: Command, context: Context): void {
  const command = program
    .command('set-passphrase')
    .description('give an encrypted volume that is not in use another passphrase')
    .argument('<volume>', `${VOLUME_ARGUMENT}; all of its devices`)
    .option('--passphrase-file <file>', 'file with the present passphrase (or set COWHERD_PASSPHRASE)')
    .option('--new-passphrase-file <file>', 'file with the new one (or set COWHERD_NEW_PASSPHRASE)')
    .action((volume: string, flags: Flags) =>
      change(context, volume, flags, () =>
        findNewPassphrase({ file: flags.newPassphraseFile, environment: context.env['COWHERD_NEW_PASSPHRASE'] }),
      ),
    )
  examples(command, ['cowherd set-passphrase disk.img'])
}

export function registerRemovePassphrase(program: Command, context: Context): void {
  const command = program
    .command('remove-passphrase')
    .description(
      'put the key of an encrypted volume that is not in use into its superblock, readable by all who have the volume',
    )
    .argument('<volume>', `${VOLUME_ARGUMENT}; all of its devices`)
    .option('--passphrase-file <file>', 'file with the present passphrase (or set COWHERD_PASSPHRASE)')
    .action((volume: string, flags: Flags) => change(context, volume, flags, () => Promise.resolve(undefined)))
  examples(command, ['cowherd remove-passphrase disk.img'])
}

async function change(
  context: Context,
  volume: string,
  flags: Flags,
  find: () => Promise<Uint8Array | undefined>,
): Promise<void> {
  await editSuperblocks(context, volume, async (edit) => {
    const { crypt } = edit.superblock
    if (crypt === undefined) throw new CommandError(ExitCode.incomplete, `${volume}: the volume is not encrypted`)
    const sources = { file: flags.passphraseFile, environment: context.env['COWHERD_PASSPHRASE'] }
    const old = crypt.needsPassphrase ? await findPassphrase(sources, `Passphrase of ${volume}`) : undefined
    const passphrase = await find()
    edit.setPassphrase(() => old, passphrase)
  })
}
