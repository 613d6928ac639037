import type { U64Halves } from './u64-halves.ts'

/**
 * XXH64 with seed 0, in two 32-bit halves and without a bigint. Format chapter 1, section 8.2; the algorithm is the
 * "XXH64" of the xxHash specification.
 *
 * The upper half of a 32 x 32 bit product comes from a double: `a * b` is off by less than 2^11, its low half is known
 * exactly from `Math.imul`, so the difference divided by 2^32 rounds to the exact upper half. That is a quarter faster
 * than four 16-bit products. Calls don't nest, so the lanes and the running value live in the module.
 */

const P1_HI = 0x9e3779b1 | 0
const P1_LO = 0x85ebca87
const P2_HI = 0xc2b2ae3d | 0
const P2_LO = 0x27d4eb4f
const P3_HI = 0x165667b1
const P3_LO = 0x9e3779f9
const P4_HI = 0x85ebca77 | 0
const P4_LO = 0xc2b2ae63
const P5_HI = 0x27d4eb2f
const P5_LO = 0x165667c5
const P1_LO_INT = P1_LO | 0
const P2_LO_INT = P2_LO | 0
const TO_UPPER_HALF = 2 ** -32

/** The lanes at the start: P1 + P2, P2, 0, -P1. */
const LANES_AT_START = [
  (P1_LO + P2_LO) | 0,
  (P1_HI + P2_HI + (P1_LO + P2_LO > 0xffffffff ? 1 : 0)) | 0,
  P2_LO | 0,
  P2_HI,
  0,
  0,
  -P1_LO | 0,
  ~P1_HI,
]

/** By how many bits each lane is turned when they are merged. */
const LANE_TURNS = [1, 7, 12, 18]

/** The four lanes, low and high half of each. */
const lanes = new Int32Array(8)
/** The value that is being mixed, after the lanes have been merged. */
let valueLo = 0
let valueHi = 0
/** One lane step's result. */
let roundLo = 0
let roundHi = 0

/** Stores the hash of `data` to `out`. */
export function xxh64(out: U64Halves, data: Uint8Array): void {
  const length = data.length
  let at = 0
  if (length >= 32) {
    at = length - (length % 32)
    hashStripes(data, at)
    mergeLanes()
  } else {
    valueLo = P5_LO | 0
    valueHi = P5_HI
  }
  add(length | 0, Math.floor(length * TO_UPPER_HALF))
  hashTail(data, at)
  xorShiftRight(33)
  multiply(P2_LO, P2_HI)
  xorShiftRight(29)
  multiply(P3_LO, P3_HI)
  valueLo ^= valueHi
  out.lo = valueLo >>> 0
  out.hi = valueHi >>> 0
}

function hashStripes(data: Uint8Array, end: number): void {
  lanes.set(LANES_AT_START)
  for (let stripe = 0; stripe < end; stripe += 32) {
    for (let lane = 0; lane < 8; lane += 2) {
      const i = stripe + 4 * lane
      const inLo = data[i] | (data[i + 1] << 8) | (data[i + 2] << 16) | (data[i + 3] << 24)
      const inHi = data[i + 4] | (data[i + 5] << 8) | (data[i + 6] << 16) | (data[i + 7] << 24)
      // lane + in * P2
      const lo = Math.imul(inLo, P2_LO_INT)
      const upper = (((inLo >>> 0) * P2_LO - (lo >>> 0)) * TO_UPPER_HALF + 0.5) | 0
      const hi = (upper + Math.imul(inLo, P2_HI) + Math.imul(inHi, P2_LO_INT)) | 0
      const laneLo = lanes[lane]
      const sumLo = (laneLo + lo) | 0
      const carry = ((laneLo & lo) | ((laneLo | lo) & ~sumLo)) >>> 31
      const sumHi = (lanes[lane + 1] + hi + carry) | 0
      // rotated left by 31 bits, * P1
      const turnedLo = (sumLo << 31) | (sumHi >>> 1)
      const turnedHi = (sumHi << 31) | (sumLo >>> 1)
      const newLo = Math.imul(turnedLo, P1_LO_INT)
      const newUpper = (((turnedLo >>> 0) * P1_LO - (newLo >>> 0)) * TO_UPPER_HALF + 0.5) | 0
      lanes[lane] = newLo
      lanes[lane + 1] = (newUpper + Math.imul(turnedLo, P1_HI) + Math.imul(turnedHi, P1_LO_INT)) | 0
    }
  }
}

