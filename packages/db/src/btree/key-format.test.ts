import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Key } from '../key.ts'
import { KeyFormat, KeyFormatLayout } from './key-format.ts'

/** Loads a format; `offsets` may be shorter than six. */
function format(keyU64s: number, bitsPerField: number[], offsets: bigint[]) {
  const fieldOffset = Array.from({ length: 6 }, (_, i) => offsets[i] ?? 0n)
  const bytes = KeyFormatLayout.bytes({ keyU64s, fieldCount: 6, bitsPerField, fieldOffset })
  const loaded = new KeyFormat()
  return { loaded, problem: loaded.load(new DataView(bytes.buffer), 0) }
}

/** Unpacks a key given as hex, value words zero. */
function unpack(of: KeyFormat, hex: string): Key {
  const bytes = Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
  const words = new Uint32Array(512)
  new Uint8Array(words.buffer).set(bytes)
  const unpacked = new Uint32Array(512)
  of.unpack(unpacked, 0, words, 0)
  const key = new Key()
  key.set(unpacked, 0)
  return key
}

describe('packed keys (format chapter 2, 2.2.4)', () => {
  const vectors: [number, number[], bigint[], string, string][] = [
    [2, [16, 8, 32, 8, 0, 0], [4278n, 8n], '04000600 00000000 08ffffff ff000100', '6 4279:8:U32_MAX 8 0 2'],
    [2, [16, 16, 32, 16, 0, 0], [], '04000600 00000800 ffffffff 08000210', '6 4098:8:U32_MAX 8 0 2'],
    [1, [0, 8, 32, 0, 0, 0], [0n, 5097n], '0f001dff ffffff00', '29 0:5097:U32_MAX 0 0 14'],
    [1, [0, 32, 0, 0, 0, 0], [], '05001c00 00008500', '28 0:8716288:0 0 0 4'],
    [
      3,
      [16, 64, 32, 0, 0, 0],
      [],
      '05000a00 00000000 0000ffff ffff56ce 58494794 1e1b0010',
      '10 4096:1954162322219519574:U32_MAX 0 0 2',
    ],
    [3, [64, 64, 32, 0, 0, 0], [], '03000000 ffffffff 08000000 00000000 b1130000 00000000', '0 5041:8:U32_MAX 0 0 0'],
    [
      2,
      [0, 0, 24, 0, 0, 40],
      [0n, 0n, 0n, 0n, 0n, 4294968347n],
      '03002200 00000000 122e0000 54000000',
      '34 POS_MIN 0 365072233005 1',
    ],
    [
      4,
      [64, 64, 32, 16, 0, 0],
      [],
      '06000600 00000000 00000800 ffffffff 08000000 00000000 02100000 00000000',
      '6 4098:8:U32_MAX 8 0 2',
    ],
  ]
  it.each(vectors)('unpacks a key of %i words', (keyU64s, bits, offsets, hex, expected) => {
    const { loaded, problem } = format(keyU64s, bits, offsets)
    expect(problem).toBeUndefined()
    const key = unpack(loaded, hex)
    expect(`${key.type} ${key.posText} ${key.size} ${key.version} ${key.valueBytes / 8}`).toBe(expected)
  })

  it('refuses formats that could overflow a field or lie about their size', () => {
    expect(format(2, [16, 16, 33, 0, 0, 0], []).problem).toMatch('field 2 has 33 bits')
    expect(format(2, [64, 0, 0, 0, 0, 0], [1n]).problem).toMatch('field 0 can overflow')
    expect(format(1, [0, 0, 8, 0, 0, 0], [0n, 0n, 0xffffffffn]).problem).toMatch('field 2 can overflow')
    expect(format(3, [16, 16, 32, 0, 0, 0], []).problem).toMatch('3 words for 88 bits')
  })

  it('unpacks what a plain big-integer packer packs', () => {
    const width = [64, 64, 32, 32, 32, 64]
    const field = (bits: number) =>
      fc.tuple(
        fc.integer({ min: 0, max: bits }),
        fc.bigInt(0n, (1n << BigInt(bits)) - 1n),
        fc.bigInt(0n, (1n << BigInt(bits)) - 1n),
      )
    fc.assert(
      fc.property(fc.tuple(...width.map(field)), (fields) => {
        const bits = fields.map(([count]) => count)
        const offsets = fields.map(([count, seed], i) =>
          count === width[i] ? 0n : seed % ((1n << BigInt(width[i])) - (1n << BigInt(count)) + 1n),
        )
        const raw = fields.map(([count, , seed]) => (count === 0 ? 0n : seed & ((1n << BigInt(count)) - 1n)))
        const keyU64s = Math.ceil((24 + bits.reduce((a, b) => a + b, 0)) / 64)
        const { loaded, problem } = format(keyU64s, bits, offsets)
        expect(problem).toBeUndefined()

        let number = BigInt(keyU64s) | (6n << 16n)
        let top = BigInt(keyU64s * 64)
        raw.forEach((value, i) => {
          top -= BigInt(bits[i])
          number |= value << top
        })
        const hex = Array.from({ length: keyU64s * 8 }, (_, i) =>
          Number((number >> BigInt(8 * i)) & 255n)
            .toString(16)
            .padStart(2, '0'),
        )
        const key = unpack(loaded, hex.join(''))
        const value = raw.map((bitsOf, i) => bitsOf + offsets[i])
        const halves = (hi: number, lo: number) => (BigInt(hi) << 32n) | BigInt(lo)
        expect([
          halves(key.inodeHi, key.inodeLo),
          halves(key.offsetHi, key.offsetLo),
          BigInt(key.snapshot),
          BigInt(key.size),
          BigInt(key.versionHi),
          halves(key.versionMid, key.versionLo),
        ]).toEqual(value)
      }),
    )
  })
})
