/**
 * Options of an inode as the attributes that Linux makes of them: `bcachefs.NAME` for those set on the inode itself,
 * `bcachefs_effective.NAME` for all that are in force. Format chapter 5, 5.2.10 and 5.6.3.
 */

import { VolumeError, type VolumeShape } from '@cowherd/db'
import { Field } from './inode-fields.ts'
import type { Inode } from './inode.ts'

interface InodeOption {
  readonly name: string
  /** Its field; the stored value is one more than the option's, 0 where it is not set. */
  readonly field: number
  /** The option's value as text. */
  readonly text: (value: number, shape: VolumeShape) => string
  /** The value of a text, undefined if it is none. */
  readonly parse: (text: string, shape: VolumeShape) => number | undefined
}

const CHECKSUMS = ['none', 'crc32c', 'crc64', 'xxhash']
const COMPRESSIONS = ['none', 'lz4', 'gzip', 'zstd']
/** Targets: 0 is none, then devices, then groups. */
const TARGET_FIRST_DEVICE = 1
const TARGET_FIRST_GROUP = 257
const DEVICES_MAX = TARGET_FIRST_GROUP - TARGET_FIRST_DEVICE
const GROUPS_MAX = 4096
const COMPRESSION_LEVEL_MAX = 15

/** In the order of their bits in bi_fields_set. */
const OPTIONS: readonly InodeOption[] = [
  { name: 'data_checksum', field: Field.dataChecksum, text: checksumText, parse: parseChecksum },
  { name: 'compression', field: Field.compression, text: compressionText, parse: parseCompression },
  // Linux takes it for a switch here: project numbers are set in another way.
  { name: 'project', field: Field.project, text: decimal, parse: parseSwitch },
  {
    name: 'background_compression',
    field: Field.backgroundCompression,
    text: compressionText,
    parse: parseCompression,
  },
  { name: 'data_replicas', field: Field.dataReplicas, text: decimal, parse: parseReplicas },
  { name: 'promote_target', field: Field.promoteTarget, text: targetText, parse: parseTarget },
  { name: 'foreground_target', field: Field.foregroundTarget, text: targetText, parse: parseTarget },
  { name: 'background_target', field: Field.backgroundTarget, text: targetText, parse: parseTarget },
  { name: 'erasure_code', field: Field.erasureCode, text: decimal, parse: parseSwitch },
  { name: 'nocow', field: Field.nocow, text: decimal, parse: parseSwitch },
]

/** Attributes of these names are options set on the inode; those of the others can't be set. */
export const OPTION_PREFIX = 'bcachefs.'
export const EFFECTIVE_PREFIX = 'bcachefs_effective.'

/** Calls `visit` for each option attribute of `inode`, in the order in which Linux lists them. */
export function forEachOptionAttribute(
  inode: Inode,
  shape: VolumeShape,
  visit: (name: string, value: string) => void,
): void {
  for (const isEffective of [false, true]) {
    OPTIONS.forEach(({ name, field, text }, bit) => {
      const stored = inode.fields[2 * field]
      const isSet = ((inode.fieldsSet >>> bit) & 1) === 1
      if (stored === 0 || !(isEffective || isSet)) return
      visit((isEffective ? EFFECTIVE_PREFIX : OPTION_PREFIX) + name, text(stored - 1, shape))
    })
  }
}

/** A new inode has all options of its directory, and none of its own. */
export function copyOptions(inode: Inode, directory: Inode): void {
  for (const { field } of OPTIONS) inode.fields[2 * field] = directory.fields[2 * field]
}

/** Options that aren't set on the inode itself become those of its new directory. True if one is another now. Format chapter 5, 5.2.10. */
export function inheritOptions(inode: Inode, directory: Inode): boolean {
  let isChanged = false
  OPTIONS.forEach(({ field }, bit) => {
    const isOwn = ((inode.fieldsSet >>> bit) & 1) === 1
    if (isOwn || inode.fields[2 * field] === directory.fields[2 * field]) return
    inode.fields[2 * field] = directory.fields[2 * field]
    isChanged = true
  })
  return isChanged
}

