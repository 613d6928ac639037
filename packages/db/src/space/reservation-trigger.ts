/** What follows when a promise of space (`reservation`) changes: it is counted, by how many copies it is for. Format chapter 4, 4.5.3. */

import { KEY_BYTES, type Key } from '../key.ts'
import type { KeyTrigger, Updates } from '../transaction/updates.ts'
import { CounterName } from './counter-name.ts'

const KEY_TYPE_RESERVATION = 7
const COPIES_AT = KEY_BYTES + 4

const name = new CounterName()

export const reservationTrigger: KeyTrigger = (updates, change) => {
  count(updates, change.old, -1)
  count(updates, change.new, 1)
}

function count(updates: Updates, key: Key | undefined, sign: number): void {
  if (key?.type !== KEY_TYPE_RESERVATION) return
  updates.account(name.persistentReserved(key.bytes[COPIES_AT]), sign * key.size)
}
