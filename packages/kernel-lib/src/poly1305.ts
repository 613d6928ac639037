/**
 * Poly1305 over the message alone, as the format uses it: no length block, no padding. Format chapter 1, section 9.1; the
 * algorithm is RFC 8439, section 2.5.
 *
 * Numbers modulo 2^130 - 5 are six limbs of 22 bits in doubles (132 bits, and 2^132 = 20 modulo the prime). With limbs
 * within +-1.5 * 2^22 a limb of a product is a sum of six terms, five of them times 20, below 2^51: exact in a double.
 * Carries round to nearest, by adding and subtracting a number whose last place is the limb's end, so limbs are signed.
 * Two blocks are taken in one step, h = (h + m0) * r^2 + m1 * r, for one chain of carries instead of two. About five times
 * as fast as 13-bit limbs in integers.
 */

const LIMB = 2 ** 22
/** What the top limb holds below 2^130: it starts at bit 110. */
const TOP_LIMB = 2 ** 20
const TO_NEXT_LIMB = 2 ** -22
/** x + ROUND - ROUND is x rounded to a multiple of 2^22. */
const ROUND = 1.5 * 2 ** 74
/** The top limb of a whole block: bit 128. */
const BLOCK_END = 1 << 18

/** r, r^2: six limbs each. */
const multiplier = new Float64Array(6)
const square = new Float64Array(6)
/** The running value: six limbs. */
const h = new Float64Array(6)
/** The last, incomplete block. */
const lastBlock = new Uint8Array(16)

/**
 * Stores the tag of `data` under the one-time `key` to the 16 bytes of `tag`. Throws RangeError unless the key has 32
 * bytes and the tag 16.
 */
export function poly1305(tag: Uint8Array, key: Uint8Array, data: Uint8Array): void {
  if (key.length !== 32) throw new RangeError(`a Poly1305 key has 32 bytes, not ${key.length}`)
  if (tag.length !== 16) throw new RangeError(`a Poly1305 tag has 16 bytes, not ${tag.length}`)
  setKey(key)
  h.fill(0)
  const endOfPairs = data.length - (data.length % 32)
  hashPairs(data, endOfPairs)
  let at = endOfPairs
  if (data.length - at >= 16) {
    hashBlock(data, at, BLOCK_END)
    at += 16
  }
  if (at < data.length) {
    lastBlock.fill(0)
    for (let i = at; i < data.length; i++) lastBlock[i - at] = data[i]
    lastBlock[data.length - at] = 1
    hashBlock(lastBlock, 0, 0)
  }
  finish(tag, key)
}

/** Cuts r out of the key, clamped, and squares it. */
function setKey(key: Uint8Array): void {
  const w0 = word(key, 0) & 0x0fffffff
  const w1 = word(key, 4) & 0x0ffffffc
  const w2 = word(key, 8) & 0x0ffffffc
  const w3 = word(key, 12) & 0x0ffffffc
  multiplier[0] = w0 & 0x3fffff
  multiplier[1] = ((w0 >>> 22) | (w1 << 10)) & 0x3fffff
  multiplier[2] = ((w1 >>> 12) | (w2 << 20)) & 0x3fffff
  multiplier[3] = (w2 >>> 2) & 0x3fffff
  multiplier[4] = ((w2 >>> 24) | (w3 << 8)) & 0x3fffff
  multiplier[5] = w3 >>> 14
  h.set(multiplier)
  multiply(0, 0, 0, 0, 0, 0)
  square.set(h)
}

function hashBlock(data: Uint8Array, at: number, end: number): void {
  const w0 = word(data, at)
  const w1 = word(data, at + 4)
  const w2 = word(data, at + 8)
  const w3 = word(data, at + 12)
  multiply(
    w0 & 0x3fffff,
    ((w0 >>> 22) | (w1 << 10)) & 0x3fffff,
    ((w1 >>> 12) | (w2 << 20)) & 0x3fffff,
    (w2 >>> 2) & 0x3fffff,
    ((w2 >>> 24) | (w3 << 8)) & 0x3fffff,
    (w3 >>> 14) + end,
  )
}

