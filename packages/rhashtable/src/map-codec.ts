/**
 * How keys and values of a `SharedMap` lie in memory: a word with kind and length in bytes, and as many words more. Strings of
 * characters up to U+00FF take a byte each, others two; numbers eight bytes; bytes are bytes. All else is structured (see
 * structured.ts). Equal keys are equal words.
 */

import { LENGTH_MASK } from './layout.ts'
import { decodeStructured, encodeStructured } from './structured.ts'

const Kind = {
  number: 0,
  latin1: 1,
  utf16: 2,
  bytes: 3,
  undefined: 4,
  null: 5,
  false: 6,
  true: 7,
  structured: 8,
} as const
const KIND_SHIFT = 28
/** Characters decoded by one call. */
const CHUNK = 4096

/** Room for one encoded thing, used again and again: the word, and the words behind it. */
export class Encoder {
  words = new Int32Array(64)
  private bytes = new Uint8Array(this.words.buffer)
  private view = new DataView(this.words.buffer)

  /** Words used by the last one that was encoded. */
  length = 0

  /** Encodes a key. Throws TypeError if it is none. */
  key(key: unknown): void {
    if (typeof key === 'string') return this.string(key)
    if (typeof key === 'number') return this.number(key === 0 ? 0 : key)
    if (key instanceof Uint8Array) return this.raw(Kind.bytes, key)
    throw new TypeError(`a key is a string, a number or a Uint8Array, not ${typeof key}`)
  }

  /** Encodes a value. Throws TypeError if it can't be. */
  value(value: unknown): void {
    if (typeof value === 'number') return this.number(value)
    if (typeof value === 'string') return this.string(value)
    if (value instanceof Uint8Array) return this.raw(Kind.bytes, value)
    if (value === undefined) return this.finish(Kind.undefined, 0)
    if (value === null) return this.finish(Kind.null, 0)
    if (typeof value === 'boolean') return this.finish(value ? Kind.true : Kind.false, 0)
    this.raw(Kind.structured, encodeStructured(value))
  }

  private number(value: number): void {
    this.view.setFloat64(4, Number.isNaN(value) ? NaN : value, true)
    this.finish(Kind.number, 8)
  }

  private string(text: string): void {
    this.reserve(2 * text.length)
    const { bytes } = this
    const { length } = text
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i)
      if (code > 0xff) return this.wide(text)
      bytes[4 + i] = code
    }
    this.finish(Kind.latin1, length)
  }

  private wide(text: string): void {
    for (let i = 0; i < text.length; i++) this.view.setUint16(4 + 2 * i, text.charCodeAt(i), true)
    this.finish(Kind.utf16, 2 * text.length)
  }

  private raw(kind: number, bytes: Uint8Array): void {
    this.reserve(bytes.length)
    this.bytes.set(bytes, 4)
    this.finish(kind, bytes.length)
  }

  /** The bytes that are not used in the last word are zero. */
  private finish(kind: number, bytes: number): void {
    for (let i = bytes; (i & 3) !== 0; i++) this.bytes[4 + i] = 0
    this.words[0] = (kind << KIND_SHIFT) | bytes
    this.length = 1 + ((bytes + 3) >>> 2)
  }

  private reserve(bytes: number): void {
    if (bytes > LENGTH_MASK) throw new RangeError(`${bytes} bytes where ${LENGTH_MASK} are possible`)
    if (8 + bytes <= this.bytes.length) return
    this.words = new Int32Array(2 ** Math.ceil(Math.log2(8 + bytes)) / 4)
    this.bytes = new Uint8Array(this.words.buffer)
    this.view = new DataView(this.words.buffer)
  }
}

/** What is encoded at word `at` of the memory. */
export function decode(memory: { ints: Int32Array; view: DataView; bytes: Uint8Array }, at: number): unknown {
  const word = memory.ints[at]
  const length = word & LENGTH_MASK
  const from = 4 * (at + 1)
  switch (word >>> KIND_SHIFT) {
    case Kind.number:
      return memory.view.getFloat64(from, true)
    case Kind.latin1:
      return textOf(memory.bytes, from, length)
    case Kind.utf16:
      return textOf(new Uint16Array(memory.bytes.slice(from, from + length).buffer), 0, length / 2)
    case Kind.bytes:
      return memory.bytes.slice(from, from + length)
    case Kind.null:
      return null
    case Kind.false:
      return false
    case Kind.true:
      return true
    case Kind.structured:
      return decodeStructured(memory.bytes.slice(from, from + length))
    default:
      return undefined
  }
}

/** Text of the characters with these codes. */
export function textOf(codes: Uint8Array | Uint16Array, from: number, length: number): string {
  let text = ''
  for (let i = 0; i < length; i += CHUNK) {
    text += String.fromCharCode(...codes.subarray(from + i, from + Math.min(length, i + CHUNK)))
  }
  return text
}
