/**
 * What the background has to do: extents that say so, their keys in the rebalance_work btree, and the sum of their sectors. Format chapter
 * 4, 4.5.2, and 6, 6.12.
 */

import {
  bposText,
  DataType,
  decodeTarget,
  KEY_POS_AT,
  type ExtentPointers,
  type Key,
  type Superblock,
} from '@cowherd/db'
import { named, type Counters } from './counters.ts'
import type { Faults } from './faults.ts'
import { Type } from './key-types.ts'

/** Compression types of pointers by the option's number: none, lz4, gzip, zstd. */
const TYPE_OF_OPTION: readonly number[] = [0, 3, 2, 4]
const INCOMPRESSIBLE = 5

export class RebalanceWork {
  private readonly superblock: Superblock
  private readonly faults: Faults
  private readonly counters: Counters
  /** Positions that should have a key. */
  private readonly expected = new Set<string>()
  private readonly targets = new Map<number, ReadonlySet<number> | undefined>()

  constructor(superblock: Superblock, faults: Faults, counters: Counters) {
    this.superblock = superblock
    this.faults = faults
    this.counters = counters
  }

  /** Takes a key whose entry list is in `pointers`. */
  take(key: Key, pointers: ExtentPointers): void {
    if (!pointers.hasRebalance) return
    const sectors = this.wrongCompression(pointers) + this.outsideTarget(pointers)
    if (sectors === 0) return
    this.counters.add(named.rebalanceWork, sectors)
    this.expected.add(bposText(key.words, KEY_POS_AT))
  }

  /** Looks whether a key of the btree should be there. */
  check(key: Key): void {
    if (key.type !== Type.set) return
    if (!this.expected.delete(key.posText)) this.faults.add(`rebalance_work ${key.posText}`, 'no extent there has work')
  }

  /** When all keys have been seen. */
  finish(): void {
    for (const pos of this.expected) this.faults.add(`rebalance_work ${pos}`, 'missing, an extent there has work')
  }

  private wrongCompression(pointers: ExtentPointers): number {
    const option = pointers.rebalanceCompression & 0xf
    if (option === 0) return 0
    let sectors = 0
    for (let i = 0; i < pointers.count; i++) {
      if (pointers.compressionType[i] === INCOMPRESSIBLE || pointers.unwritten[i] === 1) return 0
      if (pointers.cached[i] === 0 && pointers.compressionType[i] !== TYPE_OF_OPTION[option]) {
        sectors += pointers.compressedSectors[i]
      }
    }
    return sectors
  }

  private outsideTarget(pointers: ExtentPointers): number {
    const target = pointers.rebalanceTarget
    if (target === 0) return 0
    if (!this.targets.has(target)) this.targets.set(target, this.devicesOf(target))
    const devices = this.targets.get(target)
    if (devices === undefined) return 0
    let sectors = 0
    for (let i = 0; i < pointers.count; i++) {
      if (pointers.cached[i] === 0 && !devices.has(pointers.device[i])) sectors += pointers.compressedSectors[i]
    }
    return sectors
  }

  /** The devices of a target; undefined if none of them takes user data. */
  private devicesOf(number: number): ReadonlySet<number> | undefined {
    const { members, diskGroups } = this.superblock
    const target = decodeTarget(number)
    if (target.kind === 'none') return undefined
    const isBelow = (group: number | undefined, steps = 0): boolean =>
      group !== undefined &&
      steps <= diskGroups.length &&
      (group === target.index || isBelow(diskGroups[group].parent, steps + 1))
    const inside = members.filter(
      ({ alive, index, group }) => alive && (target.kind === 'device' ? index === target.index : isBelow(group)),
    )
    const takesData = inside.some(
      ({ state, dataAllowed }) => state === 'rw' && ((dataAllowed >> DataType.user) & 1) === 1,
    )
    return takesData ? new Set(inside.map(({ index }) => index)) : undefined
  }
}
