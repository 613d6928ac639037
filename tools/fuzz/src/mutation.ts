/** What a mutator works on, and how one is chosen. */

import type { OverlayDevice } from './overlay-device.ts'
import type { Random } from './random.ts'
import type { NodeSite, Specimen } from './specimen.ts'

export interface Mutation {
  readonly specimen: Specimen
  readonly devices: OverlayDevice[]
  readonly random: Random
  /** Btrees whose keys may have changed; undefined: any. */
  touched: Set<number> | undefined
  /** True if keys contradict each other: what comes of it shows in the files. */
  contradicts?: boolean
  /** The node that node mutators are to change, instead of one of their choice. */
  readonly node?: NodeSite
}

/** Changes the volume, and says how in a few words. */
export type Mutator = (mutation: Mutation) => string

/** Mutators with how often each is chosen, relative to the others. */
export type Weighted = readonly (readonly [weight: number, mutator: Mutator])[]

export function pickWeighted(choices: Weighted, random: Random): Mutator {
  let at = random.below(choices.reduce((sum, [weight]) => sum + weight, 0))
  for (const [weight, mutator] of choices) {
    if (at < weight) return mutator
    at -= weight
  }
  return choices[0][1]
}

/** Notes that keys of `btree` may have changed. Snapshots and alloc keys are looked at when others are read. */
export function touch(mutation: Mutation, btree: number): void {
  mutation.touched?.add(btree)
}
