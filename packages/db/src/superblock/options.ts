/**
 * The options that a superblock stores: one table, in the order in which they are printed. Reading, defaults, validation
 * and printing derive from it. Most lie in bit ranges of the superblock's flag words. Format chapter 1, 3.5 and 3.6.
 */

import { humanSize } from '@cowherd/kernel-lib'
import { bitRange, getBits, putBits, type BitRange } from './flags.ts'
import { Malformed } from './malformed.ts'
import type { Superblock } from './superblock.ts'
import { targetText } from './targets.ts'
import { version } from './versions.ts'

/** Options lie in the seven flag words; the block size counts as an eighth. */
export const BLOCK_SIZE_WORD = 7

/** One option. */
export interface Option<T> {
  /** The format's name, as used by `show-super` and mount options. */
  readonly name: string
  /** Where it is stored. */
  readonly ranges: readonly BitRange[]
  /** What a new volume has. */
  readonly defaultValue: T
  /** Takes the value from the words. Throws Malformed if it isn't valid. */
  read(words: readonly bigint[]): T
  /** Puts a value into the words. Throws Malformed if it isn't valid. */
  store(words: bigint[], value: T): void
  /** A value as users write it. `target` finds the number of a device or label. Throws Malformed. */
  parse(text: string, target: (name: string) => number): T
  /** As `show-super` prints it. */
  print(value: T, superblock: Superblock): string
}

export type Compression = 'none' | 'lz4' | 'gzip' | 'zstd'

const ERROR_ACTIONS = ['continue', 'fix_safe', 'panic', 'ro'] as const
const CHECKSUMS = ['none', 'crc32c', 'crc64', 'xxhash'] as const
const STRING_HASHES = ['crc32c', 'crc64', 'siphash'] as const
const COMPRESSIONS = ['none', 'lz4', 'gzip', 'zstd'] as const satisfies readonly Compression[]
const VERSION_UPGRADES = ['compatible', 'incompatible', 'none'] as const

const DELAY_MAX_MS = 2 ** 32 - 1

/** All options by name, in the order of printing. Sizes are in bytes, delays in ms, targets as stored (`targets.ts`). */
export const OPTIONS = {
  blockSize: size('block_size', bitRange(BLOCK_SIZE_WORD, 0, 16), 4096, { min: 512, max: 65536, powerOfTwo: true }),
  btreeNodeSize: size('btree_node_size', bitRange(0, 12, 28), 262144, { min: 512, max: 1048576, powerOfTwo: true }),
  errors: choice('errors', bitRange(0, 8, 12), ERROR_ACTIONS, 'fix_safe'),
  metadataReplicas: count('metadata_replicas', bitRange(0, 48, 52), 1, { min: 1, max: 4 }),
  dataReplicas: count('data_replicas', bitRange(0, 52, 56), 1, { min: 1, max: 4 }),
  metadataReplicasRequired: count('metadata_replicas_required', bitRange(1, 20, 24), 1, { min: 1, max: 4 }),
  dataReplicasRequired: count('data_replicas_required', bitRange(1, 24, 28), 1, { min: 1, max: 4 }),
  encodedExtentMax: logSize('encoded_extent_max', bitRange(1, 14, 20), 65536, { min: 4096, max: 2097152 }),
  metadataChecksum: choice('metadata_checksum', bitRange(0, 40, 44), CHECKSUMS, 'crc32c'),
  dataChecksum: choice('data_checksum', bitRange(0, 44, 48), CHECKSUMS, 'crc32c'),
  compression: compression('compression', bitRange(1, 4, 8), bitRange(4, 56, 60)),
  backgroundCompression: compression('background_compression', bitRange(2, 0, 4), bitRange(4, 60, 64)),
  strHash: choice('str_hash', bitRange(1, 0, 4), STRING_HASHES, 'siphash'),
  metadataTarget: target('metadata_target', bitRange(3, 16, 28)),
  foregroundTarget: target('foreground_target', bitRange(1, 40, 52)),
  backgroundTarget: target('background_target', bitRange(1, 52, 64)),
  promoteTarget: target('promote_target', bitRange(1, 28, 40)),
  erasureCode: bool('erasure_code', bitRange(3, 0, 16), false),
  inodes32bit: bool('inodes_32bit', bitRange(1, 8, 9), true),
  shardInodeNumbers: bool('shard_inode_numbers', bitRange(3, 28, 29), true),
  inodesUseKeyCache: bool('inodes_use_key_cache', bitRange(3, 29, 30), true),
  gcReservePercent: count('gc_reserve_percent', bitRange(0, 28, 33), 8, { min: 5, max: 21 }),
  gcReserveBytes: size('gc_reserve_bytes', bitRange(2, 4, 64), 0, { min: 0, max: Infinity, powerOfTwo: false }),
  rootReservePercent: count('root_reserve_percent', bitRange(0, 33, 40), 0, { min: 0, max: 100 }),
  wideMacs: bool('wide_macs', bitRange(1, 9, 10), false),
  promoteWholeExtents: bool('promote_whole_extents', bitRange(0, 63, 64), true),
  acl: bool('acl', bitRange(0, 56, 57), true),
  usrquota: bool('usrquota', bitRange(0, 57, 58), false),
  grpquota: bool('grpquota', bitRange(0, 58, 59), false),
  prjquota: bool('prjquota', bitRange(0, 59, 60), false),
  journalFlushDelay: count('journal_flush_delay', bitRange(3, 30, 62), 1000, { min: 1, max: DELAY_MAX_MS }),
  journalFlushDisabled: bool('journal_flush_disabled', bitRange(3, 62, 63), false),
  journalReclaimDelay: count('journal_reclaim_delay', bitRange(4, 0, 32), 100, { min: 0, max: DELAY_MAX_MS }),
  journalTransactionNames: bool('journal_transaction_names', bitRange(4, 32, 33), true),
  allocatorStuckTimeout: count('allocator_stuck_timeout', bitRange(5, 16, 32), 30, { min: 0, max: 65535 }), // seconds
  versionUpgrade: choice('version_upgrade', bitRange(4, 54, 56), VERSION_UPGRADES, 'compatible'),
  nocow: bool('nocow', bitRange(4, 33, 34), false),
}

