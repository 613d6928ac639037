/**
 * Pointers into erasure-coded stripes: the stripe counts the live sectors of each of its data blocks, and the sectors count as a copy
 * on all of the stripe's devices. Format chapter 4, 4.5.2 (5); chapter 6, 6.11.
 */

import type { ValueOf } from '@cowherd/kernel-lib'
import { BPOS_WORDS, setBpos } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import { DataType } from '../data-types.ts'
import { KeyError } from '../errors.ts'
import { MAX_POINTERS, type ExtentPointers } from '../extent-entries.ts'
import type { VolumeShape } from '../key-type.ts'
import { stripe, stripeCountsAt, STRIPE_POINTERS_AT, StripeValue } from '../key-types/stripe.ts'
import { Key, KEY_BYTES } from '../key.ts'
import type { Updates } from '../transaction/updates.ts'
import { CounterName } from './counter-name.ts'

const BLOCK_SECTORS_MAX = 0xffff
const STRIPE_INDEX_MAX = 0xffffffff
const PLACE = { btree: BtreeId.stripes, level: 0 }

export class StripeBlocks {
  private readonly shape: VolumeShape
  private readonly key = new Key()
  private readonly pos = new Uint32Array(BPOS_WORDS)
  private readonly devices = new Uint8Array(MAX_POINTERS)
  private readonly name = new CounterName()

  constructor(shape: VolumeShape) {
    this.shape = shape
  }

  /** What forbids that pointer `i` is one into a stripe, or undefined. */
  fault(updates: Updates, pointers: ExtentPointers, i: number): string | undefined {
    const index = pointers.stripeIndex[i]
    const fault = this.load(updates, index)
    if (fault !== undefined) return fault
    const { words } = this.key
    const { blocks, redundantBlocks, sectors } = this.value
    const block = pointers.stripeBlock[i]
    const at = STRIPE_POINTERS_AT + 2 * block
    const start = (words[at + 1] & 0xffff) * 0x10000000 + (words[at] >>> 4)
    const isInside =
      block < blocks - redundantBlocks &&
      ((words[at + 1] >>> 16) & 0xff) === pointers.device[i] &&
      pointers.sector[i] >= start &&
      pointers.sector[i] < start + sectors
    return isInside ? undefined : `ptr_to_incorrect_stripe: block ${block} of stripe ${index} lies elsewhere`
  }

  /** Adds (less than 0: takes away) live sectors that pointer `i` leads to. Throws KeyError if there can't be so many. */
  add(updates: Updates, pointers: ExtentPointers, i: number, sectors: number): void {
    const { key, devices, name } = this
    const fault = this.load(updates, pointers.stripeIndex[i])
    const at = KEY_BYTES + stripeCountsAt(key) + 2 * pointers.stripeBlock[i]
    const sum = fault === undefined ? key.view.getUint16(at, true) + sectors : -1
    if (sum < 0 || sum > BLOCK_SECTORS_MAX) {
      throw new KeyError('EIO', `stripe ${pointers.stripeIndex[i]}`, fault ?? `${sum} live sectors in a block`)
    }
    key.view.setUint16(at, sum, true)
    updates.put(BtreeId.stripes, key)
    const { blocks, redundantBlocks } = this.value
    for (let block = 0; block < blocks; block++) {
      devices[block] = (key.words[STRIPE_POINTERS_AT + 2 * block + 1] >>> 16) & 0xff
    }
    updates.account(name.replicas(DataType.user, blocks - redundantBlocks, devices, blocks), sectors)
  }

  private get value(): ValueOf<typeof StripeValue> {
    return StripeValue.readPadded(this.key.value)
  }

  private load(updates: Updates, index: number): string | undefined {
    const { key, pos } = this
    if (index > STRIPE_INDEX_MAX) return `ptr_to_missing_stripe: ${index}`
    setBpos(pos, 0, 0, 0, index, 0)
    if (!updates.get(BtreeId.stripes, pos, key)) return `ptr_to_missing_stripe: ${index}`
    if (key.type !== stripe.number) return `ptr_to_missing_stripe: stripe ${index} is a key of type ${key.type}`
    return stripe.check?.(key, PLACE, this.shape)
  }
}
