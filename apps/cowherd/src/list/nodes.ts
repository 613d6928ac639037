/** `list -m nodes`, `formats` and `nodes-ondisk`: the nodes of a btree and what they look like on disk. */

import {
  BtreeError,
  btreeName,
  bposText,
  compareBpos,
  KEY_POS_AT,
  SPOS_MAX,
  type Bpos,
  type Key,
  type NodeInspection,
  type Volume,
} from '@cowherd/db'
import type { KeyRange } from './keys.ts'
import type { KeyPrinter } from './key-printer.ts'

type Cursor = ReturnType<Volume['cursor']>

/**
 * Visits the nodes of `range.level` and above that meet the range, children before their parents. `pointer` is valid
 * during the visit. Where interior nodes can't be read, the rest of the btree is not visited: `fail` is told.
 */
export function* walkNodes(
  volume: Volume,
  range: KeyRange,
  fail: (message: string) => void,
): Generator<{ readonly level: number; readonly pointer: Key }> {
  const { btree, start, end } = range
  const root = volume.rootPointer(btree)
  const rootLevel = volume.rootLevel(btree)
  if (root === undefined || range.level > rootLevel) return
  // The keys of level n point to the nodes of level n - 1.
  const cursors: { cursor: Cursor; found: boolean }[] = []
  let isPast = false

  function* below(level: number, last: Bpos | Uint32Array, lastAt: number): ReturnType<typeof walkNodes> {
    const children = cursors[level + 1]
    const { key } = children.cursor
    while (children.found && !isPast && compareBpos(key.words, KEY_POS_AT, last, lastAt) <= 0) {
      if (level > range.level) yield* below(level - 1, key.words, KEY_POS_AT)
      yield { level, pointer: key }
      if (compareBpos(key.words, KEY_POS_AT, end, 0) >= 0) isPast = true
      children.found = children.cursor.next()
    }
  }

  try {
    for (let level = range.level + 1; level <= rootLevel; level++) {
      const cursor = volume.cursor(btree, level)
      cursors[level] = { cursor, found: cursor.seek(start) }
    }
    if (rootLevel > range.level) yield* below(rootLevel - 1, SPOS_MAX, 0)
  } catch (error) {
    if (!(error instanceof BtreeError)) throw error
    fail(`btree ${btreeName(btree)}: ${error.message}`)
  }
  yield { level: rootLevel, pointer: root }
}

/** Range, pointers and key format of a node, several lines. */
export function formatText(printer: KeyPrinter, level: number, pointer: Key, node: NodeInspection): string {
  const { keyU64s, bits, offsets } = node.format
  const fields = bits.map((width, i) => `${width}:${offsets[i]}`).join(', ')
  return (
    `l ${level} ${bposText(node.minKey)} - ${bposText(node.maxKey)}:\n` +
    `    ptrs: ${printer.valueText(pointer)}\n` +
    `    format: u64s ${keyU64s} fields ${fields}\n` +
    `    sets ${node.sets.length} live keys ${node.liveKeys}\n`
  )
}

/** All sets of a node with their keys. */
export function writeSets(printer: KeyPrinter, node: NodeInspection, write: (text: string) => void): void {
  for (const set of node.sets) {
    write(`  offset ${set.offsetSectors} version ${set.version}, journal seq ${set.journalSeq}\n`)
    set.forEach((key) => write(`    ${printer.text(key).replaceAll('\n', '\n    ')}\n`))
  }
}

/** A node for JSON. */
export function nodeRecord(
  printer: KeyPrinter,
  btree: number,
  level: number,
  pointer: Key,
  node: NodeInspection | undefined,
  withKeys: boolean,
): Record<string, unknown> {
  const record: Record<string, unknown> = { pointer: printer.record(pointer, btree, level + 1) }
  if (node === undefined) return record
  const { keyU64s, bits, offsets } = node.format
  return {
    ...record,
    min_key: bposText(node.minKey),
    max_key: bposText(node.maxKey),
    format: { key_u64s: keyU64s, bits_per_field: bits, field_offset: offsets },
    live_keys: node.liveKeys,
    sets: node.sets.map((set) => {
      const { offsetSectors, version, journalSeq } = set
      const described = { offset: offsetSectors, version, journal_seq: journalSeq, u64s: set.u64s }
      if (!withKeys) return described
      const keys: unknown[] = []
      set.forEach((key) => keys.push(printer.record(key, btree, level)))
      return { ...described, keys }
    }),
  }
}
