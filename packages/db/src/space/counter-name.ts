/**
 * Positions of the accounting btree, which are the names of counters: one object makes one after another in its own memory, without
 * garbage. Format chapter 4, 4.8.1.
 */

import { BPOS_WORDS } from '../bpos.ts'
import { DataType } from '../data-types.ts'
import { AccountingType } from '../key-types/accounting.ts'

export class CounterName {
  /** The name that was made last. */
  readonly pos = new Uint32Array(BPOS_WORDS)
  private readonly bytes = new Uint8Array(this.pos.buffer)

  persistentReserved(copies: number): Uint32Array {
    return this.make(AccountingType.persistentReserved, copies)
  }

  /** `devices`: the first `count` count, in any order. */
  replicas(dataType: number, required: number, devices: Uint8Array, count: number): Uint32Array {
    const { bytes } = this
    this.make(AccountingType.replicas, dataType, count, required)
    for (let i = 0; i < count; i++) {
      let at = REPLICAS_DEVICES_AT + i
      for (; at > REPLICAS_DEVICES_AT && bytes[at - 1] > devices[i]; at--) bytes[at] = bytes[at - 1]
      bytes[at] = devices[i]
    }
    return this.pos
  }

  /** Cached data of a device. */
  cached(device: number): Uint32Array {
    const pos = this.make(AccountingType.replicas, DataType.cached, 1, 1)
    pos[1] = device
    return pos
  }

  deviceDataType(device: number, dataType: number): Uint32Array {
    return this.make(AccountingType.deviceDataType, device, dataType)
  }

  compression(type: number): Uint32Array {
    return this.make(AccountingType.compression, type)
  }

  snapshot(id: number): Uint32Array {
    return this.makeWide(AccountingType.snapshot, 0, id)
  }

  btree(id: number): Uint32Array {
    return this.makeWide(AccountingType.btree, 0, id)
  }

  rebalanceWork(): Uint32Array {
    return this.make(AccountingType.rebalanceWork)
  }

  inum(inodeHi: number, inodeLo: number): Uint32Array {
    return this.makeWide(AccountingType.inum, inodeHi, inodeLo)
  }

  private make(type: number, first = 0, second = 0, third = 0): Uint32Array {
    this.pos.fill(0)
    this.pos[0] = type | (first << 8) | (second << 16) | (third << 24)
    return this.pos
  }

  /** A number of 64 bits from byte 1 on. */
  private makeWide(type: number, hi: number, lo: number): Uint32Array {
    this.pos.fill(0)
    this.pos[0] = type | (lo << 8)
    this.pos[1] = (lo >>> 24) | (hi << 8)
    this.pos[2] = hi >>> 24
    return this.pos
  }
}

/** Of `replicas`: type, data type, number of devices, number required, then the devices. */
const REPLICAS_DEVICES_AT = 4
