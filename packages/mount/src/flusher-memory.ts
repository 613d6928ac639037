/**
 * What the engine and its flusher share: one entry at a time, what is to be done with it, and what has come of that.
 *
 *     words: state | length | took us | length of the head | fd of /dev/fuse | whether to ring | - ... | rows ...
 *     row of a device, by its number in the list: what to do | offset low | offset high | result of the flush | result of the write
 */

/** `idle`: nothing to do. `work`: the flusher's turn. `done`: the engine's. `quit`: the flusher ends. */
export const FlusherState = { idle: 0, work: 1, done: 2, quit: 3 } as const

export const STATE = 0
export const LENGTH = 1
/** How long the last entry took, in microseconds. */
export const TOOK_US = 2
/** So much of the entry is written when the rest is on stable storage; 0: all together. */
export const HEAD_BYTES = 3
export const FUSE_FD = 4
/** The engine sleeps, as far as is known, and is to be woken when it is done. */
export const RINGS = 5
const FIRST_ROW = 16
export const ROW_WORDS = 8

export const TASK = 0
export const OFFSET_LO = 1
export const OFFSET_HI = 2
/** An errno as a negative number; 0: it went well. */
export const FLUSH_RESULT = 3
export const WRITE_RESULT = 4

/** Bits of what is to be done with a device: flush it, then write the entry through. */
export const Task = { flush: 1, write: 2 } as const

export interface FlusherMemory {
  readonly words: SharedArrayBuffer
  readonly entry: SharedArrayBuffer
}

export function newFlusherMemory(devices: number, entryBytes: number): FlusherMemory {
  return {
    words: new SharedArrayBuffer(4 * rowOf(devices)),
    entry: new SharedArrayBuffer(entryBytes),
  }
}

export function rowOf(device: number): number {
  return FIRST_ROW + ROW_WORDS * device
}
