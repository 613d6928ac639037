import { describe, expect, it } from 'vitest'
import { bpos, POS_MIN, SPOS_MAX } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import { ImageBuilder } from '../btree/node-image.ts'
import { Key, KEY_POS_AT } from '../key.ts'
import { JournalKeys } from './journal-keys.ts'

const SET = 25
const DELETED = 0
const ACCOUNTING = 34

/** An unpacked key at 1:offset:0 with 64-bit value words; `version` is the low 64 bits. */
function key(type: number, offset: number, values: bigint[] = [], version = 0n): Uint32Array {
  const words = new Uint32Array(10 + 2 * values.length)
  words[0] = (5 + values.length) | 0x100 | (type << 16)
  const view = new DataView(words.buffer)
  view.setBigUint64(4, version, true)
  words.set(bpos(1, offset), KEY_POS_AT)
  values.forEach((value, i) => view.setBigInt64(40 + 8 * i, value, true))
  return words
}

/** What a node with the keys of `node` shows with the journal's keys over it: `offset=values`. */
function shown(btree: number, node: Uint32Array[], journal: Uint32Array[], max = SPOS_MAX): string[] {
  const bytes = journal.reduce((sum, { byteLength }) => sum + byteLength, 0)
  const own = JournalKeys.ofCapacity(bytes, true)
  for (const each of journal) own.add(btree, 0, each, 0)
  own.seal()
  const keys = JournalKeys.of(structuredClone(own.share()))
  const builder = new ImageBuilder(64)
  builder.reset()
  for (const each of node) {
    builder.room()
    builder.heap.set(each, builder.used)
    builder.append(each.length)
  }
  builder.merge()
  if (keys.has(btree, 0)) keys.overlay(btree, 0, POS_MIN, max, builder)
  builder.merge()
  return Array.from({ length: builder.count }, (_, i) => {
    const found = new Key()
    found.set(builder.heap, builder.order[i])
    const values = Array.from({ length: found.valueBytes / 8 }, (_, v) => found.view.getBigInt64(40 + 8 * v, true))
    return `${found.offset}=${values.join(',')}${found.version === 0n ? '' : `@${found.version}`}`
  })
}

describe('the keys of the live journal', () => {
  it('override those of the node, the last one of a position winning, and delete', () => {
    const node = [key(SET, 1, [1n]), key(SET, 3, [3n]), key(SET, 5, [5n])]
    const journal = [key(SET, 3, [30n]), key(SET, 9, [9n]), key(SET, 3, [31n]), key(DELETED, 5), key(SET, 2, [2n])]
    expect(shown(BtreeId.lru, node, journal)).toEqual(['1=1', '2=2', '3=31', '9=9'])
    expect(shown(BtreeId.lru, node, [key(DELETED, 1), key(SET, 1, [7n])])).toEqual(['1=7', '3=3', '5=5'])
  })

  it('behind the node stay out of it', () => {
    expect(shown(BtreeId.lru, [], [key(SET, 1), key(SET, 4), key(SET, 5)], bpos(1, 4))).toEqual(['1=', '4='])
  })

  it('of accounting are added to the totals that they are newer than (format chapter 3, 3.6.4)', () => {
    const node = [key(ACCOUNTING, 1, [100n, -5n], 20n)]
    const journal = [
      key(ACCOUNTING, 1, [1n, 1n], 20n), // already in the total
      key(ACCOUNTING, 1, [10n, -1n], 21n),
      key(ACCOUNTING, 2, [4n, 4n], 22n),
      key(ACCOUNTING, 1, [-200n, 2n], 23n),
      key(ACCOUNTING, 2, [3n, -4n], 24n),
    ]
    expect(shown(BtreeId.accounting, node, journal)).toEqual(['1=-90,-4@23', '2=7,0@24'])
  })
})
