/** Damaged superblocks: whatever the bytes, the outcome is a superblock or a typed error, at once and in little memory. */

import { fixture, fixtureNames } from '@cowherd/fixtures'
import { portableCodecs } from '@cowherd/shim'
import { memoryStore, openStore } from '@cowherd/store'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SuperblockImage } from '../../test/superblock-image.ts'
import { Checksum } from '../checksum.ts'
import { SuperblockError, VolumeError } from '../errors.ts'
import { assemble } from './assemble.ts'
import { describeSuperblock } from './describe.ts'
import { printSuperblock } from './print.ts'
import { readSuperblock } from './read.ts'
import { SuperblockHead } from './superblock.ts'

const codecs = portableCodecs()
const SUPERBLOCK_AT = 4096
const RUNS = 1000
const TIMEOUT_MS = 120_000

/** The first 64 KiB of each device of the golden volumes, checksums of type `none`. */
const starts = fixtureNames().flatMap((name) =>
  fixture(name).devices.map((_, index) => new SuperblockImage(name, index).bytes()),
)
const size = 64 << 20

function deviceOf(start: Uint8Array) {
  return memoryStore({ size, pageSize: start.length, pages: new Map([[0, start]]) })
}

/** Reads, assembles, prints: returns true if the superblock was accepted. */
function accepted(start: Uint8Array): boolean {
  try {
    const device = deviceOf(start)
    const superblock = readSuperblock(device, codecs)
    expect(printSuperblock(superblock, { layout: true, fields: 'all' }).length).toBeLessThan(1 << 20)
    describeSuperblock(superblock)
    assemble([{ device, superblock }], 'very_degraded')
    return true
  } catch (error) {
    if (!(error instanceof VolumeError)) throw error
    expect(error.message).toMatch(/^memory/)
    return false
  }
}

/** A place in the superblock: fields and the starts of sections more often than the rest. */
const place = fc.oneof(fc.nat({ max: 760 }), fc.nat({ max: 5000 }))
const interesting = fc.oneof(
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  fc.constantFrom(
    0n,
    1n,
    0xffn,
    0xffffn,
    0x7fffffffn,
    0xffffffffn,
    (1n << 53n) + 1n,
    (1n << 63n) - 1n,
    (1n << 64n) - 1n,
  ),
)
const damage = fc.array(
  fc.oneof(
    fc.record({ at: place, value: fc.nat({ max: 255 }).map(BigInt), bytes: fc.constant(1) }),
    fc.record({ at: place, value: interesting, bytes: fc.constantFrom(2, 4, 8) }),
  ),
  { minLength: 1, maxLength: 6 },
)

function damaged(start: Uint8Array, changes: { at: number; value: bigint; bytes: number }[]): Uint8Array {
  const copy = start.slice()
  for (const { at, value, bytes } of changes) {
    for (let i = 0; i < bytes; i++) copy[SUPERBLOCK_AT + 16 + at + i] = Number((value >> BigInt(8 * i)) & 0xffn)
  }
  copy.fill(0, SUPERBLOCK_AT, SUPERBLOCK_AT + 16)
  copy[SUPERBLOCK_AT + 144] &= 0b11 // the checksum type stays none, so that damage gets past it
  return copy
}

test('changed bytes behind a right checksum', { timeout: TIMEOUT_MS }, () => {
  let good = 0
  fc.assert(
    fc.property(fc.nat({ max: starts.length - 1 }), damage, (which, changes) => {
      if (accepted(damaged(starts[which], changes))) good++
    }),
    { numRuns: RUNS },
  )
  expect(good).toBeGreaterThan(0)
  expect(good).toBeLessThan(RUNS)
})

test('damage that the checksum sees, or that cuts the device off', { timeout: TIMEOUT_MS }, () => {
  const store = openStore(fixture('default').devices[0], { lock: false })
  const start = new Uint8Array(65536)
  store.read(start, 0)
  store.close()
  const length = 752 + 8 * new DataView(start.buffer).getUint32(SUPERBLOCK_AT + 124, true)
  fc.assert(
    fc.property(fc.nat({ max: length - 1 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const copy = start.slice()
      copy[SUPERBLOCK_AT + at] ^= change
      expect(() => readSuperblock(deviceOf(copy), codecs)).toThrow(SuperblockError)
    }),
    { numRuns: RUNS },
  )
  fc.assert(
    fc.property(fc.nat({ max: SUPERBLOCK_AT + length - 1 }), (cut) => {
      expect(() => readSuperblock(memoryStore(start.subarray(0, cut)), codecs)).toThrow(SuperblockError)
    }),
  )
})

test('random sections behind a right fixed part', { timeout: TIMEOUT_MS }, () => {
  const checksum = new Checksum(codecs)
  const bodies = fc.array(fc.tuple(fc.nat({ max: 15 }), fc.uint8Array({ maxLength: 200 })), { maxLength: 4 })
  fc.assert(
    fc.property(bodies, fc.nat({ max: 3 }), (sections, keep) => {
      const image = new SuperblockImage('tiered')
      image.sections.length = keep + 1
      for (const [type, body] of sections) image.set(type, body)
      const bytes = image.bytes()
      bytes[SUPERBLOCK_AT + 144] |= 4 // crc32c_nonzero
      const length = SuperblockHead.size + 8 * image.head.u64s
      checksum.compute(1, bytes.subarray(SUPERBLOCK_AT + 16, SUPERBLOCK_AT + length))
      bytes.set(new Uint8Array(checksum.words.buffer), SUPERBLOCK_AT)
      accepted(bytes)
    }),
    { numRuns: RUNS },
  )
})
