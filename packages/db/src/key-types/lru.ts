/** Key type `lru`: an entry of the lists of buckets by age, as older volumes stored it. Format chapter 4, 4.2 and 4.3.7. */

import { u64Decimal } from '@cowherd/kernel-lib'
import { KEY_WORDS } from '../key.ts'
import type { KeyType } from '../key-type.ts'
import { plainHalves } from './plain.ts'

export const lru: KeyType = {
  number: 26,
  name: 'lru',
  minValueBytes: 8,
  check(key) {
    const hasTime = key.inodeLo !== 0 || (key.inodeHi & 0xffff) !== 0 // the lower 48 bits
    return hasTime ? undefined : 'lru_entry_at_time_0'
  },
  print: (key) => `idx ${u64Decimal(key.words[KEY_WORDS + 1], key.words[KEY_WORDS])}`,
  describe: (key) => ({ idx: plainHalves(key.words[KEY_WORDS + 1], key.words[KEY_WORDS]) }),
}
