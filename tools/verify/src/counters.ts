/**
 * The accounting counters, computed again and compared. A counter's name is its text here; counters that are all zero are the same as
 * none. Format chapter 4, 4.8 and 4.12.
 */

import { u64Decimal } from '@cowherd/kernel-lib'
import { AccountingType, DATA_TYPES, KEY_BYTES, KEY_POS_AT, type Key } from '@cowherd/db'
import type { Faults } from './faults.ts'

/** Bytes of the position of an accounting key, from the lowest on. */
const POS_BYTE = KEY_POS_AT * 4
const REPLICAS_DEVICES_AT = 4
/** Counters of each type. */
const COUNTS: readonly number[] = [1, 1, 1, 3, 3, 1, 1, 1, 3]

/** Names of counters; `counterName` gives the same of a key. */
export const named = {
  inodes: 'nr_inodes',
  reserved: (replicas: number) => `persistent_reserved ${replicas}`,
  replicas: (dataType: number, required: number, devices: readonly number[]) =>
    `replicas ${DATA_TYPES[dataType] ?? dataType} ${required}/${devices.length} [${devices.join(' ')}]`,
  deviceDataType: (device: number, dataType: number) => `dev_data_type ${device} ${DATA_TYPES[dataType] ?? dataType}`,
  compression: (type: number) => `compression ${type}`,
  snapshot: (id: number) => `snapshot ${id}`,
  btree: (id: number) => `btree ${id}`,
  rebalanceWork: 'rebalance_work',
  inum: (hi: number, lo: number) => `inum ${u64Decimal(hi, lo)}`,
} as const

/** The name of the counters of an accounting key; undefined for types of newer versions. */
export function counterName(key: Key): string | undefined {
  const byte = (at: number): number => key.bytes[POS_BYTE + at]
  const u32 = (at: number): number => key.view.getUint32(POS_BYTE + at, true)
  switch (byte(0)) {
    case AccountingType.inodes:
      return named.inodes
    case AccountingType.persistentReserved:
      return named.reserved(byte(1))
    case AccountingType.replicas: {
      const devices = key.bytes.subarray(POS_BYTE + REPLICAS_DEVICES_AT, POS_BYTE + REPLICAS_DEVICES_AT + byte(2))
      return named.replicas(byte(1), byte(3), [...devices])
    }
    case AccountingType.deviceDataType:
      return named.deviceDataType(byte(1), byte(2))
    case AccountingType.compression:
      return named.compression(byte(1))
    case AccountingType.snapshot:
      return named.snapshot(u32(1))
    case AccountingType.btree:
      return named.btree(u32(1))
    case AccountingType.rebalanceWork:
      return named.rebalanceWork
    case AccountingType.inum:
      return named.inum(u32(5), u32(1))
    default:
      return undefined
  }
}

/** The journal entry that a version of an accounting key names: its upper 64 bits. */
export function versionSeq(key: Key): number {
  return key.versionHi * 0x100000000 + key.versionMid
}

export class Counters {
  private readonly faults: Faults
  private readonly newestSeq: number
  /** Sets of devices that the superblock's table names, as the counters would be called. */
  private readonly marked: ReadonlySet<string>
  private readonly expected = new Map<string, number[]>()

  constructor(faults: Faults, newestSeq: number, marked: ReadonlySet<string>) {
    this.faults = faults
    this.newestSeq = newestSeq
    this.marked = marked
  }

  add(name: string, ...values: number[]): void {
    const row = this.expected.get(name)
    if (row === undefined) this.expected.set(name, values)
    else for (let i = 0; i < row.length; i++) row[i] += values[i]
  }

  /** Compares the counters of a key. Its description has been held against its position. */
  check(key: Key): void {
    const name = counterName(key)
    if (name === undefined) return
    const place = `accounting ${name}`
    const seq = versionSeq(key)
    if (seq > this.newestSeq)
      this.faults.add(place, `its version is of journal entry ${seq}, the last is ${this.newestSeq}`)
    const count = COUNTS[key.bytes[POS_BYTE]]
    if (key.valueBytes !== count * 8) this.faults.add(place, `${key.valueBytes / 8} counters where it has ${count}`)
    const values = Array.from({ length: Math.min(count, key.valueBytes / 8) }, (_, i) => counterAt(key, i))
    const expected = this.expected.get(name) ?? values.map(() => 0)
    this.expected.delete(name)
    if (values.some((value, i) => value !== expected[i])) {
      this.faults.add(place, `accounting_mismatch: ${values.join(' ')}, should be ${expected.join(' ')}`)
    }
    if (values.some((value) => value !== 0)) this.checkMarked(name)
  }

  /** When all keys have been seen. */
  finish(): void {
    for (const [name, values] of this.expected) {
      if (values.every((value) => value === 0)) continue
      this.faults.add(`accounting ${name}`, `missing, should be ${values.join(' ')}`)
      this.checkMarked(name)
    }
  }

  private checkMarked(name: string): void {
    if (!name.startsWith('replicas ') || this.marked.has(name)) return
    this.faults.add(`accounting ${name}`, 'accounting_replicas_not_marked: not in the table of the superblock')
  }
}

function counterAt(key: Key, index: number): number {
  return Number(key.view.getBigInt64(KEY_BYTES + 8 * index, true))
}
