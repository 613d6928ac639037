/**
 * Where things lie. All offsets are 32-bit words of one memory.
 *
 *     hashtable:  header | a line for each thread's seat
 *     table:      header (where its buckets are, mask, seed, the table that follows) and, apart, 2^n buckets
 *     bucket:     head of the chain | owner of its lock, 0 if it is free
 *     object:     link to the next one | whatever the user has in it, with the key somewhere
 *
 * A head or link is the first word of an object, or says how the chain ends. A chain's end names its bucket: who has been carried
 * to another chain, because the object that he stood on was moved there, sees the wrong name, and looks again. Once objects have
 * been moved away behind this place, the end names the table that they were moved to, wherever the objects went in it.
 *
 *     0                   a bucket that is empty (of heads only)
 *     object              below 2^30: memory is at most 4 GiB
 *     END | bucket        end of the chain that begins at this bucket
 *     END | table         end, and objects that were behind it are in that table now
 */

/** Marks an end. */
export const END = 1 << 30
/** The word that an end names. */
export const END_MASK = END - 1

/** Words of the hashtable's header. What readers need, what all writers write, and what resizing needs are lines of their own. */
export const MAGIC = 0
export const ROOT = 1
export const KEY_AT = 2
export const KEY_WORDS = 3
export const BITS_MIN = 4
export const SEATS = 5
export const SEED = 6
export const COUNT = 16
export const GUARD = 32
export const BUSY = 33
export const WANTED = 34
export const NEXT = 35
export const NEXT_ZEROED = 36
export const OLD = 37
export const OLD_TICKET = 38
export const RETRY_AT = 39
export const RESIZES = 40
export const WORK = 41
export const MAINTAINER = 42
export const REFUSED = 43
export const SERIAL = 44
/** Changes of a table that one thread uses. */
export const CHANGES = 45
export const HEADER_WORDS = 48

export const MAGIC_NUMBER = 0x72687462

/** Words of a seat's line: a move that is going on (from and to which bucket, which object), and what is not in COUNT yet. */
export const FROM = 0
export const TO = 1
export const MOVING = 2
export const UNCOUNTED = 3
export const LINE_WORDS = 16

/** Words of a table. The first ones never change, but for FUTURE, which is set once; the last ones are for moving. */
export const BASE = 0
export const MASK = 1
export const TABLE_SEED = 2
export const FUTURE = 3
export const TABLE_SERIAL = 4
export const CLAIMED = 16
export const MOVED = 17
export const TABLE_WORDS = 32

/** Words of a bucket. */
export const HEAD = 0
export const LOCK = 1
export const BUCKET_WORDS = 2

/** Of an object. */
export const LINK = 0

/** Of the first word of a key whose length is not fixed: its length in bytes. The bits above are the user's. */
export const LENGTH_MASK = 0x0fffffff

/** What BUSY says: nothing to do, something, or nothing before a grace period is over. */
export const Busy = { idle: 0, work: 1, waiting: 2 } as const

/**
 * Reads a word that other threads write. Plainly, because the place of each word read so comes out of the word that was read before
 * (root, table, bucket's head, object, link): no processor reads them in another order, and no engine can guess. Writers
 * store by Atomics, behind what the word leads to. Where the order of two words is not given in this way, nobody may rely on it.
 */
export function peek(words: Int32Array, at: number): number {
  return words[at]
}
