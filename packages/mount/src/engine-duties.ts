/** What the operations on a volume that is written need of the engine besides the files. */

import type { DeferredRequest, Reply, Request } from '@cowherd/fuse'
import type { AccessTimesKept } from './access-times.ts'

export interface EngineDuties {
  /** Answers when all that was done is on stable storage; now, or later by whomever. May throw as `FileSystemWriter.sync` does. */
  sync(request: Request): void
  /** Something was changed, in memory so far. */
  changed(): void
  /** Somebody rang. Returns whether the volume was worked on in the background, which moves what is on it. Throws nothing of the volume's. */
  work(): boolean
  /** The kernel lets go of the volume: shuts it down. Throws nothing of the volume's. */
  shutDown(): void
  /** An error that nobody waits for. */
  note(text: string): void
  rememberFile(node: number): void
  /** The kernel is to ask for a node's attributes again. */
  dropAttributes(node: number): void
  /**
   * Has the kernel write back what it keeps of a file from `start` on, up to `end`, which may be `TO_THE_END`; `then` is called when we have it.
   * Undefined if the kernel keeps nothing.
   */
  readonly writeBack: ((node: number, start: number, end: number, then: () => void) => void) | undefined
  /** Answers a request that was left for later. */
  answer(waiting: DeferredRequest, how: (reply: Reply) => boolean): void
  readonly accessTimes: AccessTimesKept
}
