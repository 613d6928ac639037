/** The registry of this process's threads: there is one. */

import { ThreadRegistry } from '@cowherd/shim'

let registry: ThreadRegistry | undefined

/** Enters the calling thread, which is going to start others. */
export function enterRegistry(): void {
  if (registry !== undefined) return
  registry = ThreadRegistry.create()
  registry.enter()
}
