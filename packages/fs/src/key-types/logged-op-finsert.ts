/** Key type `logged_op_finsert`: inserting or collapsing a range of a file, interrupted by a crash. Format chapter 5, 5.10. */

import type { Key, KeyType } from '@cowherd/db'
import { KEY_BYTES, KEY_WORDS } from '@cowherd/db'
import { i64, i64Decimal, pad, struct, u32, u64, u8 } from '@cowherd/kernel-lib'
import { decimalAt, wideAt } from '../halves.ts'

/** Offsets and position in sectors. `pos` is missing (and zero) in values of 24 bytes. */
export const LoggedOpFinsertValue = struct({
  state: u8,
  pad: pad(3),
  subvolume: u32,
  inode: u64,
  destination: i64,
  source: u64,
  pos: u64,
})

const STATE = KEY_BYTES + LoggedOpFinsertValue.offsets.state
const SUBVOLUME = KEY_WORDS + LoggedOpFinsertValue.offsets.subvolume / 4
const INODE = KEY_WORDS + LoggedOpFinsertValue.offsets.inode / 4
const DESTINATION = KEY_WORDS + LoggedOpFinsertValue.offsets.destination / 4
const SOURCE = KEY_WORDS + LoggedOpFinsertValue.offsets.source / 4

/** How far it has come. */
export const FinsertState = { start: 0, shiftExtents: 1, finish: 2 } as const

const STATES = ['start', 'shift_extents', 'finish']

export const loggedOpFinsert: KeyType = {
  number: 33,
  name: 'logged_op_finsert',
  minValueBytes: 24,
  print(key) {
    const whole = key.valueBytes > LoggedOpFinsertValue.offsets.source
    return (
      'subvol=' +
      key.words[SUBVOLUME] +
      ' inum=' +
      decimalAt(key, INODE) +
      ' dst_offset=' +
      destinationText(key) +
      ' src_offset=' +
      (whole ? decimalAt(key, SOURCE) : '0')
    )
  },
  describe(key) {
    const value = LoggedOpFinsertValue.readPadded(key.value)
    return {
      state: STATES[key.bytes[STATE]] ?? key.bytes[STATE],
      subvol: value.subvolume,
      inum: wideAt(key, INODE),
      dst_offset: value.destination,
      src_offset: value.source,
      pos: value.pos,
    }
  },
}

/** Negative when a range at the front is collapsed. */
function destinationText(key: Key): string {
  return i64Decimal(key.words[DESTINATION + 1], key.words[DESTINATION])
}
