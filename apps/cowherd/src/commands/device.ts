/** `cowherd device`: changes the devices of a volume that nobody has open. */

import { randomFillSync } from 'node:crypto'
import type { Command } from 'commander'
import { addDevice, parseSize, readSuperblock, resizeDevice, type ChangeOptions } from '@cowherd/db'
import { fsDatabaseParts } from '@cowherd/fs'
import { humanSize } from '@cowherd/kernel-lib'
import { nativeCodecs, type WritableBlockDevice } from '@cowherd/shim'
import { openWritableStore, parseVolume } from '@cowherd/store'
import type { Context } from '../cli/context.ts'
import { editSuperblocks } from '../cli/editing.ts'
import { refuseMounted } from '../mounted/opening.ts'
import { CommandError, ExitCode } from '../cli/exit-code.ts'
import { examples } from '../cli/help.ts'
import { opening, passphraseFor } from '../cli/opening.ts'
import { VOLUME_ARGUMENT } from '../cli/volume-options.ts'
import { DEVICE_OPTIONS, deviceOption, type WantedDevice } from '../format/format-words.ts'
import { openNewDevice } from '../format/new-device.ts'

interface AddFlags {
  readonly force?: boolean
  readonly quiet?: boolean
  readonly passphraseFile?: string
  /** Those of `DEVICE_OPTIONS`. */
  readonly [option: string]: string | boolean | undefined
}

interface ResizeFlags {
  readonly quiet?: boolean
  readonly passphraseFile?: string
}

export function registerDevice(program: Command, context: Context): void {
  const device = program.command('device').description('change the devices of a volume that is not in use')
  registerAdd(device, context)
  registerResize(device, context)
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

function registerAdd(device: Command, context: Context): void {
  const command = device
    .command('add')
    .description('add an image file or block device to a volume')
    .argument('<volume>', `${VOLUME_ARGUMENT}; all of its devices`)
    .argument('<device>', 'the new one')
    .action((volume: string, path: string, flags: AddFlags) => add(context, volume, path, flags))
  for (const option of DEVICE_OPTIONS) {
    const letter = 'letter' in option ? `-${option.letter}, ` : ''
    const value = 'value' in option ? ` ${option.value}` : ''
    if (!option.name.startsWith('no_')) command.option(`${letter}--${option.name}${value}`, option.text)
  }
  takesRest(command).option('-f, --force', 'overwrite what is on it')
  examples(
    command,
    ['cowherd device add volume.img more.img', 'cowherd device add --label=hdd.slow /dev/sdb:/dev/sdc /dev/sdd'],
    `The volume is the two of them from then on: volume.img:more.img. If it is interrupted, it is as it was, or with the new device.
Sizes are bytes, or have a suffix k, M, G, T.`,
  )
}

function registerResize(device: Command, context: Context): void {
  const command = device
    .command('resize')
    .description('use all of a device that has become larger, or more of it')
    .argument('<volume>', `${VOLUME_ARGUMENT}; all of its devices`)
    .argument('<device>', 'path of one of them, or its number')
    .argument('[size]', 'how much of it is used; all if left out')
    .action((volume: string, name: string, size: string | undefined, flags: ResizeFlags) =>
      resize(context, volume, name, size, flags),
    )
  takesRest(command)
  examples(command, ['truncate -s 2G volume.img', 'cowherd device resize volume.img volume.img'])
}

function takesRest(command: Command): Command {
  return command
    .option('--passphrase-file <file>', 'file with the passphrase (or set COWHERD_PASSPHRASE)')
    .option('-q, --quiet', 'print nothing but errors')
}

async function add(context: Context, volume: string, path: string, flags: AddFlags): Promise<void> {
  const wanted: WantedDevice = asUsage('device add', () =>
    DEVICE_OPTIONS.reduce(
      (all, { name }) => {
        const value = flags[name]
        return value === undefined ? all : { ...all, ...deviceOption(name, typeof value === 'string' ? value : '') }
      },
      { path },
    ),
  )
  const { devices, options } = await openToChange(context, volume, flags.passphraseFile)
  const added = openNewDevice(context, wanted, flags.force === true)
  const index = addDevice(devices, added, options)
  const { bucketCount, bucketSectors } = readSuperblock(added.device, options.codecs).members[index]
  if (flags.quiet === true) return
  context.out.line(`${path}: device ${index}, ${bucketCount} buckets of ${humanSize(bucketSectors * 512)}`)
}

async function resize(
  context: Context,
  volume: string,
  name: string,
  size: string | undefined,
  flags: ResizeFlags,
): Promise<void> {
  const sizeBytes = size === undefined ? undefined : asUsage('device resize', () => parseSize('size', size))
  const { devices, options } = await openToChange(context, volume, flags.passphraseFile)
  const { index, before, after } = resizeDevice(devices, name, sizeBytes, options)
  if (flags.quiet === true) return
  const change = before === after ? `${after} buckets, as before` : `${after} buckets, before ${before}`
  context.out.line(`device ${index}: ${change}`)
}

/** All devices of VOLUME, exclusively. Throws CommandError (exit code 3). */
async function openToChange(
  context: Context,
  volume: string,
  passphraseFile: string | undefined,
): Promise<{ devices: WritableBlockDevice[]; options: ChangeOptions }> {
  await refuseMounted(context, volume, { isExclusive: true })
  const devices = opening(() =>
    parseVolume(volume).map((path) => {
      const device = openWritableStore(path, { note: (text: string) => context.note(text) })
      context.closeLater(device)
      return device
    }),
  )
  const codecs = nativeCodecs()
  const superblocks = devices.map((device) => opening(() => readSuperblock(device, codecs)))
  const passphrase = await passphraseFor(context, volume, superblocks, passphraseFile)
  const options = {
    ...{ ...fsDatabaseParts, codecs, passphrase: () => passphrase },
    random: (bytes: Uint8Array) => void randomFillSync(bytes),
    note: (message: string) => context.note(message),
  }
  return { devices, options }
}

/** Words that can't be read are the user's mistake. */
function asUsage<T>(command: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    if (error instanceof CommandError || !(error instanceof Error)) throw error
    throw new CommandError(ExitCode.usage, `${command}: ${error.message}`, { cause: error })
  }
}
