/**
 * What follows when a key with pointers changes (`extent`, `reflink_v`, pointers to btree nodes): the sectors of its buckets, back
 * pointers, and counters. Format chapter 4, 4.4 and 4.5.2.
 *
 * The key that was there is taken away, then the new one is added. Both are checked before anything is put: a pointer that the
 * buckets contradict is an error of the volume, and the transaction has to be given up.
 */

import { BPOS_WORDS, copyBpos } from '../bpos.ts'
import { BtreeId, btreeName } from '../btree-ids.ts'
import { DataType, dataTypeName } from '../data-types.ts'
import { KeyError } from '../errors.ts'
import { entriesStart, ExtentPointers, INVALID_DEVICE, isCompressed, MAX_POINTERS } from '../extent-entries.ts'
import type { VolumeShape } from '../key-type.ts'
import { makeBackpointer, namesPointingKey, setBackpointerPos } from '../key-types/backpointer.ts'
import { GENERATIONS_AHEAD_MAX, isEmptyType } from '../key-types/bucket.ts'
import { Key, KEY_POS_AT } from '../key.ts'
import type { KeyChange, KeyTrigger, Updates } from '../transaction/updates.ts'
import type { SpaceTriggers } from './bucket-trigger.ts'
import { CounterName } from './counter-name.ts'
import { sectorsToRebalance, type Destinations } from './rebalance-need.ts'
import { makeSet } from './set-key.ts'
import { StripeBlocks } from './stripe-blocks.ts'

/** A decoded key. */
class Pointing {
  key: Key | undefined
  readonly pointers = new ExtentPointers()
  /** 1 for pointers whose bucket was used anew since: they count nowhere. */
  readonly stale = new Uint8Array(MAX_POINTERS)
}

export class PointerTrigger {
  readonly run: KeyTrigger = (updates, change) => this.follow(updates, change)
  private readonly space: SpaceTriggers
  private readonly shape: VolumeShape
  private readonly destinations: Destinations
  private readonly stripes: StripeBlocks
  private readonly old = new Pointing()
  private readonly new = new Pointing()
  private readonly found = new Key()
  private readonly made = new Key()
  private readonly pos = new Uint32Array(BPOS_WORDS)
  private readonly name = new CounterName()
  private readonly devices = new Uint8Array(MAX_POINTERS)
  /** What the back pointers of a key say. */
  private readonly from = {
    btree: 0,
    level: 0,
    dataType: 0,
    pos: new Uint32Array(BPOS_WORDS),
    sectors: 0,
    unitOffset: 0,
  }

  constructor(space: SpaceTriggers, shape: VolumeShape, destinations: Destinations) {
    this.space = space
    this.shape = shape
    this.destinations = destinations
    this.stripes = new StripeBlocks(shape)
  }

  /** Throws KeyError if the buckets, or the key itself, contradict it. */
  private follow(updates: Updates, change: KeyChange): void {
    const { old, new: now } = this
    old.key = pointing(change.old)
    now.key = pointing(change.new)
    if (old.key === undefined && now.key === undefined) return
    if (old.key !== undefined && now.key !== undefined && haveSameEntries(old.key, now.key)) return
    this.load(old, change)
    this.load(now, change)
    if (old.key !== undefined) this.check(updates, change, old, old.key, -1)
    if (now.key !== undefined) this.check(updates, change, now, now.key, 1)
    if (old.key !== undefined) this.apply(updates, change, old, old.key, -1)
    if (now.key !== undefined) this.apply(updates, change, now, now.key, 1)
    if (change.level === 0) this.noteRebalance(updates, old, now)
  }

  private load({ key, pointers }: Pointing, change: KeyChange): void {
    if (key === undefined) return
    const fault = pointers.load(key, entriesStart(key.type), this.shape)
    if (fault !== undefined) throw wrong(change, key, fault)
  }

