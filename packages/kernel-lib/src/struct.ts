/**
 * Structure descriptions: the layout of an on-disk or on-wire structure, written once, in the order of its fields.
 *
 * One description gives reading, writing, the size, the byte offset of each field (for hot paths that read one field by
 * hand) and bounds checks. All integers are little-endian and packed without hidden padding: padding is a field (`pad`).
 *
 *     const Point = struct({ x: u32, y: u32, name: bytes(8) })
 *     Point.size            // 16
 *     Point.offsets.y       // 4
 *     Point.read(view, 64)  // { x: 1, y: 2, name: Uint8Array(8) }
 */

/** How one value of type `T` lies in memory. */
export interface Field<T> {
  /** Size in bytes. */
  readonly size: number
  /** Reads the value at byte `at`. Throws RangeError if the view is too short. */
  read(view: DataView, at: number): T
  /** Writes `value` at byte `at`. Throws RangeError if the view is too short. */
  write(view: DataView, at: number, value: T): void
}

/** The value type that a field description stands for. */
export type ValueOf<F> = F extends Field<infer T> ? T : never

export const u8: Field<number> = {
  size: 1,
  read: (view, at) => view.getUint8(at),
  write: (view, at, value) => view.setUint8(at, value),
}

export const u16: Field<number> = {
  size: 2,
  read: (view, at) => view.getUint16(at, true),
  write: (view, at, value) => view.setUint16(at, value, true),
}

export const u32: Field<number> = {
  size: 4,
  read: (view, at) => view.getUint32(at, true),
  write: (view, at, value) => view.setUint32(at, value, true),
}

export const u64: Field<bigint> = {
  size: 8,
  read: (view, at) => view.getBigUint64(at, true),
  write: (view, at, value) => view.setBigUint64(at, value, true),
}

export const i64: Field<bigint> = {
  size: 8,
  read: (view, at) => view.getBigInt64(at, true),
  write: (view, at, value) => view.setBigInt64(at, value, true),
}

/** `length` raw bytes; reading copies them. */
export function bytes(length: number): Field<Uint8Array> {
  return {
    size: length,
    read: (view, at) => new Uint8Array(bytesOf(view, at, length)),
    write: (view, at, value) => {
      if (value.length !== length) throw new RangeError(`${value.length} bytes where the structure has ${length}`)
      bytesOf(view, at, length).set(value)
    },
  }
}

/** `length` bytes without meaning: ignored when read, written as zero. */
export function pad(length: number): Field<undefined> {
  return {
    size: length,
    read: (view, at) => {
      bytesOf(view, at, length)
      return undefined
    },
    write: (view, at) => {
      bytesOf(view, at, length).fill(0)
    },
  }
}

/** `count` values of one kind, back to back. */
export function array<T>(element: Field<T>, count: number): Field<T[]> {
  return {
    size: element.size * count,
    read: (view, at) => Array.from({ length: count }, (_, i) => element.read(view, at + i * element.size)),
    write: (view, at, values) => {
      if (values.length !== count) throw new RangeError(`${values.length} elements where the structure has ${count}`)
      values.forEach((value, i) => element.write(view, at + i * element.size, value))
    },
  }
}

/** Bit ranges of a word: `name: [first bit, bit after the last]`, low bit = 0. */
export type BitRanges = Readonly<Record<string, readonly [from: number, to: number]>>

/** A 32-bit word cut into unsigned bit ranges. Bits outside all ranges read as nothing and are written as zero. */
export function bits32<R extends BitRanges>(ranges: R): Field<{ [K in keyof R]: number }> {
  return wordOfBits(u32, ranges, (word, from, to) => Math.floor(word / 2 ** from) % 2 ** (to - from), packBits)
}

/** A 64-bit word cut into unsigned bit ranges of at most 53 bits each. */
export function bits64<R extends BitRanges>(ranges: R): Field<{ [K in keyof R]: number }> {
  return wordOfBits(
    u64,
    ranges,
    (word, from, to) => Number(BigInt.asUintN(to - from, word >> BigInt(from))),
    (values, described) => {
      let word = 0n
      for (const [name, [from, to]] of Object.entries(described)) {
        word |= BigInt(fitting(name, values[name] ?? 0, to - from)) << BigInt(from)
      }
      return word
    },
  )
}

/** A structure: named fields, one after another. `offsets` holds each field's byte offset. */
export interface Struct<F extends Record<string, Field<unknown>>> extends Field<{ [K in keyof F]: ValueOf<F[K]> }> {
  readonly fields: F
  readonly offsets: { readonly [K in keyof F]: number }
  /** Reads from the start of `source`, taking bytes beyond its end as zero: older writers stored shorter structures. */
  readPadded(source: Uint8Array): { [K in keyof F]: ValueOf<F[K]> }
  /** The bytes of `value`. */
  bytes(value: { [K in keyof F]: ValueOf<F[K]> }): Uint8Array
}

/** Describes a structure. Fields follow one another in the order given. */
export function struct<F extends Record<string, Field<unknown>>>(fields: F): Struct<F> {
  type Value = { [K in keyof F]: ValueOf<F[K]> }
  const offsets: Record<string, number> = {}
  let size = 0
  for (const [name, field] of Object.entries(fields)) {
    offsets[name] = size
    size += field.size
  }
  const read = (view: DataView, at: number): Value => {
    if (at + size > view.byteLength) {
      throw new RangeError(`a structure of ${size} bytes at ${at} exceeds the ${view.byteLength} bytes given`)
    }
    const value: Record<string, unknown> = {}
    for (const [name, field] of Object.entries(fields)) value[name] = field.read(view, at + (offsets[name] ?? 0))
    return value as Value
  }
  const write = (view: DataView, at: number, value: Value): void => {
    for (const name of Object.keys(fields)) fields[name]?.write(view, at + (offsets[name] ?? 0), value[name])
  }
  return {
    size,
    fields,
    offsets: offsets as { [K in keyof F]: number },
    read,
    write,
    readPadded(source) {
      const whole = new Uint8Array(size)
      whole.set(source.subarray(0, size))
      return read(new DataView(whole.buffer), 0)
    },
    bytes(value) {
      const target = new Uint8Array(size)
      write(new DataView(target.buffer), 0, value)
      return target
    },
  }
}

function bytesOf(view: DataView, at: number, length: number): Uint8Array {
  if (at < 0 || at + length > view.byteLength) {
    throw new RangeError(`${length} bytes at ${at} exceed the ${view.byteLength} bytes given`)
  }
  return new Uint8Array(view.buffer, view.byteOffset + at, length)
}

function wordOfBits<W, R extends BitRanges>(
  word: Field<W>,
  ranges: R,
  extract: (word: W, from: number, to: number) => number,
  pack: (values: Readonly<Record<string, number>>, ranges: BitRanges) => W,
): Field<{ [K in keyof R]: number }> {
  return {
    size: word.size,
    read: (view, at) => {
      const value = word.read(view, at)
      return Object.fromEntries(
        Object.entries(ranges).map(([name, [from, to]]) => [name, extract(value, from, to)]),
      ) as { [K in keyof R]: number }
    },
    write: (view, at, values) => word.write(view, at, pack(values, ranges)),
  }
}

function packBits(values: Readonly<Record<string, number>>, ranges: BitRanges): number {
  let word = 0
  for (const [name, [from, to]] of Object.entries(ranges)) {
    word += fitting(name, values[name] ?? 0, to - from) * 2 ** from
  }
  return word
}

function fitting(name: string, value: number, bits: number): number {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** bits) {
    throw new RangeError(`${name} = ${value} does not fit ${bits} bits`)
  }
  return value
}
