/**
 * Ctrl-C during long work. The work is synchronous, so no signal handler runs while it lasts: it asks `pace.due()` now and
 * then (a comparison of times, a few times a second true) and awaits `pace.rest()`, which lets signals and timers in and
 * throws Interrupted after one.
 *
 * Work that waits for something else, such as a pipe, waits with `until`.
 *
 * Handlers are there only between `watch` and `unwatch`. Without them the system ends the process at once, which is right
 * for everything that only prints.
 */

import { Interrupted } from './exit-code.ts'

const REST_EVERY_MS = 100
const SIGNALS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP']

export class Interruption {
  #signal: NodeJS.Signals | undefined
  #tell: () => void = () => undefined
  #restedAt = performance.now()
  readonly #handlers = new Map<NodeJS.Signals, () => void>()

  /** From now on signals wait for the next rest. */
  watch(): void {
    if (this.#handlers.size > 0) return
    for (const signal of SIGNALS) {
      const handler = (): void => {
        this.#signal = signal
        this.#tell()
      }
      this.#handlers.set(signal, handler)
      process.on(signal, handler)
    }
  }

  unwatch(): void {
    for (const [signal, handler] of this.#handlers) process.off(signal, handler)
    this.#handlers.clear()
  }

  /** True when the last rest is long enough ago. */
  due(): boolean {
    return performance.now() - this.#restedAt > REST_EVERY_MS
  }

  /** Waits for what is promised. Throws Interrupted if a signal comes first. */
  async until<T>(promise: Promise<T>): Promise<T> {
    const interrupted = new Promise<never>((_, reject) => {
      this.#tell = () => {
        if (this.#signal !== undefined) reject(new Interrupted(this.#signal))
      }
    })
    this.#tell()
    try {
      return await Promise.race([promise, interrupted])
    } finally {
      this.#tell = () => undefined
    }
  }

  /** Lets signals in. Throws Interrupted if one came. */
  async rest(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve))
    this.#restedAt = performance.now()
    if (this.#signal !== undefined) throw new Interrupted(this.#signal)
  }
}
