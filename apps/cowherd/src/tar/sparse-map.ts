/** Maps of sparse files as GNU tar writes them, in any of four formats: where the data that is stored belongs. The GNU tar manual, "Storing Sparse Files". */

import { latin1, type PaxRecord } from './pax-records.ts'
import { BLOCK } from './header-block.ts'
import { damaged, type TarSource } from './tar-source.ts'
import type { Segment } from './tar-writer.ts'

/** More stretches than any sparse file has that makes sense. */
const SEGMENTS_MAX = 1 << 21
const NUMBER_DIGITS_MAX = 20
const NEWLINE = 0x0a

/** What the records of a pax header say about a sparse file. */
export interface SparseRecords {
  /** Version 1.0: the map lies before the data. */
  readonly isInData: boolean
  readonly segments: Segment[]
  readonly size: number | undefined
  readonly name: Uint8Array | undefined
}

/** Finds what is said about a sparse file; undefined if it is none, or malformed. */
export function sparseRecords(records: readonly PaxRecord[]): SparseRecords | undefined | 'malformed' {
  let [isSparse, isInData] = [false, false]
  let size: number | undefined
  let name: Uint8Array | undefined
  const numbers: number[] = []
  for (const { keyword, value } of records) {
    if (!keyword.startsWith('GNU.sparse.')) continue
    isSparse = true
    const text = latin1(value)
    switch (keyword.slice('GNU.sparse.'.length)) {
      case 'major':
        isInData = text === '1'
        break
      case 'size': // versions 0.0 and 0.1
      case 'realsize':
        size = Number(text)
        break
      case 'name':
        name = value
        break
      case 'offset': // version 0.0: a record a number
      case 'numbytes':
        numbers.push(Number(text))
        break
      case 'map': // version 0.1
        for (const each of text.split(',')) numbers.push(Number(each))
        break
      default:
        break
    }
  }
  if (!isSparse) return undefined
  const isSound = numbers.length % 2 === 0 && (size === undefined || isNumber(size)) && numbers.every(isNumber)
  return isSound ? { isInData, segments: pairs(numbers), size, name } : 'malformed'
}

/** Reads the map of version 1.0: a number a line, padded to a block. Throws TarError. */
export async function readSparseMap(
  source: TarSource,
): Promise<{ readonly segments: Segment[]; readonly bytes: number }> {
  const start = source.at
  let block: Uint8Array = new Uint8Array(0)
  let at = 0
  const nextNumber = async (): Promise<number> => {
    let digits = ''
    for (;;) {
      if (at === block.length) {
        const next = await source.take(BLOCK)
        if (next === undefined) throw damaged(source.at, 'it ends too early')
        block = next.slice()
        at = 0
      }
      const byte = block[at++]
      if (byte === NEWLINE) break
      digits += String.fromCharCode(byte)
      if (digits.length > NUMBER_DIGITS_MAX) break
    }
    const number = /^\d+$/.test(digits) ? Number(digits) : NaN
    if (!isNumber(number)) throw damaged(source.at, 'the map of a sparse file is malformed')
    return number
  }
  const count = await nextNumber()
  if (count > SEGMENTS_MAX) throw damaged(source.at, `the map of a sparse file has ${count} entries`)
  const segments: Segment[] = []
  for (let i = 0; i < count; i++) segments.push({ offset: await nextNumber(), length: await nextNumber() })
  return { segments, bytes: source.at - start }
}

/** Whether the stretches are in order, within the file, and take `stored` bytes in all. */
export function isSoundMap(segments: readonly Segment[], size: number, stored: number): boolean {
  let end = 0
  let bytes = 0
  for (const { offset, length } of segments) {
    if (!isNumber(offset) || !isNumber(length) || offset < end || offset + length > size) return false
    end = offset + length
    bytes += length
  }
  return bytes === stored
}

function pairs(numbers: readonly number[]): Segment[] {
  const segments: Segment[] = []
  for (let i = 0; i + 1 < numbers.length; i += 2) segments.push({ offset: numbers[i], length: numbers[i + 1] })
  return segments
}

function isNumber(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}
