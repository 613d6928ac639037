/**
 * The words of `cowherd format`: options of the volume, and devices, each with the options that stand before it. An option of a device
 * holds for all devices behind it, until it is given again.
 */

import { parseArgs } from 'node:util'
import { DATA_TYPES, OPTIONS, parseSize, type OptionName, type Options, type TargetName } from '@cowherd/db'
import { CommandError, ExitCode } from '../cli/exit-code.ts'

/** A device as it was asked for. */
export interface WantedDevice {
  readonly path: string
  readonly sizeBytes?: number
  readonly bucketBytes?: number
  readonly label?: string
  readonly durability?: number
  readonly discard?: boolean
  readonly dataAllowed?: number
}

/** What was asked for. */
export interface FormatWords {
  readonly devices: readonly WantedDevice[]
  readonly options: Partial<Omit<Options, 'blockSize' | 'btreeNodeSize' | TargetName>>
  readonly targets: Partial<Record<TargetName, string>>
  readonly blockBytes?: number
  readonly btreeNodeBytes?: number
  readonly superblockBytes?: number
  readonly label?: string
  readonly uuid?: Uint8Array
}

/** Options of a device: name, letter, whether it takes a value, what it is for. */
export const DEVICE_OPTIONS = [
  { name: 'label', letter: 'l', value: '<path>', text: 'disk group that the devices belong to, like ssd.fast' },
  { name: 'fs_size', value: '<size>', text: 'how much of the device is used; an image file that is not there is made' },
  { name: 'bucket', value: '<size>', text: 'size of its buckets' },
  { name: 'durability', value: '<n>', text: 'how many copies one on this device counts for: 0 to 2' },
  { name: 'data_allowed', value: '<types>', text: 'what may lie on it: journal, btree, user, joined by ","' },
  { name: 'discard', text: 'tell the device what is not needed any more' },
  { name: 'no_discard', text: 'do not' },
] as const

/** Options of the volume that are none of `OPTIONS`. */
export const VOLUME_OPTIONS = [
  { name: 'fs_label', letter: 'L', value: '<name>', text: "the filesystem's name" },
  { name: 'uuid', letter: 'U', value: '<uuid>', text: 'its uuid; a random one if left out' },
  { name: 'superblock_size', value: '<size>', text: 'room for each copy of the superblock' },
  { name: 'replicas', value: '<n>', text: 'copies of both data and metadata' },
] as const

/** Those that are no options of a volume: the command itself looks at them. */
const SWITCHES = ['encrypted', 'no_passphrase', 'no_initialize', 'force', 'quiet', 'verbose', 'help'] as const
const SWITCH_LETTERS: Readonly<Record<string, string>> = { force: 'f', quiet: 'q', verbose: 'v', help: 'h' }

const SIZED = {
  block_size: 'blockBytes',
  btree_node_size: 'btreeNodeBytes',
  superblock_size: 'superblockBytes',
} as const
const TARGETS: Readonly<Record<string, TargetName>> = {
  metadata_target: 'metadataTarget',
  foreground_target: 'foregroundTarget',
  background_target: 'backgroundTarget',
  promote_target: 'promoteTarget',
}

/** Whether an option of the volume is a yes or no: it is given as `--name` or `--no_name`. */
export function isSwitch(name: OptionName): boolean {
  return typeof OPTIONS[name].defaultValue === 'boolean'
}

/** Reads the words behind `format`. Throws CommandError, and what the options' parsers throw. */
export function parseFormatWords(words: readonly string[]): FormatWords {
  const { tokens } = parseArgs({
    args: [...words],
    options: optionsOfAll(),
    tokens: true,
    allowPositionals: true,
    strict: true,
  })
  const devices: WantedDevice[] = []
  let current: Omit<WantedDevice, 'path'> = {}
  const options: Record<string, unknown> = {}
  const result: Record<string, unknown> = {}
  const targets: Partial<Record<TargetName, string>> = {}
  for (const token of tokens) {
    if (token.kind === 'positional') devices.push({ ...current, path: token.value })
    if (token.kind !== 'option') continue
    const { name, value = '' } = token
    const ofDevice = deviceOption(name, value)
    if (ofDevice !== undefined) current = { ...current, ...ofDevice }
    else if (name in TARGETS) targets[TARGETS[name]] = value
    else if (name in SIZED) result[SIZED[name as keyof typeof SIZED]] = parseSize(name, value)
    else if (name === 'fs_label') result['label'] = value
    else if (name === 'uuid') result['uuid'] = parseUuid(value)
    else if (name === 'replicas')
      options['dataReplicas'] = options['metadataReplicas'] = parseOption('dataReplicas', value)
    else setOption(options, name, value)
  }
  return { devices, options, targets, ...result }
}

