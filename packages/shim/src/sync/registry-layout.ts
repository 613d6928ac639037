/**
 * Where things lie in the memory of a thread registry, and the texts in it. All offsets are 32-bit words.
 *
 *     header | word of seat 1..n | notes on seat 1..n | records of seat 1 | records of seat 2 | ... | labels
 *
 * The notes tell about a thread what only people and the state dump want to know; the labels are names of locks. Both are
 * read by threads that must not wait: whoever reads them believes nothing, and stays within the bounds.
 */

export const HEADER_WORDS = 8
/** Words of the header. */
export const Header = { nextLock: 0, seats: 1, deaths: 2, labels: 3, lastReap: 4 } as const

/** What one thread can wait for and hold shared at the same time. */
export const RECORDS_MAX = 32
export const RECORD_WORDS = 10

export const TEXT_WORDS = 8
export const TEXT_BYTES_MAX = 4 * (TEXT_WORDS - 1)

/** How many locks a note lists as held. */
export const HELD_MAX = 12
export const NOTE_WORDS = 24
/** Words of a note; `task` is the operating system's id of the thread, valid if `taskOf` is the thread's id. */
export const Note = { name: 0, since: TEXT_WORDS, task: 9, taskOf: 10, heldCount: 11, held: 12 } as const

const LABELS_PER_SEAT = 4
/** Words of a label: the first lock that was called so, and its text. */
export const LABEL_WORDS = 1 + TEXT_WORDS

/** The offsets for a number of seats. */
export interface RegistryLayout {
  readonly notes: number
  readonly records: number
  readonly labels: number
  readonly labelsMax: number
  readonly words: number
}

export function layoutFor(seats: number): RegistryLayout {
  const notes = HEADER_WORDS + seats
  const records = notes + seats * NOTE_WORDS
  const labels = records + seats * RECORDS_MAX * RECORD_WORDS
  const labelsMax = seats * LABELS_PER_SEAT
  return { notes, records, labels, labelsMax, words: labels + labelsMax * LABEL_WORDS }
}

/** Writes a text at word `at`, cut off behind TEXT_BYTES_MAX bytes of UTF-8. Its length comes last. */
export function writeText(words: Int32Array, at: number, text: string): void {
  const bytes = new Uint8Array(TEXT_BYTES_MAX)
  const { written } = new TextEncoder().encodeInto(text, bytes) // whole characters only
  Atomics.store(words, at, 0)
  new Uint8Array(words.buffer, words.byteOffset + 4 * (at + 1), TEXT_BYTES_MAX).set(bytes)
  Atomics.store(words, at, written)
}

/** The text at word `at`, whatever is there. */
export function readText(words: Int32Array, at: number): string {
  const length = Math.min(Math.max(0, Atomics.load(words, at)), TEXT_BYTES_MAX)
  const bytes = new Uint8Array(words.buffer, words.byteOffset + 4 * (at + 1), length)
  return new TextDecoder().decode(bytes.slice()) // a decoder takes no shared memory
}

/** The time in a word: hundredths of a second; it wraps around after 497 days. All threads see the same time. */
export function timeWord(): number {
  return Math.floor((performance.timeOrigin + performance.now()) / 10) | 0
}

/** How long ago a time word was, in ms. */
export function msSince(time: number): number {
  return ((timeWord() - time) >>> 0) * 10
}
