/** Records and their text; the expected lines are what the real tool prints for them in a section `clean`. */

import { encodeUtf8, localTimeText } from '@cowherd/kernel-lib'
import { expect, test } from 'vitest'
import type { KeyType, VolumeShape } from '../key-type.ts'
import { walkRecords } from './jset-layout.ts'
import { recordText } from './record-text.ts'

const keyTypes = new Map<number, KeyType>(
  [
    { number: 0, name: 'deleted', minValueBytes: 0 },
    { number: 25, name: 'set', minValueBytes: 0 },
  ].map((type) => [type.number, type]),
)
const shape: VolumeShape = {
  member: () => undefined,
  btreeNodeSectors: 256,
  blockSectors: 8,
  encodedExtentMaxSectors: 128,
  encrypted: false,
  groupPath: () => undefined,
}

function u64s(...values: (number | bigint)[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(values.map(BigInt)).buffer)
}

/** A key without a value, or with one word of it. */
function key(type: number, [inode, offset, snapshot]: [number, number, number], ...value: number[]): Uint8Array {
  const bytes = new Uint8Array(40 + 8 * value.length)
  const view = new DataView(bytes.buffer)
  bytes.set([bytes.length / 8, 1, type])
  view.setUint32(20, snapshot, true)
  view.setUint32(24, offset, true)
  view.setUint32(32, inode, true)
  bytes.set(u64s(...value), 40)
  return bytes
}

function text(type: number, data: Uint8Array, btree = 0, level = 0): string {
  const words = Math.ceil(data.length / 8)
  const bytes = new Uint8Array(8 + 8 * words)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, words, true)
  bytes.set([btree, level, type], 2)
  bytes.set(data, 8)
  const texts: string[] = []
  expect(walkRecords(view, 0, bytes.length, (record) => texts.push(recordText(view, record, keyTypes, shape)))).toBe(
    undefined,
  )
  return texts.join('')
}

test.each([
  ['btree_root: ', text(1, u64s(), 3, 1)],
  ['btree_keys: btree=xattrs l=0 u64s 5 type deleted 1:2:3 len 0 ver 0', text(0, key(0, [1, 2, 3]), 3)],
  ['overwrite: btree=inodes l=0 u64s 5 type deleted POS_MIN len 0 ver 0', text(10, key(0, [0, 0, 0]), 1)],
  ['write_buffer_keys: btree=dirents l=0 u64s 6 type set 1:1:1 len 0 ver 0: ', text(11, key(25, [1, 1, 1], 3), 2)],
  ['prio_ptrs: ', text(2, u64s(1, 2))],
  ['blacklist: seq=9', text(3, u64s(9))],
  ['blacklist_v2: start=5 end=9', text(4, u64s(5, 9))],
  ['usage: type=reserved v=7', text(5, u64s(7))],
  ['usage: type=key_version v=7', text(5, u64s(7), 2)],
  ['usage: type=(unknown fs_usage_type 9) v=7', text(5, u64s(7), 9)],
  ['data_usage: user: 1/2 [0 1]=123', text(6, Uint8Array.of(123, 0, 0, 0, 0, 0, 0, 0, 4, 2, 1, 0, 1))],
  ['clock: read=5', text(7, u64s(0, 5))],
  ['clock: write=6', text(7, u64s(1, 6))],
  [
    'dev_usage: dev=1  \n  free: buckets=4 sectors=5 fragmented=6\n  sb: buckets=7 sectors=8 fragmented=9',
    text(8, u64s(1, 2, 3, 4, 5, 6, 7, 8, 9)),
  ],
  ['log: hello', text(9, encodeUtf8('hello'))],
  ['log: 12345678', text(9, encodeUtf8('12345678'), 0, 1)],
  ['log: ', text(9, u64s())],
  [`datetime: ${localTimeText(1700000000n)}`, text(12, u64s(1700000000))],
  ['(unknown jset_entry_type 13)', text(13, u64s(1, 2, 3))],
])('%s', (expected, printed) => {
  expect(printed).toBe(expected)
})

test('several keys are several lines', () => {
  const keys = [key(0, [1, 2, 3]), key(25, [9, 8, 7], 5)]
  expect(text(0, Uint8Array.of(...keys[0], ...keys[1]), 3, 1)).toBe(
    'btree_keys: btree=xattrs l=1 u64s 5 type deleted 1:2:3 len 0 ver 0\n' +
      'btree_keys: btree=xattrs l=1 u64s 6 type set 9:8:7 len 0 ver 0: ',
  )
})

test('records that are too short, or hold no keys, print without failing', () => {
  for (let type = 0; type < 14; type++) {
    for (const data of [u64s(), u64s(0), u64s((1n << 64n) - 1n), u64s(1, 255)])
      expect(typeof text(type, data)).toBe('string')
  }
})
