/** What a copy could not keep, and why: collected while copying, told at the end in one line a kind. */

import { pathText } from '../cli/volume-path.ts'

/** Hears of losses. */
export interface Losses {
  /** `what` of the file at `path` is not kept because of `reason`. */
  add(what: string, path: Uint8Array, reason: string): void
}

/** What losses of an extended attribute are told as: those of a name space together. */
export function attributeKind(name: string): string {
  return name.startsWith('system.posix_acl_') ? 'access control lists' : `attributes ${name.replace(/\..*/s, '.*')}`
}

/** Losses in the order in which they were heard of, in a form that can be posted. */
export class LossList implements Losses {
  #entries: LossEntry[] = []

  add(what: string, path: Uint8Array, reason: string): void {
    this.#entries.push([`${what}: ${reason}`, pathText(path)])
  }

  /** Gives out what was added. */
  take(): readonly LossEntry[] {
    const entries = this.#entries
    if (entries.length > 0) this.#entries = []
    return entries.length > 0 ? entries : NOTHING
  }
}

export type LossEntry = readonly [kind: string, path: string]

const NOTHING: readonly LossEntry[] = []

interface Loss {
  count: number
  readonly first: string
}

export class Unkept implements Losses {
  readonly #losses = new Map<string, Loss>()

  add(what: string, path: Uint8Array, reason: string): void {
    this.#count(`${what}: ${reason}`, pathText(path))
  }

  addAll(entries: readonly LossEntry[]): void {
    for (const [kind, path] of entries) this.#count(kind, path)
  }

  /** A line for each kind of loss. */
  lines(): string[] {
    return Array.from(this.#losses, ([kind, { count, first }]) =>
      count === 1 ? `not kept: ${kind} (${first})` : `not kept: ${kind} (${count} files, the first is ${first})`,
    )
  }

  #count(kind: string, path: string): void {
    const loss = this.#losses.get(kind)
    if (loss === undefined) this.#losses.set(kind, { count: 1, first: path })
    else loss.count++
  }
}
