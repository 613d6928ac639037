/**
 * What a volume that is open for writing needs to know of files: `openDatabase` takes it as part of its options.
 *
 *     openDatabase(devices, { ...fsDatabaseParts, codecs, random })
 */

import type { DatabaseOptions } from '@cowherd/db'
import { fsKeyTypes } from './key-types/index.ts'
import { fsPasses } from './recovery/index.ts'
import { fsTriggers } from './triggers/index.ts'

export const fsDatabaseParts: Required<Pick<DatabaseOptions, 'keyTypes' | 'triggers' | 'passes'>> = {
  keyTypes: fsKeyTypes,
  triggers: fsTriggers,
  passes: fsPasses,
}
