/**
 * The records of journal entries as text, as the reference tools print them: `list_journal`, and the superblock's section
 * `clean`. Format chapter 3, 3.3.
 */

import { decodeUtf8, localTimeText } from '@cowherd/kernel-lib'
import { btreeName } from '../btree-ids.ts'
import { dataTypeName } from '../data-types.ts'
import { keyText } from '../key-text.ts'
import { Key } from '../key.ts'
import type { KeyType, VolumeShape } from '../key-type.ts'
import { JSET_ENTRY_NAMES, JsetEntryType, walkKeys, type JsetRecord } from './jset-layout.ts'

/** The key being printed: one for all, as a journal has a great many. */
const scratch = new Key()
const USAGE_TYPES: readonly string[] = ['reserved', 'inodes', 'key_version']

/** One record, `NAME: TEXT` without a newline at the end. Any bytes yield some text. */
export function recordText(
  view: DataView,
  record: JsetRecord,
  keyTypes: ReadonlyMap<number, KeyType>,
  shape: VolumeShape,
): string {
  if (record.type >= JSET_ENTRY_NAMES.length) return `(unknown jset_entry_type ${record.type})`
  const name = JSET_ENTRY_NAMES[record.type]
  const lines = dataLines(view, record, keyTypes, shape)
  return lines.length === 0 ? `${name}: ` : lines.map((line) => `${name}: ${line}`).join('\n')
}

function dataLines(
  view: DataView,
  record: JsetRecord,
  keyTypes: ReadonlyMap<number, KeyType>,
  shape: VolumeShape,
): string[] {
  const { start, end, type } = record
  const word = (index: number): bigint => view.getBigUint64(start + index * 8, true)
  const words = (end - start) / 8
  switch (type) {
    case JsetEntryType.btreeKeys:
    case JsetEntryType.btreeRoot:
    case JsetEntryType.overwrite:
    case JsetEntryType.writeBufferKeys:
      return keyLines(view, record, keyTypes, shape)
    case JsetEntryType.blacklist:
      return words < 1 ? [] : [`seq=${word(0)}`]
    case JsetEntryType.blacklistV2:
      return words < 2 ? [] : [`start=${word(0)} end=${word(1)}`]
    case JsetEntryType.usage:
      return words < 1
        ? []
        : [`type=${USAGE_TYPES[record.btree] ?? `(unknown fs_usage_type ${record.btree})`} v=${word(0)}`]
    case JsetEntryType.clock:
      return words < 2 ? [] : [`${view.getUint8(start) === 0 ? 'read' : 'write'}=${word(1)}`]
    case JsetEntryType.log:
      return [logText(new Uint8Array(view.buffer, view.byteOffset + start, end - start))]
    case JsetEntryType.datetime:
      return words < 1 ? [] : [localTimeText(word(0))]
    case JsetEntryType.dataUsage:
      return words < 2 ? [] : [dataUsageText(view, record)]
    case JsetEntryType.devUsage:
      return words < 3 ? [] : [devUsageText(view, record)]
    default:
      return []
  }
}

function keyLines(
  view: DataView,
  record: JsetRecord,
  keyTypes: ReadonlyMap<number, KeyType>,
  shape: VolumeShape,
): string[] {
  const lines: string[] = []
  const problem = walkKeys(view, record.start, record.end, (at) => {
    const bytes = view.getUint8(at) * 8
    scratch.bytes.set(new Uint8Array(view.buffer, view.byteOffset + at, bytes))
    lines.push(`btree=${btreeName(record.btree)} l=${record.level} ${keyText(scratch, keyTypes, shape)}`)
  })
  if (problem !== undefined) lines.push(`(${problem})`)
  return lines
}

function logText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  return decodeUtf8(bytes, 0, end < 0 ? bytes.length : end)
}

/** Sectors of one replicas entry, before these counts went to the accounting btree. */
function dataUsageText(view: DataView, { start, end }: JsetRecord): string {
  const at = start + 8
  const devices = Math.min(view.getUint8(at + 1), end - at - 3)
  const list = Array.from({ length: devices }, (_, i) => view.getUint8(at + 3 + i))
  const entry = `${dataTypeName(view.getUint8(at))}: ${view.getUint8(at + 2)}/${devices} [${list.join(' ')}]`
  return `${entry}=${view.getBigUint64(start, true)}`
}

/** Buckets of one device by data type, before these counts went to the accounting btree. */
function devUsageText(view: DataView, { start, end }: JsetRecord): string {
  const counts: string[] = []
  for (let at = start + 24, type = 0; at + 24 <= end; at += 24, type++) {
    const [buckets, sectors, fragmented] = [0, 8, 16].map((offset) => view.getBigUint64(at + offset, true))
    counts.push(`\n  ${dataTypeName(type)}: buckets=${buckets} sectors=${sectors} fragmented=${fragmented}`)
  }
  return `dev=${view.getUint32(start, true)}  ${counts.join('')}`
}
