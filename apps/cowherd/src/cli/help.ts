/** The end of a command's help: examples and exit codes. */

import type { Command } from 'commander'
import { EXIT_CODE_HELP } from './exit-code.ts'

/** Ends the help of `command` with examples, each a command line, and the exit codes. */
export function examples(command: Command, lines: readonly string[], remark = ''): Command {
  const heading = lines.length === 1 ? 'Example' : 'Examples'
  const text = `\n${heading}:\n${lines.map((line) => `  $ ${line}`).join('\n')}\n`
  return command.addHelpText('after', `${text}${remark === '' ? '' : `\n${remark}\n`}\n${EXIT_CODE_HELP}`)
}
