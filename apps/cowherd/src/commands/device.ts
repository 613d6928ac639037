/** `cowherd device set-state`: changes the state of a device of a volume that nobody has open. */

import type { Command } from 'commander'
import type { Context } from '../cli/context.ts'
import { editSuperblocks } from '../cli/editing.ts'
import { examples } from '../cli/help.ts'
import { VOLUME_ARGUMENT } from '../cli/volume-options.ts'

export function registerDevice(program: Command, context: Context): void {
  const device = program.command('device').description('change the devices of a volume that is not in use')
  const command = device
    .command('set-state')
    .description('say what a device is to be used for')
    .argument('<volume>', `${VOLUME_ARGUMENT}; all of its devices`)
    .argument('<device>', 'path of one of them, or its number')
    .argument('<state>', 'rw, ro (no new data), failed, spare')
    .action((volume: string, name: string, state: string) =>
      editSuperblocks(context, volume, (edit) => edit.setState(name, state)),
    )
  examples(command, ['cowherd device set-state a.img:b.img b.img ro'])
}
