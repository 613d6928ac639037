import { describe, expect, it } from 'vitest'
import { JournalError } from '../errors.ts'
import type { FoundEntry } from './journal-scan.ts'
import { selectEntries } from './journal-select.ts'

const entry = (seq: number, options: { noFlush?: boolean; lastSeq?: number; bad?: boolean } = {}): FoundEntry => ({
  seq: BigInt(seq),
  lastSeq: BigInt(options.noFlush === true ? 0 : (options.lastSeq ?? seq)),
  noFlush: options.noFlush === true,
  version: 1037,
  bytes: 64,
  places: [{ device: 0, bucketIndex: 1, sector: 8 * seq, checksumGood: options.bad !== true }],
})

/** The example of format chapter 3, 3.4.4: 8 noflush, 9 flush, 10 noflush, 11 and 12 flush; all flush ones need 8. */
const example = [
  entry(8, { noFlush: true }),
  entry(9, { lastSeq: 8 }),
  entry(10, { noFlush: true }),
  entry(11, { lastSeq: 8 }),
  entry(12, { lastSeq: 8 }),
]
const without = (...seqs: number[]) => example.filter(({ seq }) => !seqs.includes(Number(seq)))
const range = (start: number, end: number) => ({ start: BigInt(start), end: BigInt(end) })
const seqs = (found: readonly FoundEntry[]) => selectEntries(found, []).entries.map(({ seq }) => Number(seq))

describe('which journal entries count (format chapter 3, 3.4.4)', () => {
  it('replays from last_seq of the newest flushed entry to that entry, noflush entries in between included', () => {
    expect(seqs(example)).toEqual([8, 9, 10, 11, 12])
  })

  it('passes over one torn flushed entry', () => {
    const found = [...without(12), entry(12, { lastSeq: 8, bad: true })]
    expect(seqs(found)).toEqual([8, 9, 10, 11])
    expect(selectEntries(found, []).start).toBe(13n)
    expect(selectEntries(found, []).newest).toBe(11n)
  })

  it('drops noflush entries behind the newest flushed one', () => {
    expect(seqs(without(11, 12))).toEqual([8, 9])
  })

  it('refuses gaps, two torn entries in a row, damage in the middle, and an empty journal', () => {
    expect(() => seqs(without(10))).toThrow(/entry 10 is missing/)
    expect(() => seqs([...without(11, 12), entry(11, { bad: true }), entry(12, { bad: true })])).toThrow(JournalError)
    expect(() =>
      seqs([...without(9), entry(9, { lastSeq: 8, bad: true })].sort((a, b) => Number(a.seq - b.seq))),
    ).toThrow(/journal entry 9: bad checksum/)
    expect(() => seqs([])).toThrow(/no journal entries/)
    expect(() => seqs([entry(3, { noFlush: true })])).toThrow(/no usable flushed entry/)
    expect(() => seqs([entry(1), entry(2 ** 40)])).toThrow(/can't belong to one journal/)
  })

  it('takes blacklisted numbers as neither missing nor wanted', () => {
    const found = [...example, entry(21, { lastSeq: 8 }), entry(22, { lastSeq: 8 })]
    const selected = selectEntries(found, [range(13, 21)])
    expect(selected.entries.map(({ seq }) => Number(seq))).toEqual([8, 9, 10, 11, 12, 21, 22])
    const torn = [...example, entry(15, { lastSeq: 8, bad: true }), entry(21, { lastSeq: 8 })]
    expect(selectEntries(torn, [range(13, 21)]).notes).toEqual([])
  })

  it('is not slowed down by a blacklist of a hundred thousand ranges', () => {
    const count = 100_000
    const ranges = Array.from({ length: count }, (_, i) => range(10 + i, 11 + i))
    const found = [entry(9, { noFlush: true }), entry(10 + count, { lastSeq: 9 })]
    expect(selectEntries(found, ranges).entries).toHaveLength(2)
    expect(() => selectEntries(found, ranges.slice(1))).toThrow(/entry 10 is missing/)
    expect(() => selectEntries(found, ranges.slice(0, -1))).toThrow(/entry 100009 is missing/)
  })
})