function mergeLanes(): void {
  valueLo = 0
  valueHi = 0
  for (let lane = 0; lane < 4; lane++) {
    const lo = lanes[2 * lane]
    const hi = lanes[2 * lane + 1]
    const turn = LANE_TURNS[lane]
    add((lo << turn) | (hi >>> (32 - turn)), (hi << turn) | (lo >>> (32 - turn)))
  }
  for (let lane = 0; lane < 4; lane++) {
    round(lanes[2 * lane], lanes[2 * lane + 1])
    valueLo ^= roundLo
    valueHi ^= roundHi
    multiply(P1_LO, P1_HI)
    add(P4_LO | 0, P4_HI)
  }
}

function hashTail(data: Uint8Array, from: number): void {
  const end = data.length
  let i = from
  for (; i + 8 <= end; i += 8) {
    round(
      data[i] | (data[i + 1] << 8) | (data[i + 2] << 16) | (data[i + 3] << 24),
      data[i + 4] | (data[i + 5] << 8) | (data[i + 6] << 16) | (data[i + 7] << 24),
    )
    valueLo ^= roundLo
    valueHi ^= roundHi
    rotateLeft(27)
    multiply(P1_LO, P1_HI)
    add(P4_LO | 0, P4_HI)
  }
  if (i + 4 <= end) {
    xorProduct(data[i] | (data[i + 1] << 8) | (data[i + 2] << 16) | (data[i + 3] << 24), P1_LO, P1_HI)
    rotateLeft(23)
    multiply(P2_LO, P2_HI)
    add(P3_LO | 0, P3_HI)
    i += 4
  }
  for (; i < end; i++) {
    xorProduct(data[i], P5_LO, P5_HI)
    rotateLeft(11)
    multiply(P1_LO, P1_HI)
  }
}

/** round = rotateLeft(in * P2, 31) * P1: a lane step from an empty lane. */
function round(inLo: number, inHi: number): void {
  const lo = Math.imul(inLo, P2_LO_INT)
  const hi = upperProduct(inLo, P2_LO, lo) + Math.imul(inLo, P2_HI) + Math.imul(inHi, P2_LO_INT)
  const turnedLo = (lo << 31) | (hi >>> 1)
  const turnedHi = (hi << 31) | (lo >>> 1)
  roundLo = Math.imul(turnedLo, P1_LO_INT)
  roundHi = (upperProduct(turnedLo, P1_LO, roundLo) + Math.imul(turnedLo, P1_HI) + Math.imul(turnedHi, P1_LO_INT)) | 0
}

/** The upper 32 bits of a * b, both taken unsigned; `lower` are the lower ones. */
function upperProduct(a: number, b: number, lower: number): number {
  return (((a >>> 0) * b - (lower >>> 0)) * TO_UPPER_HALF + 0.5) | 0
}

/** value ^= word * (lo, hi) */
function xorProduct(word: number, lo: number, hi: number): void {
  const productLo = Math.imul(word, lo)
  valueLo ^= productLo
  valueHi ^= upperProduct(word, lo, productLo) + Math.imul(word, hi)
}

/** value *= (lo, hi) */
function multiply(lo: number, hi: number): void {
  const productLo = Math.imul(valueLo, lo)
  valueHi = (upperProduct(valueLo, lo, productLo) + Math.imul(valueLo, hi) + Math.imul(valueHi, lo)) | 0
  valueLo = productLo
}

function add(lo: number, hi: number): void {
  const sum = (valueLo + lo) | 0
  valueHi = (valueHi + hi + (((valueLo & lo) | ((valueLo | lo) & ~sum)) >>> 31)) | 0
  valueLo = sum
}

/** By 1 to 31 bits. */
function rotateLeft(bits: number): void {
  const lo = valueLo
  valueLo = (lo << bits) | (valueHi >>> (32 - bits))
  valueHi = (valueHi << bits) | (lo >>> (32 - bits))
}

/** value ^= value >> bits, for 1 to 63 bits other than 32. */
function xorShiftRight(bits: number): void {
  if (bits > 32) {
    valueLo ^= valueHi >>> (bits - 32)
  } else {
    valueLo ^= (valueLo >>> bits) | (valueHi << (32 - bits))
    valueHi ^= valueHi >>> bits
  }
}
