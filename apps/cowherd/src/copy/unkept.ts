/** What a copy could not keep, and why: collected while copying, told at the end in one line a kind. */

import { pathText } from '../cli/volume-path.ts'

interface Loss {
  count: number
  readonly first: string
}

export class Unkept {
  readonly #losses = new Map<string, Loss>()

  /** `what` of the file at `path` is not kept because of `reason`. */
  add(what: string, path: Uint8Array, reason: string): void {
    const kind = `${what}: ${reason}`
    const loss = this.#losses.get(kind)
    if (loss === undefined) this.#losses.set(kind, { count: 1, first: pathText(path) })
    else loss.count++
  }

  get isEmpty(): boolean {
    return this.#losses.size === 0
  }

  /** A line for each kind of loss. */
  lines(): string[] {
    return Array.from(this.#losses, ([kind, { count, first }]) =>
      count === 1 ? `not kept: ${kind} (${first})` : `not kept: ${kind} (${count} files, the first is ${first})`,
    )
  }
}
