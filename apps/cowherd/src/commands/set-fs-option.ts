/** `cowherd set-fs-option`: changes options of a volume that nobody has open. */

import { Option, type Command } from 'commander'
import { OPTIONS, type OptionName } from '@cowherd/db'
import type { Context } from '../cli/context.ts'
import { editSuperblocks } from '../cli/editing.ts'
import { CommandError, ExitCode } from '../cli/exit-code.ts'
import { examples } from '../cli/help.ts'
import { VOLUME_ARGUMENT } from '../cli/volume-options.ts'
import { isSwitch } from '../format/format-words.ts'

const KEYS = Object.keys(OPTIONS) as OptionName[]

export function registerSetFsOption(program: Command, context: Context): void {
  const command = program
    .command('set-fs-option')
    .description('change options of a volume that is not in use')
    .argument('<volume>', `${VOLUME_ARGUMENT}; all of its devices`)
    .action((volume: string, flags: Readonly<Record<string, string | boolean>>) => {
      const changes = KEYS.flatMap((key): [OptionName, string][] => {
        const { name } = OPTIONS[key]
        const value = flags[`no_${name}`] === true ? 'no' : flags[name]
        return value === undefined ? [] : [[key, value === true ? 'yes' : String(value)]]
      })
      if (changes.length === 0) throw new CommandError(ExitCode.usage, 'set-fs-option: no option is given')
      return editSuperblocks(context, volume, (edit) => {
        for (const [key, value] of changes) edit.setOption(key, value)
      })
    })
  for (const key of KEYS) {
    const { name } = OPTIONS[key]
    command.option(isSwitch(key) ? `--${name}` : `--${name} <value>`, `set the option ${name}`)
    if (isSwitch(key)) command.addOption(new Option(`--no_${name}`).hideHelp())
  }
  examples(
    command,
    ['cowherd set-fs-option --data_replicas=2 --compression=zstd a.img:b.img'],
    'What is on the volume stays as it is.',
  )
}