  /** Holds the pointers against their buckets, and adds their sectors to these. */
  private check(updates: Updates, change: KeyChange, { pointers, stale }: Pointing, key: Key, sign: number): void {
    for (let i = 0; i < pointers.count; i++) {
      stale[i] = 0
      const device = pointers.device[i]
      const isOfStripe = pointers.hasStripe[i] === 1
      if (isOfStripe) {
        const fault = this.stripes.fault(updates, pointers, i)
        if (fault !== undefined) throw wrong(change, key, fault)
      }
      const member = this.shape.member(device)
      if (member === undefined) {
        if (sign > 0 && device !== INVALID_DEVICE) throw wrong(change, key, `ptr_to_invalid_device: ${device}`)
        continue
      }
      const bucket = Math.floor(pointers.sector[i] / member.bucketSectors)
      const bucketChange = this.space.change(updates, device, bucket)
      const { gen, dataType } = bucketChange.new
      const ahead = ((gen - pointers.gen[i]) << 24) >> 24
      const isCached = pointers.cached[i] === 1
      if (isCached && ahead > 0 && ahead <= GENERATIONS_AHEAD_MAX) {
        stale[i] = 1
        continue
      }
      if (ahead !== 0) {
        const what = `${device}:${bucket} gen ${pointers.gen[i]}, the bucket's is ${gen}`
        throw wrong(change, key, `${nameOfStaleness(ahead)}: ${what}`)
      }
      const type = dataTypeOf(change, isOfStripe)
      if (!isEmptyType(dataType) && classOf(dataType) !== classOf(type)) {
        const what = `${device}:${bucket} holds ${dataTypeName(dataType)}, the pointer is for ${dataTypeName(type)}`
        throw wrong(change, key, `ptr_bucket_data_type_mismatch: ${what}`)
      }
      const sectors = sign * this.diskSectors(change, key, pointers, i)
      if (!bucketChange.add(type, isOfStripe, isCached, sectors)) {
        throw wrong(change, key, `${device}:${bucket} can't have ${sectors} sectors more`)
      }
    }
  }

  /** Puts what follows besides the buckets. */
  private apply(updates: Updates, change: KeyChange, { pointers, stale }: Pointing, key: Key, sign: number): void {
    const { name, devices } = this
    const isOfNode = change.level > 0
    let total = 0
    let copies = 0
    let required = 1
    let compression = 0
    let uncompressedSectors = 0
    let compressedSectors = 0
    for (let i = 0; i < pointers.count; i++) {
      if (stale[i] === 1) continue
      const device = pointers.device[i]
      const sectors = sign * this.diskSectors(change, key, pointers, i)
      if (pointers.cached[i] === 1) {
        updates.account(name.cached(device), sectors)
      } else {
        if (sign < 0) this.removeBackpointer(updates, change, key, pointers, i)
        else this.putBackpointer(updates, change, key, pointers, i, sectors)
        if (pointers.hasStripe[i] === 1) {
          this.stripes.add(updates, pointers, i, sectors)
          required = 0
        } else {
          total += sectors
          devices[copies++] = device
        }
      }
      // a run of pointers of one compression type is counted once
      const type = pointers.compressionType[i]
      if (compression !== 0 && type !== compression) {
        updates.account(name.compression(compression), sign, uncompressedSectors, compressedSectors)
        uncompressedSectors = compressedSectors = 0
      }
      compression = type
      if (type === 0) continue
      uncompressedSectors += sign * pointers.uncompressedSectors[i]
      compressedSectors += sign * pointers.compressedSectors[i]
    }
    if (compression !== 0) updates.account(name.compression(compression), sign, uncompressedSectors, compressedSectors)
    if (copies > 0) {
      updates.account(name.replicas(isOfNode ? DataType.btree : DataType.user, required, devices, copies), total)
      if (!isOfNode && key.snapshot !== 0) updates.account(name.snapshot(key.snapshot), total)
    }
    if (isOfNode) updates.account(name.btree(change.btree), total)
    else updates.account(name.inum(key.inodeHi, key.inodeLo), sign, sign * key.size, total)
  }