/** Sets an option, called without a prefix, on the inode. Throws VolumeError EINVAL for one that there isn't, or a value that it can't have. */
export function setOption(inode: Inode, name: string, text: string, shape: VolumeShape): void {
  const { bit, field, parse } = optionOf(name)
  const value = parse(text, shape)
  if (value === undefined) throw new VolumeError('EINVAL', OPTION_PREFIX + name, `can't be ${text}`)
  inode.fields[2 * field] = value + 1
  inode.fields[2 * Field.fieldsSet] |= 1 << bit
}

/** Lets the option be that of the directory that holds the inode's name, if there is one. False if it wasn't set. Throws as `setOption`. */
export function clearOption(inode: Inode, name: string, directory: Inode | undefined): boolean {
  const { bit, field } = optionOf(name)
  const isSet = ((inode.fieldsSet >>> bit) & 1) === 1
  if (!isSet) return false
  inode.fields[2 * Field.fieldsSet] &= ~(1 << bit)
  inode.fields[2 * field] = directory?.fields[2 * field] ?? 0
  return true
}

/** Whether a change of the option makes work for the background: data that lies there already. Format chapter 5, 5.6.3. */
export function wantsRebalance(name: string): boolean {
  return name === 'background_target' || name === 'background_compression' || name === 'compression'
}

function optionOf(name: string): InodeOption & { readonly bit: number } {
  const bit = OPTIONS.findIndex((option) => option.name === name)
  if (bit < 0) throw new VolumeError('EINVAL', OPTION_PREFIX + name, 'there is no such option of a file')
  return { ...OPTIONS[bit], bit }
}

function decimal(value: number): string {
  return `${value}`
}

function parseSwitch(text: string): number | undefined {
  return text === '0' || text === '1' ? Number(text) : undefined
}

function parseReplicas(text: string): number | undefined {
  return /^[1-3]$/.test(text) ? Number(text) : undefined
}

function checksumText(value: number): string {
  return CHECKSUMS[value] ?? `${value}`
}

function parseChecksum(text: string): number | undefined {
  const value = CHECKSUMS.indexOf(text)
  return value < 0 ? undefined : value
}

function parseCompression(text: string): number | undefined {
  const [, name, level = '0'] = /^(\w+)(?::(\d+))?$/.exec(text) ?? []
  const type = COMPRESSIONS.indexOf(name ?? '')
  const isPossible = type >= 0 && Number(level) <= COMPRESSION_LEVEL_MAX && (type > 0 || Number(level) === 0)
  return isPossible ? type | (Number(level) << 4) : undefined
}

function compressionText(value: number): string {
  const level = value >>> 4
  return (COMPRESSIONS[value & 0xf] ?? `${value & 0xf}`) + (level === 0 ? '' : `:${level}`)
}

/** By what `targetText` says: there is no other name that all agree on. */
function parseTarget(text: string, shape: VolumeShape): number | undefined {
  if (text === 'none') return 0
  for (let device = 0; device < DEVICES_MAX; device++) {
    const target = TARGET_FIRST_DEVICE + device
    if (shape.member(device) !== undefined && targetText(target, shape) === text) return target
  }
  for (let group = 0; group < GROUPS_MAX; group++) {
    if (shape.groupPath(group) === text) return TARGET_FIRST_GROUP + group
  }
  return undefined
}

function targetText(value: number, shape: VolumeShape): string {
  if (value < TARGET_FIRST_DEVICE) return 'none'
  if (value < TARGET_FIRST_GROUP) {
    const device = value - TARGET_FIRST_DEVICE
    return shape.deviceName?.(device) ?? `device ${device}`
  }
  return shape.groupPath(value - TARGET_FIRST_GROUP) ?? `group ${value - TARGET_FIRST_GROUP}`
}
