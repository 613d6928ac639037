/**
 * Records of a pax extended header: `LENGTH KEYWORD=VALUE\n`, where LENGTH counts itself. Values are bytes.
 * Source: POSIX.1-2017, pax, "pax Extended Header".
 */

const encoder = new TextEncoder()
/** What a character of UTF-16 takes as UTF-8 at most. */
const UTF8_BYTES_MAX = 3

export class PaxRecords {
  #bytes = new Uint8Array(1024)
  #size = 0

  /** Bytes of all records. */
  get size(): number {
    return this.#size
  }

  /** Begins anew. */
  clear(): void {
    this.#size = 0
  }

  add(keyword: string, value: string | Uint8Array): void {
    const content = typeof value === 'string' ? encoder.encode(value) : value
    const keywordBytes = Buffer.byteLength(keyword)
    const length = recordLength(keywordBytes + content.length + ' =\n'.length)
    this.#reserve(length + UTF8_BYTES_MAX)
    const end = this.#size + length
    this.#text(`${length} ${keyword}=`)
    this.#bytes.set(content, this.#size)
    this.#bytes[end - 1] = 0x0a
    this.#size = end
  }

  /** The records, in memory of their own. */
  bytes(): Uint8Array {
    return this.#bytes.slice(0, this.#size)
  }

  #text(text: string): void {
    this.#size += encoder.encodeInto(text, this.#bytes.subarray(this.#size)).written
  }

  #reserve(bytes: number): void {
    if (this.#size + bytes <= this.#bytes.length) return
    const larger = new Uint8Array(Math.max(this.#size + bytes, this.#bytes.length * 2))
    larger.set(this.#bytes)
    this.#bytes = larger
  }
}

/** A record that was read. Its keyword has a character for each byte. */
export interface PaxRecord {
  readonly keyword: string
  readonly value: Uint8Array
}

/** The records of an extended header, in order; undefined if they are malformed. */
export function parsePaxRecords(bytes: Uint8Array): PaxRecord[] | undefined {
  const records: PaxRecord[] = []
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(SPACE, at)
    const digits = space < 0 ? '' : latin1(bytes.subarray(at, Math.min(space, at + LENGTH_DIGITS_MAX + 1)))
    const end = at + (/^\d{1,15}$/.test(digits) ? Number(digits) : NaN)
    const equals = bytes.indexOf(EQUALS, space)
    if (!(end <= bytes.length) || equals < 0 || equals >= end || bytes[end - 1] !== NEWLINE) return undefined
    records.push({ keyword: latin1(bytes.subarray(space + 1, equals)), value: bytes.subarray(equals + 1, end - 1) })
    at = end
  }
  return records
}

const SPACE = 0x20
const EQUALS = 0x3d
const NEWLINE = 0x0a
const LENGTH_DIGITS_MAX = 15

/** Text with a character for each byte. */
export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}

/** A pax time: seconds rounded down, and the nanoseconds that belong to them. Undefined if it is none. */
export function parsePaxTime(text: string): { seconds: number; nanoseconds: number } | undefined {
  const [, sign, whole, fraction = ''] = /^(-?)(\d{1,15})(?:\.(\d*))?$/.exec(text) ?? []
  if (whole === undefined) return undefined
  const rest = Number(fraction.padEnd(9, '0').slice(0, 9))
  if (sign !== '-' || rest === 0) return { seconds: sign === '-' ? -Number(whole) : Number(whole), nanoseconds: rest }
  return { seconds: -Number(whole) - 1, nanoseconds: 1_000_000_000 - rest }
}

/** Length of a record whose part behind the number has `rest` bytes: the number is part of what it counts. */
export function recordLength(rest: number): number {
  let length = rest + 1
  while (`${length}`.length + rest !== length) length = `${length}`.length + rest
  return length
}

/**
 * A time as pax has it: a decimal number of seconds, with as many decimals as it takes. `nanoseconds` are those of the second
 * that began at `seconds`: half a second before 1970 is -1 and 500,000,000, and -0.5 as text.
 */
export function paxTime(seconds: number, nanoseconds: number): string {
  const isNegative = seconds < 0
  const whole = isNegative && nanoseconds > 0 ? -seconds - 1 : Math.abs(seconds)
  const rest = isNegative && nanoseconds > 0 ? 1_000_000_000 - nanoseconds : nanoseconds
  const fraction = rest.toString().padStart(9, '0').replace(/0+$/, '')
  return `${isNegative ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}`
}