export type OptionName = keyof typeof OPTIONS
/** The value type of each option. */
export type Options = {
  readonly [K in OptionName]: (typeof OPTIONS)[K] extends Option<infer T> ? T : never
}

/**
 * The effective values of all options. `flags` are the superblock's seven flag words, `blockSize` is in sectors.
 * Values that old versions left zero are replaced by what they stand for. Throws Malformed for an invalid one.
 */
export function readOptions(flags: readonly bigint[], blockSize: number, formatVersion: number): Options {
  const words = [...flags, BigInt(blockSize)]
  fillDefaults(words, formatVersion)
  return Object.fromEntries(
    Object.entries(OPTIONS).map(([key, option]) => [key, option.read(words)]),
  ) as unknown as Options
}

/** One line for each option, `[name, value]`, in the order of the table. */
export function printOptions(superblock: Superblock): [name: string, value: string][] {
  const keys = Object.keys(OPTIONS) as OptionName[]
  return keys.map((key) => [OPTIONS[key].name, printOption(key, superblock)])
}

function printOption<K extends OptionName>(key: K, superblock: Superblock): string {
  const option = OPTIONS[key] as unknown as Option<Options[K]>
  return option.print(superblock.options[key], superblock)
}

function fillDefaults(words: bigint[], formatVersion: number): void {
  replaceZero(words, OPTIONS.journalFlushDelay, 1000n)
  replaceZero(words, OPTIONS.journalReclaimDelay, 1000n)
  if (formatVersion <= version(1, 9)) {
    replaceZero(words, OPTIONS.allocatorStuckTimeout, 30n)
    replaceZero(words, OPTIONS.promoteWholeExtents, 1n)
  }
}

function replaceZero(words: bigint[], option: { readonly ranges: readonly BitRange[] }, value: bigint): void {
  const range = option.ranges[0]
  if (getBits(words, range) === 0n) words[range.word] |= value << BigInt(range.from)
}

interface Limits {
  readonly min: number
  /** Exclusive. */
  readonly max: number
}

function checkLimits(name: string, value: number, { min, max }: Limits, text: (value: number) => string): void {
  if (value < min) throw new Malformed(`option ${name} is ${text(value)}, below ${text(min)}`)
  if (value >= max) throw new Malformed(`option ${name} is ${text(value)}, not below ${text(max)}`)
}

function bool(name: string, range: BitRange, defaultValue: boolean): Option<boolean> {
  return {
    name,
    ranges: [range],
    defaultValue,
    read: (words) => {
      const value = Number(getBits(words, range))
      checkLimits(name, value, { min: 0, max: 2 }, String)
      return value === 1
    },
    store: (words, value) => putBits(words, range, value ? 1n : 0n),
    parse: (text) => {
      const value = BOOLEANS[text.toLowerCase()]
      if (value === undefined) throw new Malformed(`option ${name}: '${text}' is neither yes nor no`)
      return value
    },
    print: (value) => (value ? '1' : '0'),
  }
}

function count(name: string, range: BitRange, defaultValue: number, limits: Limits): Option<number> {
  return {
    name,
    ranges: [range],
    defaultValue,
    read: (words) => {
      const value = Number(getBits(words, range))
      checkLimits(name, value, limits, String)
      return value
    },
    store: (words, value) => {
      checkLimits(name, value, limits, String)
      putBits(words, range, BigInt(value))
    },
    parse: (text) => {
      if (!/^\d+$/.test(text)) throw new Malformed(`option ${name}: '${text}' is no number`)
      return Number(text)
    },
    print: String,
  }
}

