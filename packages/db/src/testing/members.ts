/** Members and options of made-up volumes, for tests. */

import { OPTIONS, type Options } from '../superblock/options.ts'
import type { Member } from '../superblock/sections/members.ts'

export function memberOf(index: number, fields: Partial<Member> = {}): Member {
  return {
    index,
    alive: true,
    uuid: new Uint8Array(16).fill(index + 1),
    bucketCount: 768,
    firstBucket: 0,
    bucketSectors: 512,
    durability: 1,
    state: 'rw',
    discard: false,
    dataAllowed: 0b11100,
    group: undefined,
    freespaceInitialized: true,
    lastMount: 0n,
    iops: [0, 0, 0, 0],
    errors: [0n, 0n, 0n],
    errorsAtReset: [0n, 0n, 0n],
    errorsResetTime: 0n,
    seq: 0n,
    btreeBitmap: 0n,
    btreeBitmapShift: 0,
    lastJournalBucket: 0,
    lastJournalBucketSectors: 0,
    ...fields,
  }
}

/** The defaults, with some that differ. */
export function optionsOf(fields: Partial<Options> = {}): Options {
  const defaults = Object.entries(OPTIONS).map(([key, { defaultValue }]) => [key, defaultValue])
  return { ...(Object.fromEntries(defaults) as Options), ...fields }
}
