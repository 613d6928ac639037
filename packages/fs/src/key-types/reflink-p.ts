/**
 * Key type `reflink_p`: sectors of a file that lie in the shared address space of the reflink btree.
 * Format chapter 6, 6.1.7 and 6.10.
 */

import type { Key, KeyType } from '@cowherd/db'
import { KEY_WORDS } from '@cowherd/db'
import { struct, u32, u64 } from '@cowherd/kernel-lib'
import { decimalAt, wideAt } from '../halves.ts'

export const REFLINK_P = 15

/** Sector i of the key is shared sector index + i; the pads widen the range that the key holds a reference to. */
export const ReflinkPValue = struct({ index: u64, frontPad: u32, backPad: u32 })

const INDEX = KEY_WORDS + ReflinkPValue.offsets.index / 4
const FRONT_PAD = KEY_WORDS + ReflinkPValue.offsets.frontPad / 4
const BACK_PAD = KEY_WORDS + ReflinkPValue.offsets.backPad / 4

/** The first shared sector of the key, exact up to 2^53. */
export function reflinkIndex(key: Key): number {
  return key.words[INDEX + 1] * 0x100000000 + key.words[INDEX]
}

/** How many shared sectors in front of the key's and behind them the key holds a reference to as well. */
export function reflinkFrontPad(key: Key): number {
  return key.words[FRONT_PAD]
}
export function reflinkBackPad(key: Key): number {
  return key.words[BACK_PAD]
}

/** Makes the key begin so many shared sectors later. */
export function moveReflinkIndex(key: Key, sectors: number): void {
  const index = reflinkIndex(key) + sectors
  key.words[INDEX] = index
  key.words[INDEX + 1] = Math.floor(index / 0x100000000)
}

/** What a key that is new refers to besides its own sectors is found out when it is inserted (`triggers/reflink.ts`). */
export function clearReflinkPads(key: Key): void {
  setReflinkPads(key, 0, 0)
}

export function setReflinkPads(key: Key, front: number, back: number): void {
  key.words[FRONT_PAD] = front
  key.words[BACK_PAD] = back
}

export const reflinkP: KeyType = {
  number: REFLINK_P,
  name: 'reflink_p',
  minValueBytes: ReflinkPValue.size,
  check(key) {
    return reflinkIndex(key) < key.words[FRONT_PAD]
      ? `reflink_p_front_pad_bad: index ${reflinkIndex(key)} below the front pad of ${key.words[FRONT_PAD]}`
      : undefined
  },
  print(key) {
    return 'idx ' + decimalAt(key, INDEX) + ' front_pad ' + key.words[FRONT_PAD] + ' back_pad ' + key.words[BACK_PAD]
  },
  describe: (key) => ({
    idx: wideAt(key, INDEX),
    front_pad: key.words[FRONT_PAD],
    back_pad: key.words[BACK_PAD],
  }),
}
