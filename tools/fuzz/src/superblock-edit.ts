/**
 * Superblocks taken apart and put together again: the fixed part, and the sections as a list. What is written back gets its
 * length, its place and its checksum set right, so that everything behind the checksum is reached. Format chapter 1, 3 and 4.
 */

import { SECTION_NAMES, SuperblockHead, type SectionName } from '@cowherd/db'
import type { OverlayDevice } from './overlay-device.ts'
import { CSUM_BYTES, type Sealer } from './seal.ts'

const SECTOR = 512
const HEAD = SuperblockHead.offsets
const NO_NONCE = new Uint32Array(4)
const SECTION_HEADER_BYTES = 8

/** One section: its type, and its bytes without the header. */
export interface SectionEdit {
  type: number
  payload: Uint8Array
}

export class SuperblockEdit {
  /** The fixed part. */
  readonly head: Uint8Array
  readonly headView: DataView
  sections: SectionEdit[] = []
  /** If set, stored as the length of the sections area, whatever it is. */
  forgedU64s: number | undefined

  constructor(bytes: Uint8Array) {
    this.head = bytes.slice(0, SuperblockHead.size)
    this.headView = new DataView(this.head.buffer)
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    for (let at = SuperblockHead.size; at + SECTION_HEADER_BYTES <= bytes.length;) {
      const end = Math.min(bytes.length, at + Math.max(1, view.getUint32(at, true)) * 8)
      this.sections.push({ type: view.getUint32(at + 4, true), payload: bytes.slice(at + SECTION_HEADER_BYTES, end) })
      at = end
    }
  }

  /** The first section of that name, undefined if there is none. */
  find(name: SectionName): SectionEdit | undefined {
    const type = SECTION_NAMES.indexOf(name)
    return this.sections.find((section) => section.type === type)
  }

  /** The same; throws if there is none. */
  section(name: SectionName): SectionEdit {
    const found = this.find(name)
    if (found === undefined) throw new Error(`the superblock has no section ${name}`)
    return found
  }

  get flags0(): bigint {
    return this.headView.getBigUint64(HEAD.flags, true)
  }
  set flags0(value: bigint) {
    this.headView.setBigUint64(HEAD.flags, value, true)
  }
  get features(): bigint {
    return this.headView.getBigUint64(HEAD.features, true)
  }
  set features(value: bigint) {
    this.headView.setBigUint64(HEAD.features, value, true)
  }

  /** All of it, as a copy at `sector`, sealed. */
  bytes(sector: number, sealer: Sealer): Uint8Array {
    const parts = this.sections.map(({ type, payload }) => {
      const section = new Uint8Array(SECTION_HEADER_BYTES + Math.ceil(payload.length / 8) * 8)
      const view = new DataView(section.buffer)
      view.setUint32(0, section.length / 8, true)
      view.setUint32(4, type, true)
      section.set(payload, SECTION_HEADER_BYTES)
      return section
    })
    const length = parts.reduce((sum, part) => sum + part.length, 0)
    const whole = new Uint8Array(SuperblockHead.size + length)
    whole.set(this.head)
    let at = SuperblockHead.size
    for (const part of parts) {
      whole.set(part, at)
      at += part.length
    }
    const view = new DataView(whole.buffer)
    view.setUint32(HEAD.u64s, this.forgedU64s ?? length / 8, true)
    view.setBigUint64(HEAD.offset, BigInt(sector), true)
    sealSuperblock(whole, sealer)
    return whole
  }
}

/** Sets the checksum of a whole superblock. */
export function sealSuperblock(bytes: Uint8Array, sealer: Sealer): void {
  const type = (new DataView(bytes.buffer, bytes.byteOffset).getUint32(HEAD.flags, true) >>> 2) & 0x3f
  sealer.seal(type, NO_NONCE, bytes.subarray(CSUM_BYTES), bytes, 0)
}

/** Writes `edit` to every copy of the device that `sectors` names. */
export function storeSuperblock(
  device: OverlayDevice,
  edit: SuperblockEdit,
  sectors: readonly number[],
  sealer: Sealer,
): void {
  for (const sector of sectors) device.overwrite(sector * SECTOR, edit.bytes(sector, sealer))
}
