/**
 * A node as it lies on disk, set by set, for those who look inside: `list -m nodes`, `formats`, `nodes-ondisk`. Not for hot paths.
 */

import { Key } from '../key.ts'
import { ImageBuilder } from './node-image.ts'
import { NodeReader, type BsetInfo, type NodeSource } from './node-read.ts'

/** One set of keys. */
export interface BsetInspection extends BsetInfo {
  /** Visits the set's keys in order, deleted ones included. The key is valid during the call. */
  forEach(visit: (key: Key) => void): void
}

export interface NodeInspection {
  /** First and last position covered. */
  readonly minKey: Uint32Array
  readonly maxKey: Uint32Array
  /** The format of packed keys: bits and offset of inode, offset, snapshot, size, version hi, version lo. */
  readonly format: { readonly keyU64s: number; readonly bits: readonly number[]; readonly offsets: readonly bigint[] }
  readonly sets: readonly BsetInspection[]
  /** Keys that are alive after merging all sets. */
  readonly liveKeys: number
}

/** Reads the node that `pointer` points to. Throws BtreeError when no copy can be read. */
export function inspectNode(source: NodeSource, btree: number, level: number, pointer: Key): NodeInspection {
  const reader = new NodeReader(source)
  const builder = new ImageBuilder(source.nodeBytes)
  const infos: BsetInfo[] = []
  reader.onBset = (info) => {
    if (info.offsetSectors === 0) infos.length = 0 // another copy is tried from its start
    infos.push(info)
  }
  reader.read({ btree, level, words: pointer.words, at: 0 }, builder)
  const { heap } = builder
  const order = builder.order.slice(0, builder.count)
  const sets = infos.map((info, i): BsetInspection => {
    const end = i + 1 < infos.length ? infos[i + 1].firstKey : order.length
    return {
      ...info,
      forEach: (visit) => {
        const key = new Key()
        for (const at of order.subarray(info.firstKey, end)) {
          key.set(heap, at)
          visit(key)
        }
      },
    }
  })
  builder.merge()
  const { format } = reader
  return {
    minKey: reader.minKey,
    maxKey: reader.maxKey,
    format: {
      keyU64s: format.keyU64s,
      bits: [...format.bits],
      offsets: [...format.offsetLo].map((lo, i) => (BigInt(format.offsetHi[i]) << 32n) | BigInt(lo)),
    },
    sets,
    liveKeys: builder.count,
  }
}
