/**
 * The doorbell: wakes serving threads that wait for a request, which hear neither messages nor timers. What they are to do lies in
 * shared memory or in a MessagePort's queue (receiveMessageOnPort). It can also send them home.
 *
 * The kernel is asked for no bytes of some regular file that it knows; its reply comes as a message to one of the threads that wait, the one
 * that has waited longest. So there is a message for each thread, and whoever rings looks whether all have come by.
 *
 *     words: whether all are to go home | rounds | messages that are on their way | - | seat of thread 0 | seat of thread 1 | ...
 *     seat:  whether it serves | the last round that it came by in | a regular file that the kernel was told of last (a float64)
 */

import { codeOf } from './errno.ts'
import { Notifier } from './notifier.ts'
import { deviceTransport } from './transport.ts'

const DISMISSED = 0
const ROUND = 1
const ON_THEIR_WAY = 2
/** Each in a cache line of its own: they are written with every file that is looked up. */
const SEAT_WORDS = 16
const SERVES = 0
const CAME = 1
const NODE = 2

/** `unique` of the doorbell's own requests to the kernel. */
export const DOORBELL_UNIQUE = 0x626c6c65 // 'bell'

export class Doorbell {
  readonly memory: SharedArrayBuffer
  private readonly words: Int32Array
  private readonly numbers: Float64Array
  /** How many sessions can serve. */
  readonly seats: number
  /** First word of this thread's seat. */
  private readonly own: number

  /** `seat`: the number of the session that answers by this view, from 0. Those who only ring need none. */
  constructor(memory: SharedArrayBuffer = Doorbell.memoryFor(1), seat = 0) {
    this.memory = memory
    this.words = new Int32Array(memory)
    this.numbers = new Float64Array(memory)
    this.seats = this.words.length / SEAT_WORDS - 1
    if (!(seat >= 0 && seat < this.seats)) throw new RangeError(`seat ${seat} of ${this.seats}`)
    this.own = SEAT_WORDS * (seat + 1)
  }

  /** Memory for the doorbell of that many serving threads. */
  static memoryFor(threads: number): SharedArrayBuffer {
    return new SharedArrayBuffer(SEAT_WORDS * 4 * (threads + 1))
  }

  /** Notes a regular file that the kernel knows. */
  remember(node: number): void {
    this.numbers[(this.own + NODE) >> 1] = node
  }

  /** This thread serves from now on. */
  enter(): void {
    Atomics.store(this.words, this.own + SERVES, 1)
  }

  /** This thread serves no more: nobody waits for it. */
  leave(): void {
    Atomics.store(this.words, this.own + SERVES, 0)
  }

  /** True if it was rung since this thread last asked. Asked after each request, so by plain loads: a ring comes with a request. */
  answer(): boolean {
    const { words, own } = this
    const round = words[ROUND]
    if (words[own + CAME] === round) return false
    Atomics.store(words, own + CAME, round)
    return true
  }

  /** A message of the doorbell's has come. */
  heard(): void {
    Atomics.sub(this.words, ON_THEIR_WAY, 1)
  }

  /** Whether serving threads are to go home: see `dismiss`. */
  get isDismissed(): boolean {
    return this.words[DISMISSED] !== 0
  }

  /** How many serving threads have not come by since it was rung; from any thread. */
  get absent(): number {
    const round = Atomics.load(this.words, ROUND)
    return this.count((seat) => Atomics.load(this.words, seat + CAME) !== round)
  }

  /** How many threads serve. */
  get serving(): number {
    return this.count(() => true)
  }

  /** Whether it was rung and some serving thread has not come by yet; from any thread. */
  get isRung(): boolean {
    return this.absent > 0
  }

  /**
   * Rings, from any thread: the sessions call `Operations.doorbell` as soon as they are between two requests. `fd` is their /dev/fuse. Returns
   * false if they may still sleep, because the kernel doesn't know the files that were noted last, or none was: any request wakes one of
   * them, so have somebody call statfs(2) on the mount.
   */
  ring(fd: number): boolean {
    if (!this.isRung) Atomics.add(this.words, ROUND, 1)
    return this.ringAgain(fd)
  }

  /**
   * Rings for those who have not come by since `ring`: another thread may have taken their message. There are never more messages on their
   * way than threads. Returns false as `ring` does.
   */
  ringAgain(fd: number): boolean {
    const { words } = this
    const onTheirWay = Math.max(0, Atomics.load(words, ON_THEIR_WAY))
    for (let wanted = Math.max(1, this.absent) - onTheirWay; wanted > 0; wanted--) {
      Atomics.add(words, ON_THEIR_WAY, 1)
      if (this.send(fd)) continue
      Atomics.sub(words, ON_THEIR_WAY, 1)
      return false
    }
    return true
  }

  /**
   * Has all sessions on this memory end: each answers the request that it is at, and no other. They sleep on until they are rung for,
   * `ringAgain`, as long as some are `serving`.
   */
  dismiss(): void {
    Atomics.store(this.words, DISMISSED, 1)
    Atomics.add(this.words, ROUND, 1)
  }

  private count(isMeant: (seat: number) => boolean): number {
    let count = 0
    for (let seat = SEAT_WORDS; seat < this.words.length; seat += SEAT_WORDS) {
      if (Atomics.load(this.words, seat + SERVES) !== 0 && isMeant(seat)) count++
    }
    return count
  }

  /** Has the kernel send one message. False if it knows none of the files. */
  private send(fd: number): boolean {
    const notifier = new Notifier(deviceTransport(fd))
    for (let seat = SEAT_WORDS; seat < this.words.length; seat += SEAT_WORDS) {
      const node = this.numbers[(seat + NODE) >> 1] // an old one does as well, if the kernel knows it
      try {
        if (node !== 0 && notifier.retrieve(DOORBELL_UNIQUE, node, 0, 0)) return true
      } catch (error) {
        if (codeOf(error) !== 'EINVAL') throw error // the node's number stands for a directory by now
      }
    }
    return false
  }
}
