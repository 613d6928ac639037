/**
 * A request in flight is a slot: sixteen words of shared memory.
 *
 * A slot's first word says what the request is going through and which thread brought it there, and only that word decides who may
 * do what: a thread takes a slot by a compare-and-exchange of it. The other words are written by whoever has taken the slot, and
 * published by his next change of the first. So whatever thread dies, at whichever step, its slots can be told and rescued.
 *
 *     free -> filling -> queued -> running -> done -> reaping -> free
 *       (submitter)        (I/O worker)         (reaper)
 */

/** Operations of requests. */
export const Operation = { read: 0, write: 1, readVector: 2, writeVector: 3, flush: 4, discard: 5 } as const
export const OPERATION_MASK = 0xff
/** Of a write's operation word: on stable storage when it completes (FUA). */
export const THROUGH = 0x100

/** Words of a slot. */
export const STATE = 0
export const OPERATION = 1
export const DEVICE = 2
/** Byte offset on the device, in two halves. */
export const OFFSET_LOW = 3
export const OFFSET_HIGH = 4
export const BUFFER = 5
/** Byte in the buffer: of the data, or of the list of segments. */
export const AT = 6
/** Bytes in two halves; or the number of segments. */
export const LENGTH_LOW = 7
export const LENGTH_HIGH = 8
export const COOKIE = 9
/** From OPERATION on so many words come from the batch; the others are the slot's own. */
export const REQUEST_WORDS = COOKIE - OPERATION + 1
export const QUEUE = 10
export const RESULT = 11
export const SLOT_WORDS = 16

/** What a request is going through: the low bits of the state. */
export const Status = { free: 0, filling: 1, queued: 2, running: 3, done: 4, reaping: 5 } as const
export const STATUS_MASK = 7
const OWNER_SHIFT = 3
const OWNER_MASK = 0x3ffff
/** How often the slot was taken, so that a state which was seen long ago isn't mistaken for the present one. */
const LIFE_UNIT = 1 << 21
const LIFE_MASK = -LIFE_UNIT

/** The thread that brought a slot to its state, 0 if none did. */
export function ownerOf(state: number): number {
  return (state >>> OWNER_SHIFT) & OWNER_MASK
}

/** The state that comes behind `state` when the thread `id` takes the slot for `status`. */
export function takenBy(state: number, id: number, status: number): number {
  return ((state + LIFE_UNIT) & LIFE_MASK) | (id << OWNER_SHIFT) | status
}

/** The state that comes behind `state` when its owner, or who inherits from him, `id`, goes on to `status`. */
export function passedOn(state: number, id: number, status: number): number {
  return (state & LIFE_MASK) | (id << OWNER_SHIFT) | status
}
