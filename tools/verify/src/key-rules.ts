/**
 * What every key of a leaf has to obey, wherever it was found: in a btree as it reads, in one set of a node, in a journal entry. Format
 * chapter 2, 2.8.2, and 4, 4.11.2. What the key's own type demands, its description checks.
 */

import {
  BtreeId,
  btreeName,
  hasSnapshots,
  isExtentsBtree,
  usesSnapshotField,
  type Key,
  type KeyType,
  type VolumeShape,
} from '@cowherd/db'
import type { Faults } from './faults.ts'
import { ALLOWED_TYPES, Type } from './key-types.ts'

const U32_MAX = 0xffffffff
/** Btrees of chapter 4 whose keys have no version. */
const UNVERSIONED = new Set<number>([
  ...[BtreeId.alloc, BtreeId.stripes, BtreeId.lru, BtreeId.freespace, BtreeId.needDiscard],
  ...[BtreeId.backpointers, BtreeId.bucketGens, BtreeId.rebalanceWork],
])

export class KeyRules {
  private readonly keyTypes: ReadonlyMap<number, KeyType>
  private readonly shape: VolumeShape
  private readonly faults: Faults
  /** Greatest version that a key may have: the counter in the newest journal entry. */
  keyVersion = 0n

  constructor(keyTypes: ReadonlyMap<number, KeyType>, shape: VolumeShape, faults: Faults) {
    this.keyTypes = keyTypes
    this.shape = shape
    this.faults = faults
  }

  /** Checks a key of a leaf, `deleted` ones too. `where` says where it was found, besides in its btree. */
  check(key: Key, btree: number, where: string): void {
    const problem = headerProblem(key, btree) ?? this.versionProblem(key, btree) ?? this.valueProblem(key, btree)
    if (problem !== undefined) this.faults.add(`${btreeName(btree)} ${key.posText} in ${where}`, problem)
  }

  private valueProblem(key: Key, btree: number): string | undefined {
    const type = this.keyTypes.get(key.type)
    if (type === undefined || key.type === Type.deleted) return undefined
    if (key.valueBytes < type.minValueBytes) {
      return `a value of ${key.valueBytes} bytes, ${type.name} has ${type.minValueBytes} at least`
    }
    return type.check?.(key, { btree, level: 0 }, this.shape)
  }

  private versionProblem(key: Key, btree: number): string | undefined {
    if (key.versionLo === 0 && key.versionMid === 0 && key.versionHi === 0) return undefined
    if (btree >= BtreeId.accounting) return undefined
    if (UNVERSIONED.has(btree)) return `version ${key.version} where keys have none`
    const version = BigInt.asUintN(64, key.version)
    return version > this.keyVersion ? `bkey_version_in_future: ${version}, the last is ${this.keyVersion}` : undefined
  }
}

function headerProblem(key: Key, btree: number): string | undefined {
  const { type, size, snapshot } = key
  if (btree > BtreeId.accounting) return endProblem(key)
  if (type !== Type.deleted && !ALLOWED_TYPES[btree].has(type)) return `a key of type ${type} can't be there`
  if (isExtentsBtree(btree) && type !== Type.deleted && type !== Type.whiteout) {
    if (size === 0) return 'an extent of size 0'
    if (key.offsetHi === 0 && size > key.offsetLo) return `an extent of size ${size} starts before 0`
  } else if (size !== 0) return `size ${size} where keys have none`
  if (hasSnapshots(btree)) {
    if (snapshot === 0) return 'no snapshot id'
  } else if (snapshot !== 0 && !usesSnapshotField(btree)) return 'a snapshot id where keys have none'
  return endProblem(key)
}

function endProblem(key: Key): string | undefined {
  const isEnd =
    key.inodeHi === U32_MAX && key.inodeLo === U32_MAX && key.offsetHi === U32_MAX && key.offsetLo === U32_MAX
  return isEnd ? 'a key at the very end' : undefined
}
