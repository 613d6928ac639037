/** `cowherd format`: makes a new volume on image files or block devices. */

import { statSync } from 'node:fs'
import { Option, type Command } from 'commander'
import {
  makeVolume,
  OPTIONS,
  printSuperblock,
  readSuperblock,
  type NewVolumeOptions,
  type OptionName,
} from '@cowherd/db'
import { addFirstKeys } from '@cowherd/fs'
import { fillWithRandom, nativeCodecs } from '@cowherd/shim'
import { isPlain } from '../bulk/plain-volume.ts'
import type { Context } from '../cli/context.ts'
import { CommandError, ExitCode } from '../cli/exit-code.ts'
import { examples } from '../cli/help.ts'
import { findNewPassphrase } from '../cli/passphrase.ts'
import { DEVICE_OPTIONS, isSwitch, parseFormatWords, VOLUME_OPTIONS, type FormatWords } from '../format/format-words.ts'
import { openNewDevice } from '../format/new-device.ts'

interface Flags {
  readonly encrypted?: boolean
  readonly no_passphrase?: boolean
  readonly no_initialize?: boolean
  readonly source?: string
  readonly passphraseFile?: string
  readonly force?: boolean
  readonly quiet?: boolean
}

export function registerFormat(program: Command, context: Context): void {
  const command = program
    .command('format')
    .description('make a new volume on image files or block devices')
    .argument('<devices...>', 'image files or block devices')
    .usage('[options] [[device options] <device>]...')
    .action((_devices: string[], flags: Flags) => format(context, wordsOf(command), flags))
  for (const option of [...VOLUME_OPTIONS, ...DEVICE_OPTIONS]) {
    const letter = 'letter' in option ? `-${option.letter}, ` : ''
    const value = 'value' in option ? ` ${option.value}` : ''
    command.option(`${letter}--${option.name}${value}`, option.text)
  }
  for (const key of Object.keys(OPTIONS) as OptionName[]) addOption(command, key)
  command
    .option('--encrypted', 'encrypt everything (ChaCha20, Poly1305)')
    .option('--no_passphrase', 'with the key in the superblock, readable by all who have the volume')
    .option('--passphrase-file <file>', 'file with the passphrase (or set COWHERD_PASSPHRASE)')
    .option('--no_initialize', 'write the superblocks only; the first mount makes the rest')
    .option('--source <directory>', 'fill it with what is in a local directory, whose attributes its root gets')
    .option('-f, --force', 'overwrite what is on the devices')
    .option('-q, --quiet', 'print nothing but errors')
    .addOption(new Option('-v, --verbose').hideHelp())
  examples(
    command,
    [
      'cowherd format --fs_size=1G new.img',
      'cowherd format --fs_size=2G --source=/srv/www www.img',
      'cowherd format --replicas=2 --label=ssd /dev/sdb --label=hdd /dev/sdc /dev/sdd --foreground_target=ssd',
    ],
    `Sizes are bytes, or have a suffix k, M, G, T. Options of devices hold for the devices behind them. The options are those of
bcachefs format, and the volume is of version 1.13. What of the files of --source can't be kept is told, as put does.`,
  )
}

function addOption(command: Command, key: OptionName): void {
  const { name } = OPTIONS[key]
  if (isSwitch(key)) {
    command.option(`--${name}`, `set the option ${name}`)
    command.addOption(new Option(`--no_${name}`).hideHelp())
  } else command.option(`--${name} <value>`, `set the option ${name}`)
}

/** The words behind the command's name, in the order in which they were given. */
function wordsOf(command: Command): string[] {
  const words = (command.parent as (Command & { readonly rawArgs: readonly string[] }) | null)?.rawArgs ?? []
  return words.slice(words.indexOf('format') + 1)
}

async function format(context: Context, words: readonly string[], flags: Flags): Promise<void> {
  const wanted = asUsage(() => parseFormatWords(words))
  const { source } = flags
  if (source !== undefined) refuseSource(source, flags.no_initialize === true)
  const passphrase = await newPassphrase(context, flags)
  const codecs = nativeCodecs()
  const strHash = wanted.options.strHash ?? OPTIONS.strHash.defaultValue
  const devices = wanted.devices.map((device) => openNewDevice(context, device, flags.force === true))
  const paths = wanted.devices.map(({ path }) => path)
  const { devices: _devices, ...volume } = wanted
  const options: NewVolumeOptions = {
    ...{ ...volume, codecs, random: fillWithRandom, nowNs: BigInt(Date.now()) * 1_000_000n },
    ...(flags.encrypted === true ? { encryption: { passphrase } } : {}),
    ...(flags.no_initialize === true
      ? {}
      : { fill: (builder) => addFirstKeys(builder, { codecs, random: fillWithRandom, strHash }) }),
  }
  const built = (): void => {
    if (flags.quiet === true) return
    const superblock = readSuperblock(devices[0].device, codecs)
    context.out.write(printSuperblock(superblock, { device: '(reg file)', layout: false }))
    context.out.flush()
  }
  if (source !== undefined && isPlain(devices, options)) {
    const { makeFilledVolume } = await import('../bulk/filled-volume.ts')
    await makeFilledVolume(context, devices, options, { source, paths, built })
    return
  }
  makeVolume(devices, options)
  built()
  if (source === undefined) return
  const { fillVolume } = await import('../writing/filling.ts')
  await fillVolume(context, devices, { passphrase, source, paths })
}

/** Says before anything is written what can't be. */
function refuseSource(source: string, isEmpty: boolean): void {
  if (isEmpty) throw new CommandError(ExitCode.usage, 'format: --no_initialize leaves nothing that --source could fill')
  if (statSync(source, { throwIfNoEntry: false })?.isDirectory() === true) return
  throw new CommandError(ExitCode.incomplete, `${source}: no such directory`)
}

/** The passphrase of the new volume, if it has one. */
async function newPassphrase(context: Context, flags: Flags): Promise<Uint8Array | undefined> {
  if (flags.encrypted !== true || flags.no_passphrase === true) return undefined
  return findNewPassphrase({ file: flags.passphraseFile, environment: context.env['COWHERD_PASSPHRASE'] })
}

/** Words that can't be read are the user's mistake. */
function asUsage(parse: () => FormatWords): FormatWords {
  try {
    return parse()
  } catch (error) {
    if (error instanceof CommandError || !(error instanceof Error)) throw error
    throw new CommandError(ExitCode.usage, `format: ${error.message}`, { cause: error })
  }
}
