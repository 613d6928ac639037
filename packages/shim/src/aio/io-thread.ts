/** What an I/O thread does: it performs requests, one after another, until all is closed. */

import { type AioMemory, Phase, SPINS, VERSION } from './aio-memory.ts'
import { complete, takeRequest } from './aio-core.ts'
import { Spinner } from './gates.ts'
import { Performer, type IoNews } from './performer.ts'
import { DEVICE } from './slots.ts'

export class IoThread {
  private readonly memory: AioMemory
  private readonly performer: Performer
  private readonly spinner: Spinner
  private readonly isClosing = (): boolean => this.memory.phase >= Phase.closing
  private readonly nextNews: () => IoNews | undefined
  private version = -1

  /** `nextNews` gives what is new of devices and buffers, piece by piece. */
  constructor(memory: AioMemory, nextNews: () => IoNews | undefined) {
    this.memory = memory
    this.performer = new Performer(memory)
    this.spinner = new Spinner(memory.words[SPINS])
    this.nextNews = nextNews
  }

  /** Performs requests until there are none and there will be none. Asynchronous only to import what a device needs. */
  async serve(): Promise<void> {
    const { memory, performer } = this
    for (let slot = this.nextRequest(); slot >= 0; slot = this.nextRequest()) {
      if (memory.submitted.count > 0) memory.work.wake(1)
      this.hearNews()
      const pending = performer.pending(memory.words[memory.slotAt(slot) + DEVICE])
      if (pending !== undefined) await pending
      complete(memory, slot, performer.perform(slot))
    }
  }

  /** Takes the next request, waiting for it; -1: closed. */
  private nextRequest(): number {
    const { memory } = this
    for (;;) {
      const slot = takeRequest(memory)
      if (slot >= 0) return slot
      if (this.isClosing()) return -1
      // Nobody's death need be looked for here: it is by who waits for requests, and the owner's ends this thread too.
      if (!this.spinner.awaits(memory.submitted, 1)) memory.work.sleep(this.isClosing)
    }
  }

  /** News are sent before their number is raised, and that before the first request that needs them. */
  private hearNews(): void {
    const version = Atomics.load(this.memory.words, VERSION)
    if (version === this.version) return
    for (let news = this.nextNews(); news !== undefined; news = this.nextNews()) this.performer.learn(news)
    this.version = version
  }
}
