/** Writes the nodes of a btree that is shaped, each to all of its places, and gives the pointer to its root. */

import type { WritableBlockDevice } from '@cowherd/shim'
import { makeNodePointer } from '../btree/node-pointer.ts'
import type { NodeWriter } from '../btree/node-write.ts'
import { Key } from '../key.ts'
import { KeyHeap } from './key-heap.ts'
import type { TreeShape } from './tree-shape.ts'

export interface TreeRoot {
  readonly btree: number
  readonly level: number
  readonly pointer: Key
}

export interface TreeTarget {
  /** By index. */
  readonly devices: readonly (WritableBlockDevice | undefined)[]
  readonly writer: NodeWriter
  /** Fills memory with bytes that nobody can guess. */
  readonly random: (bytes: Uint8Array) => void
}

/** Nodes that replace none but the empty root of the beginning. */
const FIRST_GENERATION = 1
const SECTOR = 512

/** Writes the tree; `keys` are those of its leaves. Throws DeviceError. */
export function writeTree({ btree, levels }: TreeShape, keys: KeyHeap, target: TreeTarget): TreeRoot {
  const seq = new Uint32Array(2)
  let below = keys
  levels.forEach((nodes, level) => {
    const pointers = new KeyHeap()
    for (const node of nodes) {
      do target.random(new Uint8Array(seq.buffer))
      while (seq[0] === 0 && seq[1] === 0)
      const description = { ...node, btree, level, seqLo: seq[0], seqHi: seq[1], generation: FIRST_GENERATION }
      const list = { words: below.words, base: 0, order: below.order, first: node.first, count: node.count }
      if (!target.writer.makeNode(description, list)) throw new RangeError('a node was given more than it can hold')
      const { bytes } = target.writer
      for (const { device, sector } of node.places) target.devices[device]?.write(bytes, sector * SECTOR)
      const places = node.places.map((place) => ({ ...place, gen: 0 })) // no bucket was used before
      pointers.add(makeNodePointer(new Key(), description, bytes.length / SECTOR, places))
    }
    below = pointers
  })
  const pointer = new Key()
  pointer.set(below.words, below.order[0])
  return { btree, level: levels.length - 1, pointer }
}
