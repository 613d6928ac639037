import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bpos } from './bpos.ts'
import { BtreeId } from './btree-ids.ts'
import { Key } from './key.ts'
import { SnapshotTree } from './snapshot-tree.ts'
import {
  ancestorFrom,
  isSnapshotAncestor,
  peekVersion,
  peekVisible,
  peekVisibleBack,
  putWhiteout,
  removeVisible,
} from './snapshot-updates.ts'
import { FakeUpdates } from './testing/fake-updates.ts'
import { keyOf } from './testing/keys.ts'

const BTREE = BtreeId.xattrs
const COOKIE = 3
const WHITEOUT = 1
const MAX = 0xffffffff
const INODE = 5
const OFFSETS = 6

/** Each has one of those before it as its parent, or is the root of a tree. */
interface Tree {
  updates: FakeUpdates
  ids: number[]
  snapshots: SnapshotTree
}

function treeOf(parents: readonly number[]): Tree {
  const updates = new FakeUpdates()
  const ids = [MAX, ...parents.map((_, i) => 100 - i)]
  ids.forEach((id, i) => {
    const place = i === 0 ? 0 : parents[i - 1]
    const value = new Uint8Array(56)
    new DataView(value.buffer).setUint32(4, place < i ? ids[place] : 0, true)
    updates.put(BtreeId.snapshots, keyOf({ type: 22, offset: id, value }))
  })
  return { updates, ids, snapshots: new SnapshotTree(updates.cursor(BtreeId.snapshots)) }
}

const trees = fc.tuple(...Array.from({ length: 5 }, (_, i) => fc.nat(i + 1)))
const places = fc.array(
  fc.record({ who: fc.nat(5), offset: fc.nat(OFFSETS - 1), isWhiteout: fc.boolean(), isOthers: fc.boolean() }),
  { maxLength: 25 },
)

function fill(
  { updates, ids }: Tree,
  list: readonly { who: number; offset: number; isWhiteout: boolean; isOthers: boolean }[],
) {
  for (const { who, offset, isWhiteout, isOthers } of list) {
    const inode = isOthers ? INODE + 1 - 2 * (who % 2) : INODE
    const pos = bpos(inode, isOthers ? (who % 2) * OFFSETS : offset, ids[who])
    if (isWhiteout) putWhiteout(updates, BTREE, pos)
    else updates.put(BTREE, keyOf({ type: COOKIE, inode, offset: Number(pos[1]), snapshot: ids[who], value: '01' }))
  }
}

/** What a snapshot sees at each offset, by the plain reading of format chapter 5, 5.1: the snapshot whose key it is, 0 for nothing. */
function seen({ updates, snapshots }: Tree, id: number): number[] {
  return Array.from({ length: OFFSETS }, (_, offset) => {
    const key = new Key()
    for (const ancestor of [...snapshots.ancestorsOf(id)].sort((a, b) => a - b)) {
      if (updates.get(BTREE, bpos(INODE, offset, ancestor), key)) return key.type === WHITEOUT ? 0 : ancestor
    }
    return 0
  })
}

test('the first and the last key that a snapshot sees, from anywhere', () => {
  fc.assert(
    fc.property(trees, places, (parents, list) => {
      const tree = treeOf(parents)
      fill(tree, list)
      const key = new Key()
      for (const id of tree.ids) {
        const ancestors = tree.snapshots.ancestorsOf(id)
        const view = seen(tree, id)
        for (let offset = 0; offset < OFFSETS; offset++) {
          const pos = bpos(INODE, offset, id)
          const next = view.findIndex((from, i) => i >= offset && from !== 0)
          expect(peekVisible(tree.updates, BTREE, pos, ancestors, key)).toBe(next >= 0)
          if (next >= 0) expect([key.offset, key.snapshot]).toEqual([next, view[next]])
          const last = view.findLastIndex((from, i) => i <= offset && from !== 0)
          expect(peekVisibleBack(tree.updates, BTREE, pos, ancestors, key)).toBe(last >= 0)
          if (last >= 0) expect([key.offset, key.snapshot]).toEqual([last, view[last]])
          const decides = peekVersion(tree.updates, BTREE, pos, ancestors, key)
          expect(decides && key.type !== WHITEOUT ? key.snapshot : 0).toBe(view[offset])
        }
      }
    }),
  )
})

test('what a snapshot deletes it sees no more, nor those below that saw it there; others do', () => {
  fc.assert(
    fc.property(trees, places, fc.nat(5), fc.nat(OFFSETS - 1), (parents, list, who, offset) => {
      const tree = treeOf(parents)
      fill(tree, list)
      const { updates, snapshots, ids } = tree
      const id = ids[who]
      const before = new Map(ids.map((each) => [each, seen(tree, each)]))
      removeVisible(updates, BTREE, bpos(INODE, offset, id), snapshots.ancestorsOf(id))
      for (const each of ids) {
        const expected = [...(before.get(each) ?? [])]
        const owner = expected[offset]
        // A key of a snapshot in between is nearer than that of `id`.
        if (snapshots.isAncestor(each, id) && owner !== 0 && snapshots.isAncestor(id, owner)) expected[offset] = 0
        expect(seen(tree, each)).toEqual(expected)
      }
    }),
  )
})

describe('deleting', () => {
  const key = new Key()
  test('leaves a whiteout only where something would come into view', () => {
    const { updates, snapshots, ids } = treeOf([0, 1, 2, 3, 4])
    const [root, child] = ids
    const at = (snapshot: number): Uint32Array => bpos(INODE, 1, snapshot)
    updates.put(BTREE, keyOf({ type: COOKIE, inode: INODE, offset: 1, snapshot: root, value: '01' }))
    removeVisible(updates, BTREE, at(child), snapshots.ancestorsOf(child))
    expect(updates.get(BTREE, at(child), key) && key.type).toBe(WHITEOUT)
    removeVisible(updates, BTREE, at(root), snapshots.ancestorsOf(root))
    expect(updates.get(BTREE, at(root), key)).toBe(false)
    removeVisible(updates, BTREE, at(child), snapshots.ancestorsOf(child))
    expect(updates.keys(BTREE)).toEqual([])
  })
})

test('who is above whom, by the btree', () => {
  fc.assert(
    fc.property(trees, (parents) => {
      const { updates, ids, snapshots } = treeOf(parents)
      for (const id of ids) {
        for (const other of ids) {
          expect(isSnapshotAncestor(updates, id, other)).toBe(snapshots.isAncestor(id, other))
          const above = [...snapshots.ancestorsOf(id)].filter((each) => each >= other).sort((a, b) => a - b)
          expect(ancestorFrom(updates, id, other)).toBe(above[0] ?? 0)
        }
      }
    }),
  )
})
