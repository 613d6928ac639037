/** Bytes for tests. */

export function bytesOfText(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0))
}

export function bytesOfHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.replaceAll(' ', '').match(/../g) ?? [], (pair) => parseInt(pair, 16))
}

export function hexOfBytes(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** 0, 1, 2, ... modulo 256. */
export function counting(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => i)
}

/** A copy of `data` in shared memory that starts at byte `offset` of it, with other bytes on both sides. */
export function shifted(data: Uint8Array, offset: number): Uint8Array {
  const memory = new Uint8Array(new SharedArrayBuffer(data.length + offset + 9)).fill(0xa5)
  memory.set(data, offset)
  return memory.subarray(offset, offset + data.length)
}

/** Bytes that compress, by a fixed sequence of pseudo-random choices: words, runs, repeats and noise. */
export function mixedBytes(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length)
  let state = seed
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
  for (let at = 0; at < length;) {
    const count = Math.min(length - at, 1 + random(random(20) === 0 ? 3000 : 40))
    const kind = random(4)
    const distance = 1 + random(Math.min(at, 70_000))
    for (let i = at; i < at + count; i++) {
      if (kind === 0) bytes[i] = random(256)
      else if (kind === 1) bytes[i] = 97 + random(random(26) + 1)
      else if (kind === 2 || at === 0) bytes[i] = count
      else bytes[i] = bytes[i - distance]
    }
    at += count
  }
  return bytes
}

/** Throws unless both hold the same bytes. A test library's own comparison takes seconds for a megabyte. */
export function expectSameBytes(actual: Uint8Array, expected: Uint8Array): void {
  if (actual.length !== expected.length) throw new Error(`${actual.length} bytes where ${expected.length} are expected`)
  for (let i = 0; i < actual.length; i++) {
    if (actual[i] !== expected[i]) throw new Error(`byte ${i} is ${actual[i]}, expected ${expected[i]}`)
  }
}