function setOption(options: Record<string, unknown>, word: string, value: string): void {
  const isNo = word.startsWith('no_')
  const key = optionNamed(isNo ? word.slice(3) : word)
  if (key !== undefined) options[key] = parseOption(key, isNo ? 'no' : value)
}

function parseOption(name: OptionName, value: string): unknown {
  return OPTIONS[name].parse(value, () => 0)
}

function optionNamed(word: string): OptionName | undefined {
  return (Object.keys(OPTIONS) as OptionName[]).find((key) => OPTIONS[key].name === word)
}

/** What an option of a device says; undefined for other options. Throws CommandError, and what `parseSize` throws. */
export function deviceOption(name: string, value: string): Omit<WantedDevice, 'path'> | undefined {
  switch (name) {
    case 'label':
      return { label: value }
    case 'fs_size':
      return { sizeBytes: parseSize(name, value) }
    case 'bucket':
      return { bucketBytes: parseSize(name, value) }
    case 'durability':
      return { durability: /^\d$/.test(value) ? Number(value) : NaN }
    case 'discard':
      return { discard: true }
    case 'no_discard':
      return { discard: false }
    case 'data_allowed':
      return { dataAllowed: value.split(',').reduce((bits, type) => bits | dataTypeBit(type), 0) }
    default:
      return undefined
  }
}

function dataTypeBit(type: string): number {
  if (!['journal', 'btree', 'user'].includes(type)) {
    throw new CommandError(ExitCode.usage, `--data_allowed: '${type}' is none of journal, btree, user`)
  }
  return 1 << DATA_TYPES.indexOf(type)
}

function parseUuid(text: string): Uint8Array {
  const hex = text.replaceAll('-', '')
  if (!/^[0-9a-f]{32}$/i.test(hex) || /^0*$/.test(hex))
    throw new CommandError(ExitCode.usage, `--uuid: '${text}' is no uuid`)
  return Uint8Array.from(hex.matchAll(/../g), ([byte]) => Number.parseInt(byte, 16))
}

interface ParseOption {
  readonly type: 'string' | 'boolean'
  readonly short?: string
}

function optionsOfAll(): Record<string, ParseOption> {
  const all: Record<string, ParseOption> = { 'passphrase-file': { type: 'string' }, source: { type: 'string' } }
  for (const option of [...DEVICE_OPTIONS, ...VOLUME_OPTIONS]) {
    const short = 'letter' in option ? { short: option.letter } : {}
    all[option.name] = { type: 'value' in option ? 'string' : 'boolean', ...short }
  }
  for (const name of SWITCHES) {
    const letter = SWITCH_LETTERS[name]
    all[name] = { type: 'boolean', ...(letter === undefined ? {} : { short: letter }) }
  }
  for (const key of Object.keys(OPTIONS) as OptionName[]) {
    const { name } = OPTIONS[key]
    all[name] = { type: isSwitch(key) ? 'boolean' : 'string' }
    if (isSwitch(key)) all[`no_${name}`] = { type: 'boolean' }
  }
  return all
}

/** `--name=1` and `--name=0` of a switch as `--name` and `--no_name`: how the reference's users may write them. */
export function withSwitches(words: readonly string[]): string[] {
  return words.map((word) => {
    const [, name, value] = /^--(\w+)=([01])$/.exec(word) ?? []
    const key = name === undefined ? undefined : optionNamed(name)
    if (key === undefined || !isSwitch(key)) return word
    return value === '1' ? `--${name}` : `--no_${name}`
  })
}
