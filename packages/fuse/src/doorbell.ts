/**
 * The doorbell: wakes a serving thread that waits for a request, which hears neither messages nor timers. What it is to do lies in
 * shared memory or in a MessagePort's queue (receiveMessageOnPort).
 *
 * The kernel is asked for no bytes of some regular file that it knows; its reply comes as a message to the serving thread.
 */

import { codeOf } from './errno.ts'
import { Notifier } from './notifier.ts'
import { deviceTransport } from './transport.ts'

const RUNG = 0
const NODE = 2 // a float64: a regular file that the kernel was told of last

/** `unique` of the doorbell's own requests to the kernel. */
export const DOORBELL_UNIQUE = 0x626c6c65 // 'bell'

/** The serving thread's side. */
export class Doorbell {
  readonly memory: SharedArrayBuffer
  private readonly words: Int32Array
  private readonly node: Float64Array

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(16)) {
    this.memory = memory
    this.words = new Int32Array(memory)
    this.node = new Float64Array(memory, NODE * 4, 1)
  }

  /** Notes a regular file that the kernel knows. */
  remember(node: number): void {
    this.node[0] = node
  }

  /** Whether it was rung and not answered yet; from any thread. */
  get isRung(): boolean {
    return Atomics.load(this.words, RUNG) !== 0
  }

  /** True if it was rung since this was last asked. */
  answer(): boolean {
    return this.words[RUNG] !== 0 && Atomics.exchange(this.words, RUNG, 0) !== 0
  }

  /**
   * Rings, from any thread: the session calls `Operations.doorbell` as soon as it is between two requests. `fd` is the session's
   * /dev/fuse. Returns false if it may still sleep, because the kernel doesn't know the file that was noted last, or none was: any
   * request wakes it, so have somebody call statfs(2) on the mount.
   */
  ring(fd: number): boolean {
    Atomics.store(this.words, RUNG, 1)
    const node = this.node[0]
    try {
      return node !== 0 && new Notifier(deviceTransport(fd)).retrieve(DOORBELL_UNIQUE, node, 0, 0)
    } catch (error) {
      if (codeOf(error) === 'EINVAL') return false // the node's number stands for a directory by now
      throw error
    }
  }
}
