/**
 * Records of a pax extended header: `LENGTH KEYWORD=VALUE\n`, where LENGTH counts itself. Values are bytes.
 * Source: POSIX.1-2017, pax, "pax Extended Header".
 */

const encoder = new TextEncoder()

export class PaxRecords {
  readonly #records: Uint8Array[] = []
  #size = 0

  /** Bytes of all records. */
  get size(): number {
    return this.#size
  }

  add(keyword: string, value: string | Uint8Array): void {
    const name = encoder.encode(` ${keyword}=`)
    const content = typeof value === 'string' ? encoder.encode(value) : value
    const length = encoder.encode(`${recordLength(name.length + content.length + 1)}`)
    const record = new Uint8Array(length.length + name.length + content.length + 1)
    record.set(length)
    record.set(name, length.length)
    record.set(content, length.length + name.length)
    record[record.length - 1] = 0x0a
    this.#records.push(record)
    this.#size += record.length
  }

  bytes(): Uint8Array {
    const bytes = new Uint8Array(this.#size)
    let at = 0
    for (const record of this.#records) {
      bytes.set(record, at)
      at += record.length
    }
    return bytes
  }
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
