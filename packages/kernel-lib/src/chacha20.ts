/**
 * ChaCha20 with a nonce of 16 bytes: 20 rounds, 256-bit key, state words 12 to 15 given by the caller. Word 12 counts
 * blocks of 64 bytes and wraps without a carry. Format chapter 1, section 9.1; the algorithm is RFC 8439, section 2.3.
 *
 * The key stream is made a block at a time into words of the module and XORed over the data, in words where the data is
 * aligned and the machine little-endian, otherwise byte by byte.
 */

const BLOCK_BYTES = 64
const LITTLE_ENDIAN = /* @__PURE__ */ isLittleEndian()

/** The input state: constants, key, counter and nonce. */
const state = new Int32Array(16)
/** One block of key stream. */
const stream = new Int32Array(16)

/**
 * XORs `data` in place with the key stream. `key` has 32 bytes; `nonce` the four words 12 to 15 of the state, the first of
 * which is the number of the first block. Throws RangeError for a key or nonce of another size.
 */
export function chacha20(key: Uint8Array, nonce: Uint32Array, data: Uint8Array): void {
  if (key.length !== 32) throw new RangeError(`a ChaCha20 key has 32 bytes, not ${key.length}`)
  if (nonce.length !== 4) throw new RangeError(`a ChaCha20 nonce has 4 words, not ${nonce.length}`)
  // "expand 32-byte k"
  state[0] = 0x61707865
  state[1] = 0x3320646e
  state[2] = 0x79622d32
  state[3] = 0x6b206574
  for (let i = 0; i < 8; i++) {
    state[4 + i] = key[4 * i] | (key[4 * i + 1] << 8) | (key[4 * i + 2] << 16) | (key[4 * i + 3] << 24)
  }
  for (let i = 0; i < 4; i++) state[12 + i] = nonce[i]

  const endOfBlocks = data.length - (data.length % BLOCK_BYTES)
  if (LITTLE_ENDIAN && data.byteOffset % 4 === 0 && endOfBlocks !== 0) {
    xorWords(new Int32Array(data.buffer, data.byteOffset, endOfBlocks / 4))
  } else {
    for (let at = 0; at < endOfBlocks; at += BLOCK_BYTES) {
      makeBlock()
      xorBytes(data, at, BLOCK_BYTES)
    }
  }
  if (endOfBlocks < data.length) {
    makeBlock()
    xorBytes(data, endOfBlocks, data.length - endOfBlocks)
  }
}

function xorWords(words: Int32Array): void {
  for (let at = 0; at < words.length; at += 16) {
    makeBlock()
    for (let i = 0; i < 16; i++) words[at + i] ^= stream[i]
  }
}

function xorBytes(data: Uint8Array, at: number, count: number): void {
  for (let i = 0; i < count; i++) data[at + i] ^= stream[i >> 2] >>> (8 * (i & 3))
}