/** h = (h + m) * r */
function multiply(m0: number, m1: number, m2: number, m3: number, m4: number, m5: number): void {
  const a0 = h[0] + m0
  const a1 = h[1] + m1
  const a2 = h[2] + m2
  const a3 = h[3] + m3
  const a4 = h[4] + m4
  const a5 = h[5] + m5
  const r0 = multiplier[0]
  const r1 = multiplier[1]
  const r2 = multiplier[2]
  const r3 = multiplier[3]
  const r4 = multiplier[4]
  const r5 = multiplier[5]
  h[0] = a0 * r0 + 20 * (a1 * r5 + a2 * r4 + a3 * r3 + a4 * r2 + a5 * r1)
  h[1] = a0 * r1 + a1 * r0 + 20 * (a2 * r5 + a3 * r4 + a4 * r3 + a5 * r2)
  h[2] = a0 * r2 + a1 * r1 + a2 * r0 + 20 * (a3 * r5 + a4 * r4 + a5 * r3)
  h[3] = a0 * r3 + a1 * r2 + a2 * r1 + a3 * r0 + 20 * (a4 * r5 + a5 * r4)
  h[4] = a0 * r4 + a1 * r3 + a2 * r2 + a3 * r1 + a4 * r0 + 20 * (a5 * r5)
  h[5] = a0 * r5 + a1 * r4 + a2 * r3 + a3 * r2 + a4 * r1 + a5 * r0
  carry()
}

/** Brings the limbs of `h` back to +-2^21 (limbs 1 and 4: a little more). */
function carry(): void {
  for (let i = 0; i < 8; i++) {
    const from = i % 6
    const over = h[from] + ROUND - ROUND
    h[from] -= over
    if (from === 5) h[0] += over * (20 * TO_NEXT_LIMB)
    else h[from + 1] += over * TO_NEXT_LIMB
  }
}

/** h = (h + m0) * r^2 + m1 * r over each pair of blocks before `end`. */
function hashPairs(data: Uint8Array, end: number): void {
  let h0 = h[0]
  let h1 = h[1]
  let h2 = h[2]
  let h3 = h[3]
  let h4 = h[4]
  let h5 = h[5]
  const r0 = multiplier[0]
  const r1 = multiplier[1]
  const r2 = multiplier[2]
  const r3 = multiplier[3]
  const r4 = multiplier[4]
  const r5 = multiplier[5]
  const s0 = square[0]
  const s1 = square[1]
  const s2 = square[2]
  const s3 = square[3]
  const s4 = square[4]
  const s5 = square[5]
  for (let at = 0; at < end; at += 32) {
    let w0 = data[at] | (data[at + 1] << 8) | (data[at + 2] << 16) | (data[at + 3] << 24)
    let w1 = data[at + 4] | (data[at + 5] << 8) | (data[at + 6] << 16) | (data[at + 7] << 24)
    let w2 = data[at + 8] | (data[at + 9] << 8) | (data[at + 10] << 16) | (data[at + 11] << 24)
    let w3 = data[at + 12] | (data[at + 13] << 8) | (data[at + 14] << 16) | (data[at + 15] << 24)
    h0 += w0 & 0x3fffff
    h1 += ((w0 >>> 22) | (w1 << 10)) & 0x3fffff
    h2 += ((w1 >>> 12) | (w2 << 20)) & 0x3fffff
    h3 += (w2 >>> 2) & 0x3fffff
    h4 += ((w2 >>> 24) | (w3 << 8)) & 0x3fffff
    h5 += (w3 >>> 14) + BLOCK_END
    w0 = data[at + 16] | (data[at + 17] << 8) | (data[at + 18] << 16) | (data[at + 19] << 24)
    w1 = data[at + 20] | (data[at + 21] << 8) | (data[at + 22] << 16) | (data[at + 23] << 24)
    w2 = data[at + 24] | (data[at + 25] << 8) | (data[at + 26] << 16) | (data[at + 27] << 24)
    w3 = data[at + 28] | (data[at + 29] << 8) | (data[at + 30] << 16) | (data[at + 31] << 24)
    const m0 = w0 & 0x3fffff
    const m1 = ((w0 >>> 22) | (w1 << 10)) & 0x3fffff
    const m2 = ((w1 >>> 12) | (w2 << 20)) & 0x3fffff
    const m3 = (w2 >>> 2) & 0x3fffff
    const m4 = ((w2 >>> 24) | (w3 << 8)) & 0x3fffff
    const m5 = (w3 >>> 14) + BLOCK_END
    let d0 =
      h0 * s0 +
      m0 * r0 +
      20 * (h1 * s5 + m1 * r5 + h2 * s4 + m2 * r4 + h3 * s3 + m3 * r3 + h4 * s2 + m4 * r2 + h5 * s1 + m5 * r1)
    let d1 =
      h0 * s1 +
      m0 * r1 +
      h1 * s0 +
      m1 * r0 +
      20 * (h2 * s5 + m2 * r5 + h3 * s4 + m3 * r4 + h4 * s3 + m4 * r3 + h5 * s2 + m5 * r2)
    let d2 =
      h0 * s2 +
      m0 * r2 +
      h1 * s1 +
      m1 * r1 +
      h2 * s0 +
      m2 * r0 +
      20 * (h3 * s5 + m3 * r5 + h4 * s4 + m4 * r4 + h5 * s3 + m5 * r3)
    let d3 =
      h0 * s3 +
      m0 * r3 +
      h1 * s2 +
      m1 * r2 +
      h2 * s1 +
      m2 * r1 +
      h3 * s0 +
      m3 * r0 +
      20 * (h4 * s5 + m4 * r5 + h5 * s4 + m5 * r4)
    let d4 =
      h0 * s4 +
      m0 * r4 +
      h1 * s3 +
      m1 * r3 +
      h2 * s2 +
      m2 * r2 +
      h3 * s1 +
      m3 * r1 +
      h4 * s0 +
      m4 * r0 +
      20 * (h5 * s5 + m5 * r5)
    let d5 =
      h0 * s5 +
      m0 * r5 +
      h1 * s4 +
      m1 * r4 +
      h2 * s3 +
      m2 * r3 +
      h3 * s2 +
      m3 * r2 +
      h4 * s1 +
      m4 * r1 +
      h5 * s0 +
      m5 * r0
    // Two chains of carries side by side, 0 to 3 and 3 to 0.
    let c = d0 + ROUND - ROUND
    let e = d3 + ROUND - ROUND
    d0 -= c
    d3 -= e
    d1 += c * TO_NEXT_LIMB
    d4 += e * TO_NEXT_LIMB
    c = d1 + ROUND - ROUND
    e = d4 + ROUND - ROUND
    d1 -= c
    d4 -= e
    d2 += c * TO_NEXT_LIMB
    d5 += e * TO_NEXT_LIMB
    c = d2 + ROUND - ROUND
    e = d5 + ROUND - ROUND
    d2 -= c
    d5 -= e
    d3 += c * TO_NEXT_LIMB
    d0 += e * (20 * TO_NEXT_LIMB)
    c = d0 + ROUND - ROUND
    e = d3 + ROUND - ROUND
    h0 = d0 - c
    h3 = d3 - e
    h1 = d1 + c * TO_NEXT_LIMB
    h4 = d4 + e * TO_NEXT_LIMB
    h2 = d2
    h5 = d5
  }
  h[0] = h0
  h[1] = h1
  h[2] = h2
  h[3] = h3
  h[4] = h4
  h[5] = h5
}

