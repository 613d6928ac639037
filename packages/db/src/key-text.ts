/** A whole key with its value as the reference tools print it: in `list`, `list_journal`, and superblocks' btree roots. */

import { u64Decimal } from '@cowherd/kernel-lib'
import type { Key } from './key.ts'
import type { KeyType, VolumeShape } from './key-type.ts'

/** `u64s 8 type xattr 4096:1:U32_MAX len 0 ver 0: VALUE`; of a value of unknown type its size is told. */
export function keyText(key: Key, keyTypes: ReadonlyMap<number, KeyType>, shape: VolumeShape): string {
  const type = keyTypes.get(key.type)
  const name = type?.name ?? `${key.type}`
  const version = u64Decimal(key.versionMid, key.versionLo)
  const head = `u64s ${key.u64s} type ${name} ${key.posText} len ${key.size} ver ${version}`
  if (key.valueBytes === 0) return head
  if (type === undefined) return `${head}: ${key.valueBytes} bytes`
  return `${head}: ${type.print?.(key, shape) ?? ''}`
}