  private putBackpointer(
    updates: Updates,
    change: KeyChange,
    key: Key,
    pointers: ExtentPointers,
    i: number,
    sectors: number,
  ): void {
    const { from } = this
    const device = pointers.device[i]
    const member = this.shape.member(device)
    if (member === undefined) return
    from.btree = change.btree
    from.level = change.level
    from.dataType = dataTypeOf(change, pointers.hasStripe[i] === 1)
    copyBpos(from.pos, key.words, KEY_POS_AT)
    from.sectors = sectors
    from.unitOffset = pointers.crcOffset[i]
    updates.put(
      BtreeId.backpointers,
      makeBackpointer(this.made, device, pointers.sector[i], member.bucketSectors, from),
    )
  }

  /**
   * Removes the back pointer of a pointer that is gone, unless another key has taken its position in the same transaction: when an
   * extent is cut at its back, the key of its front has the same pointer.
   */
  private removeBackpointer(
    updates: Updates,
    { btree, level }: KeyChange,
    key: Key,
    pointers: ExtentPointers,
    i: number,
  ): void {
    const { pos, found } = this
    setBackpointerPos(pos, pointers.device[i], pointers.sector[i], pointers.crcOffset[i])
    if (!updates.get(BtreeId.backpointers, pos, found)) return
    if (namesPointingKey(found, btree, level, key.words, KEY_POS_AT)) updates.remove(BtreeId.backpointers, pos)
  }

  /** Keeps the list of what is to be rewritten in the background, and its counter. */
  private noteRebalance(updates: Updates, old: Pointing, now: Pointing): void {
    const before = old.key === undefined ? 0 : sectorsToRebalance(old.pointers, this.destinations)
    const after = now.key === undefined ? 0 : sectorsToRebalance(now.pointers, this.destinations)
    if (after === before) return
    updates.account(this.name.rebalanceWork(), after - before)
    const key = now.key ?? old.key
    if (key === undefined || (after !== 0) === (before !== 0)) return
    copyBpos(this.pos, key.words, KEY_POS_AT)
    if (after !== 0) updates.put(BtreeId.rebalanceWork, makeSet(this.made, this.pos))
    else updates.remove(BtreeId.rebalanceWork, this.pos)
  }

  /** Sectors of the device that the key's own sectors take, as they are counted. */
  private diskSectors(change: KeyChange, key: Key, pointers: ExtentPointers, i: number): number {
    if (change.level > 0) return this.shape.btreeNodeSectors
    if (!isCompressed(pointers.compressionType[i])) return key.size
    return Math.ceil((key.size * pointers.compressedSectors[i]) / pointers.uncompressedSectors[i])
  }
}

function pointing(key: Key | undefined): Key | undefined {
  return key === undefined || entriesStart(key.type) < 0 ? undefined : key
}

/** Whether two keys at one position point to the same, in the same way. */
function haveSameEntries(a: Key, b: Key): boolean {
  if (a.type !== b.type || a.u64s !== b.u64s || a.size !== b.size) return false
  const end = a.u64s * 2
  for (let at = entriesStart(a.type) / 4; at < end; at++) if (a.words[at] !== b.words[at]) return false
  return true
}

/** What a pointer is for. */
function dataTypeOf({ level }: KeyChange, isOfStripe: boolean): number {
  if (level > 0) return DataType.btree
  return isOfStripe ? DataType.stripe : DataType.user
}

/** File data of all kinds can share a bucket, nothing else can. */
function classOf(dataType: number): number {
  return dataType === DataType.cached || dataType === DataType.stripe ? DataType.user : dataType
}

/** The format's name of what is wrong with a pointer whose bucket's generation is so far ahead. */
function nameOfStaleness(ahead: number): string {
  if (ahead < 0) return 'ptr_gen_newer_than_bucket_gen'
  return ahead > GENERATIONS_AHEAD_MAX ? 'ptr_too_stale' : 'stale_dirty_ptr'
}

function wrong({ btree, level }: KeyChange, key: Key, message: string): KeyError {
  return new KeyError('EIO', `${btreeName(btree)} level ${level} key ${key.posText}`, message)
}
