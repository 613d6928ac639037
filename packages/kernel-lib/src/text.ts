/**
 * UTF-8 to and from strings, for code that runs where no platform decoder is at hand. Decoding never fails: bytes that are
 * not UTF-8 become U+FFFD, by the rules of the WHATWG encoding standard, so that the result equals a platform decoder's.
 */

const CHUNK = 4096

/** The text of `bytes[from, to)`. */
export function decodeUtf8(bytes: Uint8Array, from = 0, to: number = bytes.length): string {
  let ascii = from
  while (ascii < to && bytes[ascii] < 0x80) ascii++
  return ascii === to ? latin1(bytes, from, to) : latin1(bytes, from, ascii) + decodeMixed(bytes, ascii, to)
}

/** The UTF-8 bytes of `text`; lone surrogates become U+FFFD. */
export function encodeUtf8(text: string): Uint8Array {
  const target = new Uint8Array(text.length * 3)
  let at = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x80) {
      target[at++] = code
      continue
    }
    const point = text.codePointAt(i) ?? 0
    if (point > 0xffff) i++
    at = encodePoint(target, at, point >= 0xd800 && point <= 0xdfff ? 0xfffd : point)
  }
  return target.slice(0, at)
}

/** Each byte of `bytes[from, to)` as the character of that number. */
function latin1(bytes: Uint8Array, from: number, to: number): string {
  if (to - from <= CHUNK) return String.fromCharCode.apply(null, bytes.subarray(from, to) as unknown as number[])
  let text = ''
  for (let at = from; at < to; at += CHUNK) text += latin1(bytes, at, Math.min(to, at + CHUNK))
  return text
}

function decodeMixed(bytes: Uint8Array, from: number, to: number): string {
  let text = ''
  let at = from
  while (at < to) {
    const first = bytes[at++]
    if (first < 0x80) {
      text += String.fromCharCode(first)
      continue
    }
    const needed =
      first >= 0xc2 && first <= 0xdf ? 1 : (first & 0xf0) === 0xe0 ? 2 : first >= 0xf0 && first <= 0xf4 ? 3 : 0
    // The second byte's range is narrower after some first bytes: no overlong forms, surrogates or points past U+10FFFF.
    let least = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80
    let greatest = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf
    let point = needed === 1 ? first & 0x1f : needed === 2 ? first & 0x0f : first & 0x07
    let missing = needed
    while (missing > 0 && at < to && bytes[at] >= least && bytes[at] <= greatest) {
      point = (point << 6) | (bytes[at++] & 0x3f)
      least = 0x80
      greatest = 0xbf
      missing--
    }
    text += needed === 0 || missing > 0 ? '\ufffd' : String.fromCodePoint(point)
  }
  return text
}

function encodePoint(target: Uint8Array, at: number, point: number): number {
  if (point < 0x800) {
    target[at++] = 0xc0 | (point >> 6)
  } else {
    if (point < 0x10000) {
      target[at++] = 0xe0 | (point >> 12)
    } else {
      target[at++] = 0xf0 | (point >> 18)
      target[at++] = 0x80 | ((point >> 12) & 0x3f)
    }
    target[at++] = 0x80 | ((point >> 6) & 0x3f)
  }
  target[at++] = 0x80 | (point & 0x3f)
  return at
}
