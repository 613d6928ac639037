/** A plain encoder of LZ4 blocks for tests: greedy, or from given sequences. */

export interface Lz4Sequence {
  literals: Uint8Array
  /** No match: the last sequence. */
  match?: { distance: number; length: number }
}

/** The block that the sequences make. */
export function lz4OfSequences(sequences: readonly Lz4Sequence[]): Uint8Array {
  const bytes: number[] = []
  const continued = (length: number) => {
    if (length < 15) return
    let rest = length - 15
    for (; rest >= 255; rest -= 255) bytes.push(255)
    bytes.push(rest)
  }
  for (const { literals, match } of sequences) {
    const matchLength = match === undefined ? 0 : match.length - 4
    bytes.push((Math.min(literals.length, 15) << 4) | Math.min(matchLength, 15))
    continued(literals.length)
    for (const literal of literals) bytes.push(literal)
    if (match === undefined) continue
    bytes.push(match.distance & 0xff, match.distance >> 8)
    continued(matchLength)
  }
  return Uint8Array.from(bytes)
}

/** What the sequences stand for, done byte by byte. */
export function bytesOfSequences(sequences: readonly Lz4Sequence[]): Uint8Array {
  const bytes: number[] = []
  for (const { literals, match } of sequences) {
    for (const literal of literals) bytes.push(literal)
    if (match !== undefined) {
      for (let i = 0; i < match.length; i++) bytes.push(bytes[bytes.length - match.distance])
    }
  }
  return Uint8Array.from(bytes)
}

/** Encodes `data`, taking the last place with the same four bytes wherever there is one. */
export function lz4Encode(data: Uint8Array): Uint8Array {
  const sequences: Lz4Sequence[] = []
  const lastPlace = new Map<number, number>()
  const view = new DataView(data.buffer, data.byteOffset, data.length)
  let from = 0
  let at = 0
  while (at + 12 < data.length) {
    const word = view.getUint32(at)
    const before = lastPlace.get(word)
    lastPlace.set(word, at)
    if (before === undefined || at - before > 0xffff) {
      at++
      continue
    }
    let length = 4
    while (at + length < data.length - 5 && data[before + length] === data[at + length]) length++
    sequences.push({ literals: data.subarray(from, at), match: { distance: at - before, length } })
    at += length
    from = at
  }
  sequences.push({ literals: data.subarray(from) })
  return lz4OfSequences(sequences)
}
