/**
 * How a btree is going to lie: its keys dealt out to nodes, level by level, before anything is written. Nodes are filled by the size
 * of their unpacked keys, which packed ones never exceed; so what is built has room for what is inserted later. Format chapter 2, 2.7.
 */

import { advanceBpos, copyBpos, POS_MIN, SPOS_MAX } from '../bpos.ts'
import { BTREE_MAX_DEPTH, btreeName } from '../btree-ids.ts'
import { BtreePtrV2 } from '../btree/btree-ptr.ts'
import { NodeHeader } from '../btree/node-layout.ts'
import { BtreeError } from '../errors.ts'
import { KEY_BYTES, KEY_MAX_BYTES, KEY_POS_AT } from '../key.ts'
import type { KeyHeap } from './key-heap.ts'

/** Where a copy of a node lies. */
export interface NodePlace {
  readonly device: number
  readonly sector: number
}

/** A node: the children or keys [first, first + count) of the level below. */
export interface NodeShape {
  readonly places: readonly NodePlace[]
  readonly minKey: Uint32Array
  readonly maxKey: Uint32Array
  readonly first: number
  readonly count: number
}

export interface TreeShape {
  readonly btree: number
  /** From the leaves upwards; the last has the root alone. */
  readonly levels: readonly (readonly NodeShape[])[]
}

/** Sizes that decide how many nodes a tree has. */
export interface TreeLimits {
  readonly nodeBytes: number
  /** Copies of each node at most. */
  readonly copies: number
}

/** How many nodes each level of a tree of `bytes` of keys has, from the leaves upwards. */
export function planLevels(bytes: number, { nodeBytes, copies }: TreeLimits): number[] {
  const room = nodeBytes - NodeHeader.size
  const leafRoom = Math.max(room / 2, room - KEY_MAX_BYTES)
  const pointerBytes = KEY_BYTES + BtreePtrV2.size + 8 * copies
  const fanOut = Math.floor(room / pointerBytes)
  const levels = [Math.max(1, Math.ceil(bytes / leafRoom))]
  for (let below = levels[0]; below > 1;) {
    below = Math.ceil(below / fanOut)
    levels.push(below)
  }
  return levels
}

/** Deals the sorted keys out to the planned nodes. `take` gives the places of each. Throws BtreeError if the tree is too deep. */
export function shapeTree(btree: number, keys: KeyHeap, plan: readonly number[], take: () => NodePlace[]): TreeShape {
  if (plan.length > BTREE_MAX_DEPTH) {
    throw new BtreeError(
      'ENOSPC',
      `btree ${btreeName(btree)}`,
      `${keys.count} keys are too many for nodes of this size`,
    )
  }
  const leaves = rangesByBytes(keys, plan[0])
  const ends = leaves.map(({ first, count }, i) => {
    const last = keys.order[first + count - 1]
    return i === leaves.length - 1 ? SPOS_MAX : keys.words.slice(last + KEY_POS_AT, last + KEY_POS_AT + SPOS_MAX.length)
  })
  const levels: NodeShape[][] = [nodesOf(leaves, ends, take)]
  for (const count of plan.slice(1)) {
    const below = levels[levels.length - 1]
    const ranges = evenRanges(below.length, count)
    const last = ranges.map(({ first, count: children }) => below[first + children - 1].maxKey)
    levels.push(nodesOf(ranges, last, take))
  }
  return { btree, levels }
}

interface Range {
  readonly first: number
  readonly count: number
}

function nodesOf(ranges: readonly Range[], ends: readonly Uint32Array[], take: () => NodePlace[]): NodeShape[] {
  const start = POS_MIN.slice()
  return ranges.map(({ first, count }, i) => {
    const minKey = start.slice()
    copyBpos(start, ends[i])
    advanceBpos(start)
    return { places: take(), minKey, maxKey: ends[i], first, count }
  })
}

/** Cuts the keys into `parts` of about the same size, none of which is empty unless there is only one. */
function rangesByBytes(keys: KeyHeap, parts: number): Range[] {
  const ranges: Range[] = []
  let first = 0
  let done = 0
  for (let part = 1; part <= parts; part++) {
    let end = first
    const until = (keys.bytes * part) / parts
    const reserved = parts - part // a key for each of the others
    while (end < keys.count - reserved && (done < until || end === first || part === parts)) done += keys.bytesOf(end++)
    ranges.push({ first, count: end - first })
    first = end
  }
  return ranges
}

function evenRanges(total: number, parts: number): Range[] {
  return Array.from({ length: parts }, (_, i) => {
    const first = Math.floor((total * i) / parts)
    return { first, count: Math.floor((total * (i + 1)) / parts) - first }
  })
}
