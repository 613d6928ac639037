/**
 * What a node in memory notes of each of its keys, in the pad byte of the key's header (bits 24 to 31 of its first word). A key that
 * was read from disk has none.
 */

/** There is no key at this position in any set of the node that is written. */
export const FRESH = 1 << 24
/** The key has changed since the node was written. */
export const DIRTY = 2 << 24
/** The header without them. */
export const WITHOUT_FLAGS = 0x00ffffff
