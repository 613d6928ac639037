/**
 * Names whose CRCs fall into the same few slots, whatever the seed: a CRC is linear, so the differences of two such pairs give four names, and
 * so on. Hash tables with them do all that hash tables can do.
 */

import { crc32c } from '@cowherd/kernel-lib'
import { Random } from '@cowherd/fuzz'

const LENGTH = 6
const TRIES = 400_000

/** Eight names, one character for each byte. The lowest `bits` of their CRCs may differ. */
export function collidingNames(bits = 2): string[] {
  const random = new Random(1)
  const differences = findDifferences(random, 3, bits)
  for (;;) {
    const base = nameBytes(random)
    const names = Array.from({ length: 8 }, (_, subset) => {
      const name = base.slice()
      differences.forEach((difference, bit) => {
        if (((subset >> bit) & 1) === 1) for (let i = 0; i < LENGTH; i++) name[i] ^= difference[i]
      })
      return name
    })
    if (names.every((name) => !name.includes(0) && !name.includes(0x2f))) {
      return names.map((name) => String.fromCharCode(...name))
    }
  }
}

/** Differences of names that change nothing but the lowest bits of the CRC. */
function findDifferences(random: Random, count: number, bits: number): Uint8Array[] {
  const byBlock = new Map<number, Uint8Array>()
  const differences: Uint8Array[] = []
  for (let i = 0; i < TRIES && differences.length < count; i++) {
    const name = nameBytes(random)
    const block = crc32c(0xffffffff, name) >>> bits
    const other = byBlock.get(block)
    if (other?.some((byte, at) => byte !== name[at]) === true) {
      differences.push(name.map((byte, at) => byte ^ other[at]))
    }
    byBlock.set(block, name)
  }
  if (differences.length < count) throw new Error('too few names with equal hashes')
  return differences
}

function nameBytes(random: Random): Uint8Array {
  return random.fill(new Uint8Array(LENGTH))
}
