/**
 * The space of a volume that is open for writing, as the database deals with it: what follows from pointers, counters in memory, room for
 * btree nodes, and what the superblock has to say before something comes to lie where nothing was. Format chapter 4.
 */

import { DeviceError, type WritableBlockDevice } from '@cowherd/shim'
import type { NodePlace } from './btree/node-pointer.ts'
import type { NodeSpace, PointerChange } from './btree/tree-writer.ts'
import type { Allocator } from './space/allocator.ts'
import type { SpaceTriggers } from './space/bucket-trigger.ts'
import type { PointerTrigger } from './space/pointer-trigger.ts'
import { Watermark } from './space/reserves.ts'
import type { Usage } from './space/usage.ts'
import type { DeviceHealth } from './device-health.ts'
import type { VolumeShape } from './key-type.ts'
import { AccountingType } from './key-types/accounting.ts'
import { KEY_POS_AT, KEY_WORDS } from './key.ts'
import type { Committer } from './transaction/committer.ts'
import type { Transaction } from './transaction/transaction.ts'

const SECTOR = 512

export interface VolumeSpaceParts {
  readonly devices: readonly (WritableBlockDevice | undefined)[]
  readonly health: DeviceHealth
  readonly shape: VolumeShape
  /** Sectors written since the volume was made. */
  readonly clocks: { written: number }
  readonly usage: Usage
  readonly allocator: Allocator
  readonly buckets: SpaceTriggers
  readonly pointers: PointerTrigger
  /** Serves what follows from changes of nodes. */
  readonly tx: Transaction
  /** Nothing is written to that could be reached when all began: nodes that change move, once. */
  readonly isStaged: boolean
}

export class VolumeSpace implements NodeSpace {
  private readonly parts: VolumeSpaceParts
  private committer: Committer | undefined
  /** Places of nodes that were not there when all began, if that matters. */
  private readonly fresh = new Set<number>()
  private readonly posBytes = new Uint8Array(20)
  private readonly posWords = new Uint32Array(this.posBytes.buffer)

  constructor(parts: VolumeSpaceParts) {
    this.parts = parts
  }

  /** Who commits what follows from changes of nodes. */
  bind(committer: Committer): void {
    this.committer = committer
  }

  allocate(): readonly NodePlace[] {
    const places = this.parts.allocator.allocateNode(Watermark.interiorUpdates)
    if (this.parts.isStaged) for (const place of places) this.fresh.add(idOf(place))
    return places
  }

  done(places: readonly NodePlace[]): void {
    this.parts.allocator.done(places)
  }

  cover(places: readonly NodePlace[]): void {
    const { health, shape } = this.parts
    let isChanged = false
    for (const { device, sector } of places) {
      isChanged = health.live.coverNode(device, sector, shape.btreeNodeSectors) || isChanged
    }
    if (isChanged) health.writeSuperblock()
  }

  areWritable(places: readonly NodePlace[]): boolean {
    const { isStaged, health } = this.parts
    return places.every((place) => health.isWritable(place.device) && (!isStaged || this.fresh.has(idOf(place))))
  }

  write(places: readonly NodePlace[], bytes: Uint8Array, offset: number): boolean {
    const { devices, health, clocks } = this.parts
    let isWhole = true
    for (const { device, sector } of places) {
      try {
        devices[device]?.write(bytes, sector * SECTOR + offset)
      } catch (error) {
        if (!(error instanceof DeviceError)) throw error
        health.fail(device, error)
        isWhole = false
      }
    }
    clocks.written += bytes.length / SECTOR
    return isWhole
  }

  settle(btree: number, changes: readonly PointerChange[], seq: number): void {
    const { tx, buckets, pointers } = this.parts
    if (this.committer === undefined) throw new RangeError('nobody commits')
    tx.begin(seq)
    buckets.begin()
    for (const change of changes) pointers.run(tx, { btree, ...change })
    buckets.finish(tx)
    this.committer.settle(tx)
  }

  /** Before counters change: a set of devices that holds something from then on has to be in the superblock. Chapter 4, 4.7.2. */
  beforeCounters(words: Uint32Array, at: number): void {
    if ((words[at + KEY_POS_AT] & 0xff) !== AccountingType.replicas || words[at + KEY_WORDS + 1] >>> 31 !== 0) return
    const { posBytes, posWords } = this
    for (let i = 0; i < posWords.length; i++) posWords[i] = words[at + KEY_POS_AT + i]
    const devices = posBytes.subarray(4, 4 + posBytes[2])
    const entry = { dataType: posBytes[1], required: posBytes[3], devices: [...devices] }
    const { health } = this.parts
    if (health.live.addReplicas(entry)) health.writeSuperblock()
  }

  /** The same when the counters have changed. */
  afterCounters(words: Uint32Array, at: number): void {
    this.parts.usage.applyKey(words, at)
  }
}

function idOf({ device, sector }: NodePlace): number {
  return device * 2 ** 44 + sector
}
