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

/** A time as pax has it: seconds with as many decimals as it takes, `-0.5` being half a second before 1970. */
export function paxTime(timeNs: bigint): string {
  const absolute = timeNs < 0n ? -timeNs : timeNs
  const fraction = (absolute % 1_000_000_000n).toString().padStart(9, '0').replace(/0+$/, '')
  const seconds = absolute / 1_000_000_000n
  return `${timeNs < 0n ? '-' : ''}${seconds}${fraction === '' ? '' : `.${fraction}`}`
}
