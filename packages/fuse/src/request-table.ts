/**
 * The table of open requests, in shared memory: what each serving thread is at, and what waits to be answered later, by whichever
 * thread. It tells what a mount is doing (who asked for what, and since when), finds the request that an INTERRUPT is about, and
 * bounds how many requests may wait.
 *
 * A row is written by the thread that serves the request, and freed by the one that answers it. Others only look; they may see a
 * row while it is written. One word is written by others too: an INTERRUPT may come to any thread, while the request that it is about
 * is answered in another and the row taken for the next. So the mark is set only if the word is still that request's.
 */

import { opcodeName } from './protocol.ts'

/** Words of a row. */
const ROW_WORDS = 16
const STATE = 0
const OPCODE = 1
const UNIQUE = 2 // two words
const NODE = 4 // two words
const UID = 6
const PID = 7
const INTERRUPT = 8 // lower half of the request's identity; its complement when the request has been interrupted
const STARTED = 10 // a float64: milliseconds of Unix time

const State = { free: 0, served: 1, deferred: 2 } as const

const ROWS_DEFAULT = 1024

/** A request that is being served or waits for its answer. */
export interface OpenRequest {
  readonly operation: string
  /** Identity of the request, in decimal. */
  readonly unique: string
  readonly node: number
  readonly uid: number
  readonly pid: number
  /** When it was read, milliseconds of Unix time. */
  readonly startedMs: number
  /** True if it is to be answered later; else a thread is at it right now. */
  readonly deferred: boolean
  readonly interrupted: boolean
}

/** Milliseconds of Unix time, finer than Date.now(), the same in all threads. */
export function nowMs(): number {
  return ORIGIN_MS + performance.now()
}

const ORIGIN_MS = performance.timeOrigin

export class RequestTable {
  /** The memory: whoever makes a table of it sees the same requests. */
  readonly memory: SharedArrayBuffer
  private readonly words: Int32Array
  private readonly times: Float64Array
  private readonly rows: number
  private hint = 0

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(ROWS_DEFAULT * ROW_WORDS * 4)) {
    this.memory = memory
    this.words = new Int32Array(memory)
    this.times = new Float64Array(memory)
    this.rows = memory.byteLength / (ROW_WORDS * 4)
  }

  /** Takes a free row for a thread's requests. Returns -1 if all are taken. */
  take(): number {
    for (let tries = 0; tries < this.rows; tries++) {
      const row = (this.hint + tries) % this.rows
      if (Atomics.compareExchange(this.words, row * ROW_WORDS + STATE, State.free, State.served) !== State.free)
        continue
      Atomics.store(this.words, row * ROW_WORDS + OPCODE, 0)
      this.hint = row + 1
      return row
    }
    return -1
  }

  /** Gives a row back. */
  free(row: number): void {
    Atomics.store(this.words, row * ROW_WORDS + STATE, State.free)
  }

  /** Notes the request that `row` stands for from now on. Returns when that was. */
  begin(row: number, request: Uint32Array): number {
    const { words, times } = this
    const at = row * ROW_WORDS
    // in the order of the request's header: length, opcode, unique, node, uid, gid, pid
    words[at + UNIQUE] = request[2]
    words[at + UNIQUE + 1] = request[3]
    words[at + NODE] = request[4]
    words[at + NODE + 1] = request[5]
    words[at + UID] = request[6]
    words[at + PID] = request[8]
    const now = nowMs()
    times[(at + STARTED) >> 1] = now
    Atomics.store(words, at + INTERRUPT, request[2])
    Atomics.store(words, at + OPCODE, request[1]) // from here on others see it
    return now
  }

  /** Notes that the request of `row` has been answered; the row stays with its thread. */
  end(row: number): void {
    Atomics.store(this.words, row * ROW_WORDS + OPCODE, 0)
  }

  /** Marks a request as one that is answered later. */
  defer(row: number): void {
    Atomics.store(this.words, row * ROW_WORDS + STATE, State.deferred)
  }

  /** True if `row` stands for the request of that identity, and this one waits for its answer. */
  isDeferred(row: number, uniqueHi: number, uniqueLo: number): boolean {
    const { words } = this
    const at = row * ROW_WORDS
    if (Atomics.load(words, at + STATE) !== State.deferred) return false
    return words[at + UNIQUE] === (uniqueLo | 0) && words[at + UNIQUE + 1] === (uniqueHi | 0)
  }

  /** When the request of `row` was read. */
  startedMs(row: number): number {
    return this.times[(row * ROW_WORDS + STARTED) >> 1]
  }

  /** Marks the request as interrupted and wakes who waits for that. Returns false if no open request has that identity. */
  interrupt(uniqueHi: number, uniqueLo: number): boolean {
    const { words } = this
    const low = uniqueLo | 0
    for (let at = 0; at < words.length; at += ROW_WORDS) {
      if (Atomics.load(words, at + STATE) === State.free || Atomics.load(words, at + OPCODE) === 0) continue
      if (words[at + UNIQUE] !== low || words[at + UNIQUE + 1] !== (uniqueHi | 0)) continue
      const found = Atomics.compareExchange(words, at + INTERRUPT, low, ~low)
      if (found === low) Atomics.notify(words, at + INTERRUPT)
      return found === low || found === ~low // else it has just been answered
    }
    return false
  }

  /** True if the caller of the request no longer wants to wait. */
  isInterrupted(row: number): boolean {
    const at = row * ROW_WORDS
    return Atomics.load(this.words, at + INTERRUPT) === ~this.words[at + UNIQUE]
  }

  /** Waits until the request is interrupted, at most `timeoutMs`. Returns whether it is. */
  waitForInterrupt(row: number, timeoutMs: number): boolean {
    const at = row * ROW_WORDS
    Atomics.wait(this.words, at + INTERRUPT, this.words[at + UNIQUE], timeoutMs)
    return this.isInterrupted(row)
  }

  /** The open requests, longest waiting first. */
  list(): OpenRequest[] {
    const { words } = this
    const open: OpenRequest[] = []
    for (let row = 0; row < this.rows; row++) {
      const at = row * ROW_WORDS
      const state = Atomics.load(words, at + STATE)
      const opcode = Atomics.load(words, at + OPCODE)
      if (state === State.free || opcode === 0) continue
      open.push({
        operation: opcodeName(opcode),
        unique: `${(BigInt(words[at + UNIQUE + 1] >>> 0) << 32n) | BigInt(words[at + UNIQUE] >>> 0)}`,
        node: (words[at + NODE + 1] >>> 0) * 0x100000000 + (words[at + NODE] >>> 0),
        uid: words[at + UID] >>> 0,
        pid: words[at + PID] >>> 0,
        startedMs: this.startedMs(row),
        deferred: state === State.deferred,
        interrupted: this.isInterrupted(row),
      })
    }
    return open.sort((a, b) => a.startedMs - b.startedMs)
  }
}
