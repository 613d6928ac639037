/**
 * Key type `accounting`: counters of what the volume holds. The key's position is the name of the counters, packed into
 * its 20 bytes from the lowest on; the value is one to three 64-bit counters. Format chapter 4, 4.8.
 */

import { i64Decimal } from '@cowherd/kernel-lib'
import { BPOS_BYTES } from '../bpos.ts'
import { KEY_POS_AT, KEY_WORDS, type Key } from '../key.ts'
import type { KeyType } from '../key-type.ts'
import { dataTypeName } from '../data-types.ts'
import { btreeText, compressionTypeText } from './names.ts'
import { plainNumber } from './plain.ts'

/** What is counted: byte 0 of the position. */
export const AccountingType = {
  inodes: 0,
  persistentReserved: 1,
  replicas: 2,
  deviceDataType: 3,
  compression: 4,
  snapshot: 5,
  btree: 6,
  rebalanceWork: 7,
  inum: 8,
} as const

const NAMES: readonly string[] = [
  'nr_inodes',
  'persistent_reserved',
  'replicas',
  'dev_data_type',
  'compression',
  'snapshot',
  'btree',
  'rebalance_work',
  'inum',
]

/** The position that stands for counters: a type of `AccountingType`, then the bytes that name them. */
export function accountingPos(type: number, name: readonly number[] = []): Uint32Array {
  const bytes = new Uint8Array(BPOS_BYTES)
  bytes[0] = type
  bytes.set(name, 1)
  return new Uint32Array(bytes.buffer)
}

const POS_BYTE = KEY_POS_AT * 4
/** Of `replicas`: data type, number of devices, number required, then the devices. */
const REPLICAS_DEVICES_AT = 4

export const accounting: KeyType = {
  number: 34,
  name: 'accounting',
  minValueBytes: 8,
  check(key) {
    if (key.versionLo === 0 && key.versionMid === 0 && key.versionHi === 0) return 'accounting_key_version_0'
    if (posByte(key, 0) === AccountingType.replicas) {
      const fault = replicasFault(key)
      if (fault !== undefined) return fault
    }
    for (let i = usedBytes(key); i < BPOS_BYTES; i++) {
      if (posByte(key, i) !== 0) return `accounting_key_junk_at_end: byte ${i} of the position`
    }
    return undefined
  },
  print(key) {
    let text = nameText(key) + ' '
    const end = key.u64s * 2
    for (let at = KEY_WORDS; at < end; at += 2) text += (at === KEY_WORDS ? '' : ' ') + counterText(key, at)
    return text
  },
  describe(key) {
    const counters: (number | bigint)[] = []
    for (let at = KEY_WORDS; at < key.u64s * 2; at += 2) {
      counters.push(plainNumber(BigInt.asIntN(64, (BigInt(key.words[at + 1]) << 32n) | BigInt(key.words[at]))))
    }
    return { counter: NAMES[posByte(key, 0)] ?? `unknown type ${posByte(key, 0)}`, ...nameFields(key), counters }
  },
}

const posByte = (key: Key, at: number): number => key.bytes[POS_BYTE + at]
const posU32 = (key: Key, at: number): number => key.view.getUint32(POS_BYTE + at, true)

function counterText(key: Key, at: number): string {
  return i64Decimal(key.words[at + 1], key.words[at])
}

function nameText(key: Key): string {
  const type = posByte(key, 0)
  const name = NAMES[type] ?? `unknown type ${type}`
  switch (type) {
    case AccountingType.inodes:
    case AccountingType.rebalanceWork:
    case AccountingType.inum:
      return name + ' '
    case AccountingType.persistentReserved:
      return `${name} replicas=${posByte(key, 1)}`
    case AccountingType.replicas:
      return `${name} ${dataTypeName(posByte(key, 1))}: ${posByte(key, 3)}/${posByte(key, 2)} [${replicasDevices(key).join(' ')}]`
    case AccountingType.deviceDataType:
      return `${name} dev=${posByte(key, 1)} data_type=${dataTypeName(posByte(key, 2))}`
    case AccountingType.compression:
      return `${name} ${compressionTypeText(posByte(key, 1))}`
    case AccountingType.snapshot:
      return `${name} id=${posU32(key, 1)}`
    case AccountingType.btree:
      return `${name} btree=${btreeText(posU32(key, 1))}`
    default:
      return name
  }
}

function nameFields(key: Key): Record<string, unknown> {
  switch (posByte(key, 0)) {
    case AccountingType.persistentReserved:
      return { nr_replicas: posByte(key, 1) }
    case AccountingType.replicas:
      return { data_type: dataTypeName(posByte(key, 1)), nr_required: posByte(key, 3), devices: replicasDevices(key) }
    case AccountingType.deviceDataType:
      return { device: posByte(key, 1), data_type: dataTypeName(posByte(key, 2)) }
    case AccountingType.compression:
      return { compression: compressionTypeText(posByte(key, 1)) }
    case AccountingType.snapshot:
      return { snapshot: posU32(key, 1) }
    case AccountingType.btree:
      return { btree: btreeText(posU32(key, 1)) }
    case AccountingType.inum:
      return { inode: plainNumber(key.view.getBigUint64(POS_BYTE + 1, true)) }
    default:
      return {}
  }
}

function replicasDevices(key: Key): number[] {
  const end = Math.min(REPLICAS_DEVICES_AT + posByte(key, 2), BPOS_BYTES)
  return [...key.bytes.subarray(POS_BYTE + REPLICAS_DEVICES_AT, POS_BYTE + end)]
}

function replicasFault(key: Key): string | undefined {
  const count = posByte(key, 2)
  const required = posByte(key, 3)
  if (count === 0) return 'accounting_key_replicas_nr_devs_0'
  if (REPLICAS_DEVICES_AT + count > BPOS_BYTES) return `${count} devices, more than a position can name`
  if (required > count || (required > 1 && required === count)) {
    return `accounting_key_replicas_nr_required_bad: ${required} of ${count}`
  }
  const devices = replicasDevices(key)
  const sorted = devices.every((device, i) => i === 0 || devices[i - 1] < device)
  return sorted ? undefined : `accounting_key_replicas_devs_unsorted: ${devices.join(' ')}`
}

/** How many bytes of the position are in use. */
function usedBytes(key: Key): number {
  switch (posByte(key, 0)) {
    case AccountingType.inodes:
    case AccountingType.rebalanceWork:
      return 1
    case AccountingType.persistentReserved:
    case AccountingType.compression:
      return 2
    case AccountingType.replicas:
      return REPLICAS_DEVICES_AT + posByte(key, 2)
    case AccountingType.deviceDataType:
      return 3
    case AccountingType.snapshot:
    case AccountingType.btree:
      return 5
    default:
      return BPOS_BYTES
  }
}