/** Reduces h fully, adds the key's second half and stores the lower 128 bits. */
function finish(tag: Uint8Array, key: Uint8Array): void {
  carry()
  // Limbs of 0 to 2^22 - 1, the top one of 20 bits: what is above bit 130 counts five times. Twice around settles it.
  for (let round = 0; round < 3; round++) {
    let over = 0
    for (let i = 0; i < 6; i++) {
      const limb = h[i] + over
      const size = i === 5 ? TOP_LIMB : LIMB
      over = Math.floor(limb / size)
      h[i] = limb - over * size
    }
    h[0] += 5 * over
  }
  if (isPrimeOrMore()) {
    h[0] -= LIMB - 5
    for (let i = 1; i < 6; i++) h[i] = 0
  }
  let sum = storeSum(tag, key, 0, h[0] | (h[1] << 22), 0)
  sum = storeSum(tag, key, 4, (h[1] >>> 10) | (h[2] << 12), sum)
  sum = storeSum(tag, key, 8, (h[2] >>> 20) | (h[3] << 2) | (h[4] << 24), sum)
  storeSum(tag, key, 12, (h[4] >>> 8) | (h[5] << 14), sum)
}

/** Stores word `w` + the key's second half at byte `at` + `carried`; returns what is carried on. */
function storeSum(tag: Uint8Array, key: Uint8Array, at: number, w: number, carried: number): number {
  const sum = (w >>> 0) + (word(key, 16 + at) >>> 0) + carried
  tag[at] = sum
  tag[at + 1] = sum >>> 8
  tag[at + 2] = sum >>> 16
  tag[at + 3] = sum >>> 24
  return sum > 0xffffffff ? 1 : 0
}

/** Whether the settled h is 2^130 - 5 or more. */
function isPrimeOrMore(): boolean {
  return (
    h[0] >= LIMB - 5 &&
    h[1] === LIMB - 1 &&
    h[2] === LIMB - 1 &&
    h[3] === LIMB - 1 &&
    h[4] === LIMB - 1 &&
    h[5] === TOP_LIMB - 1
  )
}

function word(bytes: Uint8Array, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)
}
