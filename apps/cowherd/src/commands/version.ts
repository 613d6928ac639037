/** `cowherd version`: which version this is, and of what it reads. */

import type { Command } from 'commander'
import type { Context } from '../cli/context.ts'
import { jsonText } from '../cli/json.ts'
import { examples } from '../cli/help.ts'
import { packageVersion } from '../cli/package-version.ts'

export function registerVersion(program: Command, context: Context): void {
  const command = program
    .command('version')
    .description('print the version')
    .option('--json', 'print as JSON')
    .action(({ json }: { json?: boolean }) => {
      const version = packageVersion()
      const { platform, arch } = process
      if (json === true) context.out.line(jsonText({ version, node: process.versions.node, platform, arch }))
      else context.out.line(`cowherd ${version}`)
    })
  examples(command, ['cowherd version'])
}
