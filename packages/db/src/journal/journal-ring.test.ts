import { describe, expect, test } from 'vitest'
import { JournalRing } from './journal-ring.ts'

const SECTORS = 100

const cleanRing = (count = 8, bucketIndex = 2, sectorsUsed = SECTORS): JournalRing =>
  new JournalRing(count, SECTORS, { bucketIndex, sectorsUsed, seqs: undefined })

/** Fills a bucket with one entry. */
function fill(ring: JournalRing, seq: number): boolean {
  if (!ring.step(seq)) return false
  ring.take(SECTORS, seq)
  return true
}

describe('the ring of a device', () => {
  test('after a clean shutdown all is free but the present bucket and the one that is kept', () => {
    const ring = cleanRing(8, 2, 40)
    expect(ring.sectorsFree).toBe(60)
    expect(ring.available(ring.discardIndex)).toBe(6)
    expect(ring.measure(ring.dirtyIndex, 0)).toBe(6 * SECTORS)
    expect(ring.entrySectors).toBe(SECTORS)
  })

  test('an entry lies behind the one before, or at the start of the next bucket', () => {
    const ring = cleanRing(8, 7, 90)
    expect(ring.take(8, 1)).toBe(90)
    expect(() => ring.take(8, 2)).toThrow(RangeError)
    expect(ring.step(2)).toBe(true)
    expect([ring.bucketIndex, ring.take(8, 2), ring.sectorsFree]).toEqual([0, 0, 92])
    ring.leaveBucket()
    expect(ring.sectorsFree).toBe(0)
  })

  test('the last bucket is for an entry that frees others', () => {
    const ring = cleanRing()
    for (let seq = 1; seq <= 6; seq++) expect(fill(ring, seq)).toBe(true)
    expect(ring.available(ring.discardIndex)).toBe(0)
    expect(fill(ring, 7)).toBe(false)
    expect(ring.measure(ring.dirtyIndex, 0)).toBe(0)
    ring.advance(4, 1) // in memory 1 to 3 are not needed
    expect(fill(ring, 7)).toBe(true)
    expect(fill(ring, 8)).toBe(false)
    ring.advance(4, 4) // nor according to entry 7, which is on the disk
    while (ring.nextToDiscard() >= 0) continue
    expect(fill(ring, 8)).toBe(true)
    expect(fill(ring, 9)).toBe(true)
    expect(fill(ring, 10)).toBe(true)
    expect(fill(ring, 11)).toBe(false)
  })

  test('buckets are written again only when they are discarded', () => {
    const ring = cleanRing()
    for (let seq = 1; seq <= 6; seq++) fill(ring, seq)
    ring.advance(7, 7)
    expect([ring.dirtyIndex, ring.dirtyIndexOnDisk, ring.discardIndex]).toEqual([0, 0, 2])
    const discarded: number[] = []
    for (let index = ring.nextToDiscard(); index >= 0; index = ring.nextToDiscard()) discarded.push(index)
    expect(discarded).toEqual([2, 3, 4, 5, 6, 7])
    expect(ring.discardIndex).toBe(0)
  })

  test('a thousand laps', () => {
    const ring = cleanRing(8)
    for (let seq = 1; seq <= 8000; seq++) {
      ring.advance(seq - 2, seq - 3)
      while (ring.nextToDiscard() >= 0) continue
      expect(fill(ring, seq)).toBe(true)
    }
  })

  test('after a crash every bucket counts as it was found', () => {
    const seqs = new Map([
      [4, 20],
      [5, 25],
      [6, 31],
      [0, 8],
    ])
    const ring = new JournalRing(8, SECTORS, { bucketIndex: 6, sectorsUsed: 10, seqs })
    expect([ring.discardIndex, ring.available(ring.discardIndex)]).toEqual([7, 0])
    ring.advance(21, 21)
    // 7 to 3 hold nothing that is needed, 4 neither
    expect([ring.dirtyIndex, ring.dirtyIndexOnDisk]).toEqual([5, 5])
    while (ring.nextToDiscard() >= 0) continue
    expect(ring.available(ring.discardIndex)).toBe(5)
  })

  test('what the open entry is going to take counts as taken', () => {
    const ring = cleanRing(8, 2, 40)
    expect(ring.measure(ring.dirtyIndex, 60)).toBe(6 * SECTORS)
    expect(ring.measure(ring.dirtyIndex, 61)).toBe(5 * SECTORS)
    for (let seq = 1; seq <= 6; seq++) fill(ring, seq)
    expect(ring.measure(ring.dirtyIndex, 1)).toBe(0)
    expect(ring.entrySectors).toBe(0)
  })

  test('half a ring on', () => {
    const ring = cleanRing()
    for (let seq = 1; seq <= 5; seq++) fill(ring, seq)
    expect(ring.bucketIndex).toBe(7)
    expect(ring.halfwaySeq).toBe(2) // bucket 4
  })

  test.each([
    [0, 0, 0],
    [4, 4, 0],
    [4, 0, SECTORS + 1],
    [2 ** 21, 0, 0],
  ])('%d buckets, bucket %d, sector %d is no ring', (count, bucketIndex, sectorsUsed) => {
    expect(() => cleanRing(count, bucketIndex, sectorsUsed)).toThrow(RangeError)
  })
})
