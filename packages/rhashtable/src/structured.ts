/**
 * Structured values as bytes: what JSON has, and undefined, bigint, Date, Map, Set and Uint8Array, nested in any way but in
 * circles. Objects come back as plain objects with their own enumerable properties. A byte says what comes; lengths are 32 bits.
 */

const Tag = {
  undefined: 0,
  null: 1,
  false: 2,
  true: 3,
  number: 4,
  bigint: 5,
  string: 6,
  bytes: 7,
  date: 8,
  array: 9,
  object: 10,
  map: 11,
  set: 12,
} as const
/** Values within values. */
const DEPTH_MAX = 200

export function encodeStructured(value: unknown): Uint8Array {
  const writer = new Writer()
  write(writer, value, 0)
  return writer.bytes.subarray(0, writer.length)
}

export function decodeStructured(bytes: Uint8Array): unknown {
  return read({ bytes, view: new DataView(bytes.buffer, bytes.byteOffset), at: 0 })
}

class Writer {
  bytes = new Uint8Array(256)
  length = 0
  private view = new DataView(this.bytes.buffer)

  byte(value: number): void {
    const at = this.take(1) // before `bytes` is looked at: it may be another then
    this.bytes[at] = value
  }
  count(value: number): void {
    const at = this.take(4)
    this.view.setUint32(at, value, true)
  }
  number(value: number): void {
    const at = this.take(8)
    this.view.setFloat64(at, value, true)
  }
  raw(bytes: Uint8Array): void {
    this.count(bytes.length)
    const at = this.take(bytes.length)
    this.bytes.set(bytes, at)
  }
  text(text: string): void {
    this.count(text.length)
    const at = this.take(2 * text.length)
    for (let i = 0; i < text.length; i++) this.view.setUint16(at + 2 * i, text.charCodeAt(i), true)
  }

  private take(bytes: number): number {
    const at = this.length
    this.length += bytes
    if (this.length > this.bytes.length) {
      const larger = new Uint8Array(2 ** Math.ceil(Math.log2(this.length)))
      larger.set(this.bytes)
      this.bytes = larger
      this.view = new DataView(larger.buffer)
    }
    return at
  }
}

function write(writer: Writer, value: unknown, depth: number): void {
  if (depth > DEPTH_MAX) throw new TypeError('a value within itself, or nested too deeply, can not be stored')
  switch (typeof value) {
    case 'undefined':
      return writer.byte(Tag.undefined)
    case 'boolean':
      return writer.byte(value ? Tag.true : Tag.false)
    case 'number':
      writer.byte(Tag.number)
      return writer.number(value)
    case 'bigint':
      writer.byte(Tag.bigint)
      return writer.text(value.toString())
    case 'string':
      writer.byte(Tag.string)
      return writer.text(value)
    case 'object':
      return value === null ? writer.byte(Tag.null) : writeObject(writer, value, depth + 1)
    default:
      throw new TypeError(`a ${typeof value} can not be stored`)
  }
}

function writeObject(writer: Writer, value: object, depth: number): void {
  if (value instanceof Uint8Array) {
    writer.byte(Tag.bytes)
    writer.raw(value)
  } else if (value instanceof Date) {
    writer.byte(Tag.date)
    writer.number(value.getTime())
  } else if (Array.isArray(value)) {
    writeAll(writer, Tag.array, value, depth)
  } else if (value instanceof Set) {
    writeAll(writer, Tag.set, [...value], depth)
  } else if (value instanceof Map) {
    writePairs(writer, Tag.map, [...value], depth)
  } else if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
    throw new TypeError('of all buffers and views, only a Uint8Array can be stored')
  } else {
    writePairs(writer, Tag.object, Object.entries(value), depth)
  }
}

function writeAll(writer: Writer, tag: number, items: readonly unknown[], depth: number): void {
  writer.byte(tag)
  writer.count(items.length)
  for (const item of items) write(writer, item, depth)
}

function writePairs(writer: Writer, tag: number, pairs: readonly (readonly [unknown, unknown])[], depth: number): void {
  writer.byte(tag)
  writer.count(pairs.length)
  for (const [key, value] of pairs) {
    write(writer, key, depth)
    write(writer, value, depth)
  }
}

interface Reader {
  readonly bytes: Uint8Array
  readonly view: DataView
  at: number
}

function read(reader: Reader): unknown {
  switch (reader.bytes[reader.at++]) {
    case Tag.null:
      return null
    case Tag.false:
      return false
    case Tag.true:
      return true
    case Tag.number:
      return readNumber(reader)
    case Tag.bigint:
      return BigInt(readText(reader))
    case Tag.string:
      return readText(reader)
    case Tag.bytes: {
      const length = readCount(reader)
      reader.at += length
      return reader.bytes.slice(reader.at - length, reader.at)
    }
    case Tag.date:
      return new Date(readNumber(reader))
    case Tag.array:
      return readAll(reader)
    case Tag.set:
      return new Set(readAll(reader))
    case Tag.map:
      return new Map(readPairs(reader))
    case Tag.object:
      return Object.fromEntries(readPairs(reader) as [string, unknown][])
    default:
      return undefined
  }
}

function readCount(reader: Reader): number {
  reader.at += 4
  return reader.view.getUint32(reader.at - 4, true)
}

function readNumber(reader: Reader): number {
  reader.at += 8
  return reader.view.getFloat64(reader.at - 8, true)
}

function readText(reader: Reader): string {
  const length = readCount(reader)
  let text = ''
  for (let i = 0; i < length; i++, reader.at += 2) text += String.fromCharCode(reader.view.getUint16(reader.at, true))
  return text
}

function readAll(reader: Reader): unknown[] {
  return Array.from({ length: readCount(reader) }, () => read(reader))
}

function readPairs(reader: Reader): [unknown, unknown][] {
  return Array.from({ length: readCount(reader) }, () => [read(reader), read(reader)])
}