/** Makes the next block of key stream and counts it. */
function makeBlock(): void {
  let x0 = state[0]
  let x1 = state[1]
  let x2 = state[2]
  let x3 = state[3]
  let x4 = state[4]
  let x5 = state[5]
  let x6 = state[6]
  let x7 = state[7]
  let x8 = state[8]
  let x9 = state[9]
  let x10 = state[10]
  let x11 = state[11]
  let x12 = state[12]
  let x13 = state[13]
  let x14 = state[14]
  let x15 = state[15]
  for (let i = 0; i < 10; i++) {
    // columns
    x0 = (x0 + x4) | 0
    x12 ^= x0
    x12 = (x12 << 16) | (x12 >>> 16)
    x8 = (x8 + x12) | 0
    x4 ^= x8
    x4 = (x4 << 12) | (x4 >>> 20)
    x0 = (x0 + x4) | 0
    x12 ^= x0
    x12 = (x12 << 8) | (x12 >>> 24)
    x8 = (x8 + x12) | 0
    x4 ^= x8
    x4 = (x4 << 7) | (x4 >>> 25)
    x1 = (x1 + x5) | 0
    x13 ^= x1
    x13 = (x13 << 16) | (x13 >>> 16)
    x9 = (x9 + x13) | 0
    x5 ^= x9
    x5 = (x5 << 12) | (x5 >>> 20)
    x1 = (x1 + x5) | 0
    x13 ^= x1
    x13 = (x13 << 8) | (x13 >>> 24)
    x9 = (x9 + x13) | 0
    x5 ^= x9
    x5 = (x5 << 7) | (x5 >>> 25)
    x2 = (x2 + x6) | 0
    x14 ^= x2
    x14 = (x14 << 16) | (x14 >>> 16)
    x10 = (x10 + x14) | 0
    x6 ^= x10
    x6 = (x6 << 12) | (x6 >>> 20)
    x2 = (x2 + x6) | 0
    x14 ^= x2
    x14 = (x14 << 8) | (x14 >>> 24)
    x10 = (x10 + x14) | 0
    x6 ^= x10
    x6 = (x6 << 7) | (x6 >>> 25)
    x3 = (x3 + x7) | 0
    x15 ^= x3
    x15 = (x15 << 16) | (x15 >>> 16)
    x11 = (x11 + x15) | 0
    x7 ^= x11
    x7 = (x7 << 12) | (x7 >>> 20)
    x3 = (x3 + x7) | 0
    x15 ^= x3
    x15 = (x15 << 8) | (x15 >>> 24)
    x11 = (x11 + x15) | 0
    x7 ^= x11
    x7 = (x7 << 7) | (x7 >>> 25)
    // diagonals
    x0 = (x0 + x5) | 0
    x15 ^= x0
    x15 = (x15 << 16) | (x15 >>> 16)
    x10 = (x10 + x15) | 0
    x5 ^= x10
    x5 = (x5 << 12) | (x5 >>> 20)
    x0 = (x0 + x5) | 0
    x15 ^= x0
    x15 = (x15 << 8) | (x15 >>> 24)
    x10 = (x10 + x15) | 0
    x5 ^= x10
    x5 = (x5 << 7) | (x5 >>> 25)
    x1 = (x1 + x6) | 0
    x12 ^= x1
    x12 = (x12 << 16) | (x12 >>> 16)
    x11 = (x11 + x12) | 0
    x6 ^= x11
    x6 = (x6 << 12) | (x6 >>> 20)
    x1 = (x1 + x6) | 0
    x12 ^= x1
    x12 = (x12 << 8) | (x12 >>> 24)
    x11 = (x11 + x12) | 0
    x6 ^= x11
    x6 = (x6 << 7) | (x6 >>> 25)
    x2 = (x2 + x7) | 0
    x13 ^= x2
    x13 = (x13 << 16) | (x13 >>> 16)
    x8 = (x8 + x13) | 0
    x7 ^= x8
    x7 = (x7 << 12) | (x7 >>> 20)
    x2 = (x2 + x7) | 0
    x13 ^= x2
    x13 = (x13 << 8) | (x13 >>> 24)
    x8 = (x8 + x13) | 0
    x7 ^= x8
    x7 = (x7 << 7) | (x7 >>> 25)
    x3 = (x3 + x4) | 0
    x14 ^= x3
    x14 = (x14 << 16) | (x14 >>> 16)
    x9 = (x9 + x14) | 0
    x4 ^= x9
    x4 = (x4 << 12) | (x4 >>> 20)
    x3 = (x3 + x4) | 0
    x14 ^= x3
    x14 = (x14 << 8) | (x14 >>> 24)
    x9 = (x9 + x14) | 0
    x4 ^= x9
    x4 = (x4 << 7) | (x4 >>> 25)
  }
  stream[0] = x0 + state[0]
  stream[1] = x1 + state[1]
  stream[2] = x2 + state[2]
  stream[3] = x3 + state[3]
  stream[4] = x4 + state[4]
  stream[5] = x5 + state[5]
  stream[6] = x6 + state[6]
  stream[7] = x7 + state[7]
  stream[8] = x8 + state[8]
  stream[9] = x9 + state[9]
  stream[10] = x10 + state[10]
  stream[11] = x11 + state[11]
  stream[12] = x12 + state[12]
  stream[13] = x13 + state[13]
  stream[14] = x14 + state[14]
  stream[15] = x15 + state[15]
  state[12]++
}

function isLittleEndian(): boolean {
  return new Uint8Array(Uint16Array.of(1).buffer)[0] === 1
}
