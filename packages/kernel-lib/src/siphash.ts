import type { U64Halves } from './u64-halves.ts'

/**
 * SipHash-2-4 in two 32-bit halves, without allocation: the hash of directory entries and attribute names. Format chapter
 * 5, section 5.4; the algorithm is Aumasson and Bernstein's "SipHash: a fast short-input PRF".
 *
 * Made for names: short messages, a fixed cost of a few hundred nanoseconds at most.
 */

/** A 128-bit key: the two 64-bit words k0 and k1 in halves. */
export interface SipHashKey {
  k0: Readonly<U64Halves>
  k1: Readonly<U64Halves>
}

// The state words v0 to v3; calls don't nest.
let v0lo = 0
let v0hi = 0
let v1lo = 0
let v1hi = 0
let v2lo = 0
let v2hi = 0
let v3lo = 0
let v3hi = 0

/** Stores the hash of `data` to `out`. */
export function sipHash24(out: U64Halves, key: Readonly<SipHashKey>, data: Uint8Array): void {
  const length = data.length
  const endOfWords = length - (length % 8)
  v0lo = key.k0.lo ^ 0x70736575
  v0hi = key.k0.hi ^ 0x736f6d65
  v1lo = key.k1.lo ^ 0x6e646f6d
  v1hi = key.k1.hi ^ 0x646f7261
  v2lo = key.k0.lo ^ 0x6e657261
  v2hi = key.k0.hi ^ 0x6c796765
  v3lo = key.k1.lo ^ 0x79746573
  v3hi = key.k1.hi ^ 0x74656462
  for (let i = 0; i < endOfWords; i += 8) {
    compress(
      data[i] | (data[i + 1] << 8) | (data[i + 2] << 16) | (data[i + 3] << 24),
      data[i + 4] | (data[i + 5] << 8) | (data[i + 6] << 16) | (data[i + 7] << 24),
    )
  }
  let lastLo = 0
  let lastHi = length << 24
  for (let i = length - 1; i >= endOfWords; i--) {
    const bit = 8 * (i - endOfWords)
    if (bit < 32) lastLo |= data[i] << bit
    else lastHi |= data[i] << (bit - 32)
  }
  compress(lastLo, lastHi)
  v2lo ^= 0xff
  mix(4)
  out.lo = (v0lo ^ v1lo ^ v2lo ^ v3lo) >>> 0
  out.hi = (v0hi ^ v1hi ^ v2hi ^ v3hi) >>> 0
}

function compress(lo: number, hi: number): void {
  v3lo ^= lo
  v3hi ^= hi
  mix(2)
  v0lo ^= lo
  v0hi ^= hi
}

/** `rounds` SipRounds. The state is kept in locals meanwhile: module variables would be stored and loaded at each step. */
function mix(rounds: number): void {
  let alo = v0lo
  let ahi = v0hi
  let blo = v1lo
  let bhi = v1hi
  let clo = v2lo
  let chi = v2hi
  let dlo = v3lo
  let dhi = v3hi
  for (let i = 0; i < rounds; i++) {
    // v0 += v1, v1 = v1 <<< 13 ^ v0, v0 <<<= 32
    let sum = (alo + blo) | 0
    ahi = (ahi + bhi + (((alo & blo) | ((alo | blo) & ~sum)) >>> 31)) | 0
    alo = sum
    let turned = ((blo << 13) | (bhi >>> 19)) ^ alo
    bhi = ((bhi << 13) | (blo >>> 19)) ^ ahi
    blo = turned
    turned = alo
    alo = ahi
    ahi = turned
    // v2 += v3, v3 = v3 <<< 16 ^ v2
    sum = (clo + dlo) | 0
    chi = (chi + dhi + (((clo & dlo) | ((clo | dlo) & ~sum)) >>> 31)) | 0
    clo = sum
    turned = ((dlo << 16) | (dhi >>> 16)) ^ clo
    dhi = ((dhi << 16) | (dlo >>> 16)) ^ chi
    dlo = turned
    // v0 += v3, v3 = v3 <<< 21 ^ v0
    sum = (alo + dlo) | 0
    ahi = (ahi + dhi + (((alo & dlo) | ((alo | dlo) & ~sum)) >>> 31)) | 0
    alo = sum
    turned = ((dlo << 21) | (dhi >>> 11)) ^ alo
    dhi = ((dhi << 21) | (dlo >>> 11)) ^ ahi
    dlo = turned
    // v2 += v1, v1 = v1 <<< 17 ^ v2, v2 <<<= 32
    sum = (clo + blo) | 0
    chi = (chi + bhi + (((clo & blo) | ((clo | blo) & ~sum)) >>> 31)) | 0
    clo = sum
    turned = ((blo << 17) | (bhi >>> 15)) ^ clo
    bhi = ((bhi << 17) | (blo >>> 15)) ^ chi
    blo = turned
    turned = clo
    clo = chi
    chi = turned
  }
  v0lo = alo
  v0hi = ahi
  v1lo = blo
  v1hi = bhi
  v2lo = clo
  v2hi = chi
  v3lo = dlo
  v3hi = dhi
}
