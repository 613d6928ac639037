/**
 * A superblock to change in tests: taken from a golden volume, its fields and sections set at will, and written back as
 * the first 64 KiB of a device of the same size (sector 7, and a copy at sector 8 with checksum type `none`).
 */

import { fixture } from '@cowherd/fixtures'
import type { BlockDevice } from '@cowherd/shim'
import { memoryStore, openStore } from '@cowherd/store'
import { Layout, SuperblockHead, type SuperblockHeadValue } from '../src/superblock/index.ts'
import { SECTION_NAMES, splitSections, type SectionName } from '../src/superblock/sections/section.ts'

const SUPERBLOCK_AT = 4096
const LAYOUT_AT = 3584

export class SuperblockImage {
  /** The fixed part: `u64s` and `csum` are computed. */
  readonly head: SuperblockHeadValue
  /** Sections in their order: type, and the bytes behind the header. */
  sections: { type: number; body: Uint8Array }[]
  /** Size of the device in bytes. */
  size: number

  /** Starts from device `index` of the golden volume `name`. */
  constructor(name = 'default', index = 0) {
    const store = openStore(fixture(name).devices[index], { lock: false })
    const bytes = new Uint8Array(65536)
    store.read(bytes, SUPERBLOCK_AT)
    store.close()
    this.size = store.size
    this.head = SuperblockHead.read(new DataView(bytes.buffer), 0)
    const area = bytes.subarray(SuperblockHead.size, SuperblockHead.size + this.head.u64s * 8)
    this.sections = splitSections(area).map((section) => ({ type: section.type, body: section.bytes.slice(8) }))
  }

  /** The bytes behind the header of a section, to be changed in place. */
  body(name: SectionName): Uint8Array {
    const type = SECTION_NAMES.indexOf(name)
    const found = this.sections.find((section) => section.type === type)
    if (found === undefined) throw new Error(`no section ${name}`)
    return found.body
  }

  /** Replaces a section, or adds it at the end. */
  set(name: SectionName | number, body: Uint8Array): this {
    const type = typeof name === 'number' ? name : SECTION_NAMES.indexOf(name)
    const found = this.sections.find((section) => section.type === type)
    if (found === undefined) this.sections.push({ type, body })
    else found.body = body
    return this
  }

  /** Takes a section away. */
  remove(name: SectionName): this {
    const type = SECTION_NAMES.indexOf(name)
    this.sections = this.sections.filter((section) => section.type !== type)
    return this
  }

  /** Sets bits [from, to) of flag word `word`. */
  flag(word: number, from: number, to: number, value: number | bigint): this {
    const mask = ((1n << BigInt(to - from)) - 1n) << BigInt(from)
    this.head.flags[word] = (this.head.flags[word] & ~mask) | (BigInt(value) << BigInt(from))
    return this
  }

  /** A device in memory with this superblock and nothing else. */
  device(name = 'test.img'): BlockDevice {
    const bytes = this.bytes()
    return memoryStore({ size: this.size, pageSize: bytes.length, pages: new Map([[0, bytes]]) }, name)
  }

  /** The start of the device. */
  bytes(): Uint8Array {
    this.flag(0, 2, 8, 0)
    this.head.csum.fill(0)
    const parts = this.sections.map(({ type, body }) => {
      const u64s = 1 + Math.ceil(body.length / 8)
      const bytes = new Uint8Array(u64s * 8)
      new DataView(bytes.buffer).setUint32(0, u64s, true)
      new DataView(bytes.buffer).setUint32(4, type, true)
      bytes.set(body, 8)
      return bytes
    })
    this.head.u64s = parts.reduce((sum, part) => sum + part.length / 8, 0)
    const bytes = new Uint8Array(65536)
    bytes.set(Layout.bytes(this.head.layout), LAYOUT_AT)
    bytes.set(SuperblockHead.bytes(this.head), SUPERBLOCK_AT)
    let at = SUPERBLOCK_AT + SuperblockHead.size
    for (const part of parts) {
      bytes.set(part, at)
      at += part.length
    }
    return bytes
  }
}

/** Little-endian u64s as bytes. */
export function u64Bytes(...values: (number | bigint)[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(values.map(BigInt)).buffer)
}
