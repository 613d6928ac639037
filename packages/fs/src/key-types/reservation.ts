/** Key type `reservation`: preallocated sectors of a file; they read as zeros. Format chapter 6, 6.1.7. */

import type { Key, KeyType } from '@cowherd/db'
import { KEY_BYTES, KEY_WORDS } from '@cowherd/db'
import { pad, struct, u32, u8 } from '@cowherd/kernel-lib'

export const RESERVATION = 7

export const ReservationValue = struct({ generation: u32, replicas: u8, pad: pad(3) })

const GENERATION = KEY_WORDS + ReservationValue.offsets.generation / 4
const REPLICAS = KEY_BYTES + ReservationValue.offsets.replicas
const REPLICAS_MAX = 4

/** How many copies of its sectors are promised. */
export function reservationReplicas(key: Key): number {
  return key.bytes[REPLICAS]
}

export const reservation: KeyType = {
  number: RESERVATION,
  name: 'reservation',
  minValueBytes: ReservationValue.size,
  check(key) {
    const replicas = key.bytes[REPLICAS]
    return replicas < 1 || replicas > REPLICAS_MAX
      ? `reservation_key_nr_replicas_invalid: ${replicas} replicas`
      : undefined
  },
  print: (key) => 'generation ' + key.words[GENERATION] + ' replicas ' + key.bytes[REPLICAS],
  describe: (key) => ({ generation: key.words[GENERATION], replicas: key.bytes[REPLICAS] }),
}
