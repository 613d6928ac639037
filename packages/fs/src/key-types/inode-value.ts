/**
 * What the three versions of the inode key share: the rules for a sound inode, and how one is shown.
 * Format chapter 5, 5.2.2 and 5.2.12; chapter 7, 7.6.2.
 */

import { u64Decimal } from '@cowherd/kernel-lib'
import type { Key } from '@cowherd/db'
import { wide } from '../halves.ts'
import { FIELD_NAMES, Field } from '../inode-fields.ts'
import { Inode, ROOT_INODE } from '../inode.ts'

const FLAG_NAMES = [
  'sync',
  'immutable',
  'append',
  'nodump',
  'noatime',
  'i_size_dirty',
  'i_sectors_dirty',
  'unlinked',
  'backptr_untrusted',
  'has_child_snapshot',
]

/** String hash types (5.4.1). */
export const STR_HASH_NAMES: readonly string[] = ['crc32c', 'crc64', 'siphash_old', 'siphash']

/** Greatest value of bi_data_checksum: option value plus one. */
const DATA_CHECKSUM_MAX = 4
const COMPRESSION_TYPE_MAX = 3

/** One for all calls: nothing here calls back. */
const inode = new Inode()

export function checkInode(key: Key): string | undefined {
  if (key.inodeLo !== 0 || key.inodeHi !== 0) return `inode_pos_inode_nonzero: inode key at ${key.posText}`
  if (key.offsetHi === 0 && key.offsetLo < ROOT_INODE) return `inode_pos_blockdev_range: inode number ${key.offsetLo}`
  const damage = inode.decode(key)
  if (damage !== undefined) return damage
  if (inode.strHash >= STR_HASH_NAMES.length) return `inode_str_hash_invalid: string hash type ${inode.strHash}`
  const checksum = inode.fields[2 * Field.dataChecksum]
  if (checksum > DATA_CHECKSUM_MAX) return `inode_checksum_type_invalid: data checksum ${checksum}`
  return checkCompression(inode.fields[2 * Field.compression]) ?? checkLinks()
}

/** As `bcachefs list` shows it: one line for each field, indented. */
export function printInode(key: Key): string {
  if (inode.decode(key) !== undefined) return '(unpack error)'
  const fields = inode.fields
  let text =
    '\n  mode=' +
    inode.mode.toString(8) +
    '\n  flags=' +
    flagsText(inode.flags) +
    '(' +
    inode.flagsWord.toString(16) +
    ')\n  journal_seq=' +
    u64Decimal(inode.journalSeqHi, inode.journalSeqLo) +
    '\n  bi_size=' +
    u64Decimal(fields[2 * Field.size + 1], fields[2 * Field.size]) +
    '\n  bi_sectors=' +
    u64Decimal(fields[2 * Field.sectors + 1], fields[2 * Field.sectors]) +
    '\n  bi_version=' +
    u64Decimal(inode.versionHi, inode.versionLo)
  for (let field = 0; field < FIELD_LINES.length; field++) {
    const hi = fields[2 * field + 1]
    const lo = fields[2 * field]
    text += FIELD_LINES[field] + (hi === 0 ? lo : u64Decimal(hi, lo))
  }
  return text
}

export function describeInode(key: Key): Record<string, unknown> {
  const damage = inode.decode(key)
  if (damage !== undefined) return { error: damage }
  const { fields } = inode
  const described: Record<string, unknown> = {
    mode: inode.mode.toString(8),
    flags: FLAG_NAMES.filter((_, bit) => (inode.flags & (1 << bit)) !== 0),
    str_hash: STR_HASH_NAMES[inode.strHash] ?? inode.strHash,
    hash_seed: inode.hashSeedText,
    journal_seq: wide(inode.journalSeqHi, inode.journalSeqLo),
    bi_size: wide(fields[2 * Field.size + 1], fields[2 * Field.size]),
    bi_sectors: wide(fields[2 * Field.sectors + 1], fields[2 * Field.sectors]),
    bi_version: wide(inode.versionHi, inode.versionLo),
  }
  FIELD_NAMES.forEach((name, field) => (described[name] = wide(fields[2 * field + 1], fields[2 * field])))
  return described
}

const FIELD_LINES = FIELD_NAMES.map((name) => `\n  ${name}=`)

function checkCompression(value: number): string | undefined {
  if (value === 0) return undefined
  const type = (value - 1) & 0xf
  const level = (value - 1) >>> 4
  if (type <= COMPRESSION_TYPE_MAX && (level === 0 || type !== 0)) return undefined
  return `inode_compression_type_invalid: compression option ${value - 1}`
}

function checkLinks(): string | undefined {
  const nlink = inode.fields[2 * Field.nlink]
  if (inode.unlinked && nlink !== 0) return `inode_unlinked_but_nlink_nonzero: unlinked, and bi_nlink ${nlink}`
  if (inode.subvolume !== 0 && !inode.isDirectory) {
    return `inode_subvol_root_but_not_dir: root of subvolume ${inode.subvolume} with mode ${inode.mode.toString(8)}`
  }
  return undefined
}

function flagsText(flags: number): string {
  let text = ''
  for (let bit = 0; flags >>> bit !== 0 && bit < FLAG_NAMES.length; bit++) {
    if ((flags & (1 << bit)) !== 0) text += (text === '' ? '' : ',') + FLAG_NAMES[bit]
  }
  return text
}
