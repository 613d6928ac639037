/** What an image is, byte for byte and to the nanosecond: to see that nothing was written to it. */

import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'

export function imageState(image: string): { hash: string; modified: bigint } {
  return {
    hash: createHash('sha256').update(readFileSync(image)).digest('hex'),
    modified: statSync(image, { bigint: true }).mtimeNs,
  }
}
