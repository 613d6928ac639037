/**
 * JSON as the commands print it: one document, and for lists one element a line, written as it comes.
 *
 * Numbers beyond 2^53 (sizes and times in ns) are decimal strings, bytes are hex, so that every reader gets them whole.
 */

import type { Output } from './output.ts'

/** JSON.stringify for values with bigints and bytes in them. */
export function jsonText(value: unknown, indent?: number): string {
  return JSON.stringify(value, replacer, indent)
}

function replacer(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') {
    return value >= -SAFE && value <= SAFE ? Number(value) : value.toString()
  }
  if (value instanceof Uint8Array) return hex(value)
  return value
}

const SAFE = BigInt(Number.MAX_SAFE_INTEGER)

export function hex(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0')
  return text
}

/** Writes an array, one element a line, without keeping it in memory. */
export class JsonArray {
  readonly #out: Output
  #count = 0

  constructor(out: Output) {
    this.#out = out
  }

  add(element: unknown): void {
    this.#out.write(this.#count++ === 0 ? '[\n' : ',\n')
    this.#out.write(jsonText(element))
  }

  end(): void {
    this.#out.write(this.#count === 0 ? '[]\n' : '\n]\n')
  }
}
