import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bpos, compareBpos } from '../bpos.ts'
import { KEY_POS_AT, KEY_WORDS } from '../key.ts'
import { beginOrder, insertInOrder, keyAt, lowerBound, orderWords, placeKey, removeFromOrder } from './node-order.ts'

const AT = 5

/** Numbers of 64 bits near each other, near powers of two, and anywhere. */
const number64 = fc.oneof(
  fc.bigInt({ min: 0n, max: 40n }),
  fc.bigInt({ min: 4096n, max: 4200n }),
  fc.tuple(fc.integer({ min: 0, max: 63 }), fc.bigInt({ min: -2n, max: 2n })).map(([bits, by]) => {
    const value = (1n << BigInt(bits)) + by
    return value < 0n ? 0n : value
  }),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
)
const position = fc
  .tuple(number64, number64, fc.constantFrom(0, 1, 0xffffffff))
  .map(([inode, offset, snapshot]) => bpos(inode, offset, snapshot))
const oneInode = fc.tuple(number64, fc.array(number64)).map(([inode, offsets]) => offsets.map((o) => bpos(inode, o)))

function sorted(positions: readonly Uint32Array[]): Uint32Array[] {
  const all = [...positions].sort((a, b) => compareBpos(a, 0, b, 0))
  return all.filter((pos, i) => i === 0 || compareBpos(pos, 0, all[i - 1], 0) !== 0)
}

/** An image with keys at these positions, and room for `spare` more behind the word `used`. */
class Image {
  readonly words: Uint32Array
  used: number
  count: number

  constructor(positions: readonly Uint32Array[], spare: number) {
    this.count = positions.length
    const room = this.count + spare
    this.words = new Uint32Array(AT + orderWords(room) + room * KEY_WORDS)
    const words = new Uint32Array(this.count * KEY_WORDS)
    positions.forEach((pos, i) => words.set(pos, i * KEY_WORDS + KEY_POS_AT))
    const order = Uint32Array.from(positions, (_, i) => i * KEY_WORDS)
    beginOrder(this.words, AT, { words, base: 0, order, first: 0, count: this.count }, room)
    this.used = AT + orderWords(room)
    positions.forEach((pos, i) => placeKey(this.words, AT, i, this.take(pos)))
  }

  indexOf(pos: Uint32Array): number {
    return lowerBound(this.words, AT, this.count, pos, 0)
  }

  insert(pos: Uint32Array): void {
    insertInOrder(this.words, AT, this.count, this.indexOf(pos), this.take(pos))
    this.count++
  }

  remove(pos: Uint32Array): void {
    removeFromOrder(this.words, AT, this.count, this.indexOf(pos))
    this.count--
  }

  get positions(): Uint32Array[] {
    return Array.from({ length: this.count }, (_, i) => {
      const at = keyAt(this.words, AT, i) + KEY_POS_AT
      return this.words.slice(at, at + 5)
    })
  }

  private take(pos: Uint32Array): number {
    const at = this.used
    this.used += KEY_WORDS
    this.words.set(pos, at + KEY_POS_AT)
    return at
  }
}

describe('the order of an image', () => {
  it('finds every place, whatever keys it began with, came, and went', () => {
    const positions = fc.oneof(fc.array(position), oneInode)
    fc.assert(
      fc.property(positions, positions, fc.array(position), (first, more, asked) => {
        const begun = sorted(first)
        const image = new Image(begun, more.length)
        const present = new Map(begun.map((pos) => [pos.join(), pos]))
        const check = (): void => {
          const expected = sorted([...present.values()])
          expect(image.positions).toEqual(expected)
          for (const pos of [...asked, ...first, ...more]) {
            expect(image.indexOf(pos)).toBe(expected.filter((each) => compareBpos(each, 0, pos, 0) < 0).length)
          }
        }
        check()
        for (const pos of more) {
          if (present.has(pos.join())) {
            image.remove(pos)
            present.delete(pos.join())
          } else {
            image.insert(pos)
            present.set(pos.join(), pos)
          }
        }
        check()
      }),
      { numRuns: 1000 },
    )
  })
})
