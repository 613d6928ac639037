/**
 * Where a primitive lies: a few 32-bit words of shared memory. A place is a plain object that can be posted to any thread,
 * which makes a view of its own from it; the words are the primitive, a view is only how a thread looks at them.
 */

/** A place in shared memory. `offset` is in bytes, a multiple of 4. */
export interface SharedPlace {
  readonly buffer: SharedArrayBuffer
  readonly offset: number
}

/** A place in memory of its own, zeroed. */
export function newPlace(bytes: number): SharedPlace {
  return { buffer: new SharedArrayBuffer(bytes), offset: 0 }
}

/** The words of a place. Throws RangeError if it doesn't lie within its buffer. */
export function wordsAt(place: SharedPlace, bytes: number): Int32Array {
  return new Int32Array(place.buffer, place.offset, bytes / 4)
}
