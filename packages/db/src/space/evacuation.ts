/**
 * Empties parts of devices: follows back pointers to the keys that point there, and has what they point to written elsewhere: btree nodes
 * anew, data as it is. Each key is changed in a transaction of its own. Format chapter 4, 4.9.7, and 6, 6.12.3.
 */

import { BPOS_WORDS, compareBpos, copyBpos } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import type { KeyCursor } from '../btree/cursor.ts'
import { placesOf } from '../btree/node-pointer.ts'
import { PositionList } from '../btree/position-list.ts'
import type { ExtentMover } from '../data/extent-mover.ts'
import { entriesStart, ExtentPointers } from '../extent-entries.ts'
import type { VolumeShape } from '../key-type.ts'
import { backpointer, PointingPlace, sectorOf, setBackpointerPos } from '../key-types/backpointer.ts'
import { Key, KEY_POS_AT } from '../key.ts'
import type { Updates } from '../transaction/updates.ts'
import type { Allocator } from './allocator.ts'

export interface EvacuationSource {
  readonly shape: VolumeShape
  readonly mover: ExtentMover
  readonly allocator: Pick<Allocator, 'done'>
  /** A walk over the committed keys of a level of a btree. */
  cursor(btree: number, level: number): KeyCursor
  /** Level of a btree's root, and the pointer to it. */
  rootLevel(btree: number): number
  rootPointer(btree: number): Key | undefined
  /** Writes the node at `level` of a btree that covers `pos` anew, elsewhere. */
  rewriteNode(btree: number, level: number, pos: Uint32Array): void
  /** Commits a transaction. */
  commit(change: (updates: Updates) => void): void
}

export interface EvacuationProgress {
  /** What was moved, and what could not be. */
  readonly moved: number
  readonly left: number
  /** The sector behind: where to go on. The end of what was asked for if there is nothing more. */
  readonly nextSector: number
}

/** What is moved. */
export type EvacuationKind = 'all' | 'nodes'

const LEVELS = 8

export class Evacuation {
  private readonly source: EvacuationSource
  private readonly backpointers: KeyCursor
  /** By btree and level. */
  private readonly cursors = new Map<number, KeyCursor>()
  private readonly found = new PositionList()
  private readonly pointing = new PointingPlace()
  private readonly pointers = new ExtentPointers()
  private readonly key = new Key()
  private readonly pos = new Uint32Array(BPOS_WORDS)
  private readonly end = new Uint32Array(BPOS_WORDS)

  constructor(source: EvacuationSource) {
    this.source = source
    this.backpointers = source.cursor(BtreeId.backpointers, 0)
  }

  /** Moves all that lies in a bucket. Throws as `move` does. */
  emptyBucket(device: number, bucket: number): EvacuationProgress {
    const member = this.source.shape.member(device)
    if (member === undefined) return { moved: 0, left: 0, nextSector: 0 }
    const start = bucket * member.bucketSectors
    return this.move(device, start, start + member.bucketSectors, Infinity, 'all')
  }

  /**
   * Moves what lies between two sectors of a device, `most` nodes and extents at most. Throws VolumeError ENOSPC if there is no room for
   * them elsewhere: what was moved before is moved. Throws KeyError, BtreeError, and what a commit throws.
   */
  move(device: number, fromSector: number, toSector: number, most: number, kind: EvacuationKind): EvacuationProgress {
    const nextSector = this.collect(device, fromSector, toSector, most, kind)
    const { found } = this
    let moved = 0
    let left = 0
    for (let i = 0; i < found.count; i++) {
      copyBpos(this.pos, found.words, i * BPOS_WORDS)
      if (this.follow(device)) moved++
      else left++
    }
    return { moved, left, nextSector }
  }

  /** Notes where the back pointers are: they change as things are moved. Returns the sector of the first that is not noted. */
  private collect(device: number, from: number, to: number, most: number, kind: EvacuationKind): number {
    const { backpointers, found, pos, end, pointing } = this
    found.clear()
    setBackpointerPos(pos, device, from, 0)
    setBackpointerPos(end, device, to, 0)
    const { key } = backpointers
    let lastSector = from
    for (let more = backpointers.seek(pos); more; more = backpointers.next()) {
      if (compareBpos(key.words, KEY_POS_AT, end, 0) >= 0) break
      if (key.type !== backpointer.number) continue
      const sector = sectorOf(key)
      // several fragments of a unit have one sector
      if (found.count >= most && sector > lastSector) return sector
      lastSector = sector
      pointing.load(key)
      if (kind === 'all' || pointing.level > 0) found.add(key.words, KEY_POS_AT)
    }
    return to
  }

  /** Moves what the back pointer at `pos` is of. False if it can't be, or the key doesn't point there. */
  private follow(device: number): boolean {
    const { backpointers, pos, pointing } = this
    // moving one thing may have moved another, or made it vanish
    if (!isAt(backpointers, pos)) return true
    pointing.load(backpointers.key)
    return pointing.level > 0 ? this.moveNode(device) : this.moveData(device)
  }

  private moveNode(device: number): boolean {
    const { source, pointing, pos, end } = this
    const { btree, level } = pointing
    const isRoot = level === source.rootLevel(btree) + 1
    const cursor = this.cursor(btree, level)
    const pointer = isRoot ? source.rootPointer(btree) : isAt(cursor, pointing.pos) ? cursor.key : undefined
    if (pointer === undefined) return false
    const leadsHere = placesOf(pointer.words, 0).some((place) => {
      setBackpointerPos(end, place.device, place.sector, 0)
      return place.device === device && compareBpos(end, 0, pos, 0) === 0
    })
    if (!leadsHere) return false
    source.rewriteNode(btree, level - 1, pointing.pos)
    return true
  }

  private moveData(device: number): boolean {
    const { source, pointing, pointers, key } = this
    const { btree } = pointing
    const cursor = this.cursor(btree, 0)
    if (!isAt(cursor, pointing.pos)) return false
    key.set(cursor.key.words, 0)
    const start = entriesStart(key.type)
    if (start < 0) return false
    pointers.decode(key, start)
    const index = this.indexOf(device)
    if (index < 0) return false
    const places = source.mover.move(key, pointers, index)
    if (places === undefined) return false
    try {
      source.commit((updates) => updates.put(btree, key))
    } finally {
      source.allocator.done(places)
    }
    return true
  }

  /** Which of the decoded pointers has its back pointer at `pos`; -1: none. */
  private indexOf(device: number): number {
    const { pointers, pos, end } = this
    for (let i = 0; i < pointers.count; i++) {
      if (pointers.device[i] !== device || pointers.cached[i] === 1 || pointers.hasStripe[i] === 1) continue
      setBackpointerPos(end, device, pointers.sector[i], pointers.crcOffset[i])
      if (compareBpos(end, 0, pos, 0) === 0) return i
    }
    return -1
  }

  private cursor(btree: number, level: number): KeyCursor {
    const place = btree * LEVELS + level
    let cursor = this.cursors.get(place)
    if (cursor === undefined) this.cursors.set(place, (cursor = this.source.cursor(btree, level)))
    return cursor
  }
}

/** Whether there is a key at exactly `pos`: the cursor stands on it then. */
function isAt(cursor: KeyCursor, pos: Uint32Array): boolean {
  return cursor.seek(pos) && compareBpos(cursor.key.words, KEY_POS_AT, pos, 0) === 0
}