/** A size in bytes, stored in sectors. */
function size(
  name: string,
  range: BitRange,
  defaultValue: number,
  limits: Limits & { readonly powerOfTwo: boolean },
): Option<number> {
  return {
    name,
    ranges: [range],
    defaultValue,
    read: (words) => {
      const value = Number(BigInt.asUintN(64, getBits(words, range) << 9n))
      checkSize(name, value, limits)
      return value
    },
    store: (words, value) => {
      checkSize(name, value, limits)
      putBits(words, range, BigInt(value / 512))
    },
    parse: (text) => parseSize(name, text),
    print: (value) => humanSize(value),
  }
}

/** A size in bytes, stored as the logarithm of its sectors. */
function logSize(name: string, range: BitRange, defaultValue: number, limits: Limits): Option<number> {
  return {
    name,
    ranges: [range],
    defaultValue,
    read: (words) => {
      const value = 2 ** Number(getBits(words, range)) * 512
      checkLimits(name, value, limits, humanSize)
      return value
    },
    store: (words, value) => {
      checkSize(name, value, { ...limits, powerOfTwo: true })
      putBits(words, range, BigInt(Math.log2(value / 512)))
    },
    parse: (text) => parseSize(name, text),
    print: (value) => humanSize(value),
  }
}

/** One of several named values, stored by number. */
function choice<const T extends string>(
  name: string,
  range: BitRange,
  values: readonly T[],
  defaultValue: NoInfer<T>,
): Option<T> {
  return {
    name,
    ranges: [range],
    defaultValue,
    read: (words) => named(name, values, getBits(words, range)),
    store: (words, value) => putBits(words, range, BigInt(values.indexOf(value))),
    parse: (text) => oneOf(name, values, text),
    print: (value) => values.map((each) => (each === value ? `[${each}] ` : `${each} `)).join(''),
  }
}

/** A compression type with a level (0 = that type's default), which lie apart. */
function compression(
  name: string,
  typeRange: BitRange,
  levelRange: BitRange,
): Option<{ readonly type: Compression; readonly level: number }> {
  return {
    name,
    ranges: [typeRange, levelRange],
    defaultValue: { type: 'none', level: 0 },
    read: (words) => {
      const type = named(name, COMPRESSIONS, getBits(words, typeRange))
      const level = Number(getBits(words, levelRange))
      if (type === 'none' && level !== 0) throw new Malformed(`option ${name} is none, with level ${level}`)
      return { type, level }
    },
    store: (words, { type, level }) => {
      if (type === 'none' && level !== 0) throw new Malformed(`option ${name} is none, with level ${level}`)
      if (!(level >= 0 && level <= COMPRESSION_LEVEL_MAX)) throw new Malformed(`option ${name} has level ${level}`)
      putBits(words, typeRange, BigInt(COMPRESSIONS.indexOf(type)))
      putBits(words, levelRange, BigInt(level))
    },
    parse: (text) => {
      const [, type, level] = /^(\w+)(?::(\d+))?$/.exec(text) ?? ['', text, undefined]
      return { type: oneOf(name, COMPRESSIONS, type), level: Number(level ?? 0) }
    },
    print: ({ type, level }) => (level === 0 ? type : `${type}:${level}`),
  }
}

function target(name: string, range: BitRange): Option<number> {
  return {
    name,
    ranges: [range],
    defaultValue: 0,
    read: (words) => Number(getBits(words, range)),
    store: (words, value) => putBits(words, range, BigInt(value)),
    parse: (text, find) => (text === 'none' ? 0 : find(text)),
    print: targetText,
  }
}

function checkSize(name: string, value: number, limits: Limits & { readonly powerOfTwo: boolean }): void {
  checkLimits(name, value, limits, humanSize)
  if (value % 512 !== 0) throw new Malformed(`option ${name} is ${value} bytes, not a multiple of 512`)
  if (limits.powerOfTwo && !Number.isInteger(Math.log2(value))) {
    throw new Malformed(`option ${name} is ${humanSize(value)}, not a power of two`)
  }
}

/** A size as users write it: bytes, or with a suffix k, M, G, T, P, E in powers of 1024 (also `4KiB`). Throws Malformed. */
export function parseSize(name: string, text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)([kmgtpe]?)(?:i?b)?$/i.exec(text) ?? []
  const size = Number(number) * 1024 ** ' kmgtpe'.indexOf(unit === '' ? ' ' : (unit ?? '?').toLowerCase())
  if (!Number.isSafeInteger(size)) throw new Malformed(`option ${name}: '${text}' is no size`)
  return size
}

function oneOf<T extends string>(name: string, values: readonly T[], text: string): T {
  const value = values.find((each) => each === text)
  if (value === undefined) throw new Malformed(`option ${name}: '${text}' is none of ${values.join(', ')}`)
  return value
}

const BOOLEANS: Readonly<Record<string, boolean>> = {
  ...{ '': true, '1': true, yes: true, y: true, true: true, on: true },
  ...{ '0': false, no: false, n: false, false: false, off: false },
}
const COMPRESSION_LEVEL_MAX = 15

function named<T extends string>(name: string, values: readonly T[], stored: bigint): T {
  if (stored >= values.length) throw new Malformed(`option ${name} has unknown value ${stored}`)
  return values[Number(stored)]
}
