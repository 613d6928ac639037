/** Key type `reflink_v`: an extent that several files share, with its reference count. Format chapter 6, 6.1.7. */

import { u64Decimal } from '@cowherd/kernel-lib'
import { checkEntries } from '../extent-entries.ts'
import { KEY_BYTES, KEY_WORDS } from '../key.ts'
import type { KeyType } from '../key-type.ts'
import { describePointers, entriesText } from './entries-text.ts'
import { plainHalves } from './plain.ts'

const ENTRIES_AT = KEY_BYTES + 8

export const reflinkV: KeyType = {
  number: 16,
  name: 'reflink_v',
  minValueBytes: 8,
  check: (key, _place, shape) => checkEntries(key, ENTRIES_AT, shape),
  print: (key, shape) =>
    `refcount: ${u64Decimal(key.words[KEY_WORDS + 1], key.words[KEY_WORDS])} ${entriesText(key, ENTRIES_AT, shape)}`,
  describe: (key) => ({
    refcount: plainHalves(key.words[KEY_WORDS + 1], key.words[KEY_WORDS]),
    ...describePointers(key, ENTRIES_AT),
  }),
}
