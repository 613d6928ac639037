/** Writes the nodes of a btree that is shaped, each to all of its places, and gives the pointer to its root. */

import type { WritableBlockDevice } from '@cowherd/shim'
import { BTREE_PTR_V2_TYPE, BtreePtrV2 } from '../btree/btree-ptr.ts'
import type { NodeWriter } from '../btree/node-write.ts'
import { Key } from '../key.ts'
import { KeyHeap } from './key-heap.ts'
import type { NodeShape, TreeShape } from './tree-shape.ts'

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
      pointers.add(pointerTo(node, seq, bytes.length / SECTOR))
    }
    below = pointers
  })
  const pointer = new Key()
  pointer.set(below.words, below.order[0])
  return { btree, level: levels.length - 1, pointer }
}

function pointerTo(node: NodeShape, seq: Uint32Array, sectorsWritten: number): Key {
  const head = BtreePtrV2.bytes({
    memPtr: 0n,
    seq: (BigInt(seq[1]) << 32n) | BigInt(seq[0]),
    sectorsWritten,
    flags: 0,
    minKey: [...new Uint8Array(node.minKey.buffer, node.minKey.byteOffset, node.minKey.byteLength)],
  })
  const value = new Uint8Array(head.length + 8 * node.places.length)
  value.set(head)
  const view = new DataView(value.buffer)
  node.places.forEach(({ device, sector }, i) => {
    // type 1, sector, device; the generation of a bucket that was never used is 0
    view.setBigUint64(head.length + 8 * i, 1n | (BigInt(sector) << 4n) | (BigInt(device) << 48n), true)
  })
  return new Key().make(BTREE_PTR_V2_TYPE, node.maxKey, value)
}
