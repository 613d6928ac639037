/**
 * Key type `inode_generation`: what is left of a deleted inode, so that its number comes back with another generation.
 * It hides an ancestor's inode, and is itself not a file. Format chapter 5, 5.2.9.
 */

import type { KeyType } from '@cowherd/db'
import { KEY_WORDS } from '@cowherd/db'
import { pad, struct, u32 } from '@cowherd/kernel-lib'
import { INODE_GENERATION } from '../inode.ts'

export const InodeGenerationValue = struct({ generation: u32, pad: pad(4) })

export const inodeGeneration: KeyType = {
  number: INODE_GENERATION,
  name: 'inode_generation',
  minValueBytes: InodeGenerationValue.size,
  check(key) {
    return key.inodeLo !== 0 || key.inodeHi !== 0 ? `inode_pos_inode_nonzero: inode key at ${key.posText}` : undefined
  },
  print: (key) => 'generation: ' + key.words[KEY_WORDS],
  describe: (key) => ({ generation: key.words[KEY_WORDS] }),
}
