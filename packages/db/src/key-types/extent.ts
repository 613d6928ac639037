/** Key type `extent`: where the data of a range of a file lies. Format chapter 6, 6.1.3. */

import { checkEntries } from '../extent-entries.ts'
import { KEY_BYTES } from '../key.ts'
import type { KeyType } from '../key-type.ts'
import { describePointers, entriesText } from './entries-text.ts'

export const extent: KeyType = {
  number: 6,
  name: 'extent',
  minValueBytes: 0,
  check: (key, _place, shape) => checkEntries(key, KEY_BYTES, shape),
  print: (key, shape) => entriesText(key, KEY_BYTES, shape),
  describe: (key) => describePointers(key, KEY_BYTES),
}
