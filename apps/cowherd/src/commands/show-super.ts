/**
 * `cowherd show-super`: what a device's superblock says, in the words of `bcachefs show-super`. It works on damaged, locked
 * and incomplete volumes, and on one that is in use: a superblock is always whole.
 */

import { readFileSync, statSync } from 'node:fs'
import type { Command } from 'commander'
import { copiesPassedOver, describeSuperblock, printSuperblock, SECTION_NAMES, type SectionName } from '@cowherd/db'
import { deviceNumber } from '@cowherd/shim'
import type { Context } from '../cli/context.ts'
import { CommandError, ExitCode } from '../cli/exit-code.ts'
import { examples } from '../cli/help.ts'
import { jsonText } from '../cli/json.ts'
import { readSuperblocks } from '../cli/opening.ts'
import { VOLUME_ARGUMENT } from '../cli/volume-options.ts'

interface Flags {
  readonly layout?: boolean
  readonly fields?: string
  readonly json?: boolean
}

export function registerShowSuper(program: Command, context: Context): void {
  const command = program
    .command('show-super')
    .description('print the superblock of each device')
    .argument('<volume>', VOLUME_ARGUMENT)
    .option('-l, --layout', 'with the places of its copies')
    .option('-f, --fields <fields>', 'sections to print, joined by ",", or "all" (default: members and errors)')
    .option('--json', 'print as JSON, with all sections: an object, or an array of them for several devices')
    .action((volume: string, flags: Flags) => show(context, volume, flags))
  examples(
    command,
    ['cowherd show-super disk.img', 'cowherd show-super -l -f all /dev/sdb1'],
    `Sections: ${SECTION_NAMES.join(', ')}.`,
  )
}

function show(context: Context, volume: string, { layout, fields: list, json }: Flags): void {
  const fields = list === undefined ? undefined : parseFields(list)
  const found = readSuperblocks(context, volume)
  for (const text of found.flatMap(copiesPassedOver)) context.note(text)
  if (json === true) {
    const described = found.map(({ device, superblock }) => ({
      device: device.name,
      ...describeSuperblock(superblock),
    }))
    context.out.line(jsonText(described.length === 1 ? described[0] : described, 2))
    return
  }
  found.forEach(({ device, superblock }, index) => {
    const text = printSuperblock(superblock, {
      device: modelOf(device.name),
      layout: layout === true,
      ...(fields === undefined ? {} : { fields }),
    })
    context.out.write(index === 0 ? text : `\n${text}`)
    if (!text.endsWith('\n')) context.out.write('\n') // the reference leaves it out behind labels
  })
}

function parseFields(list: string): 'all' | SectionName[] {
  if (list === 'all') return 'all'
  return list.split(',').map((name) => {
    const section = SECTION_NAMES.find((each) => each === name)
    if (section !== undefined) return section
    throw new CommandError(ExitCode.usage, `-f ${name}: no such section (there are: all, ${SECTION_NAMES.join(', ')})`)
  })
}

/** What the device is: `(reg file)`, or the model of a disk. */
function modelOf(path: string): string {
  const stat = statSync(path)
  if (!stat.isBlockDevice()) return '(reg file)'
  for (const place of ['device/model', '../device/model']) {
    try {
      return readFileSync(`/sys/dev/block/${deviceNumber(stat.rdev)}/${place}`, 'utf8').trim()
    } catch {
      // a partition has none of its own, a loop device none at all
    }
  }
  return '(unknown model)'
}
