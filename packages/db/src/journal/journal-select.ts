/**
 * Decides which journal entries make up the volume's state: from the newest intact flush entry back to the oldest one it still needs.
 * Format chapter 3, 3.4.4.
 */

import { JournalError } from '../errors.ts'
import type { SeqRange } from '../superblock/index.ts'
import { isGood, type FoundEntry } from './journal-scan.ts'

export interface JournalSelection {
  /** What is to be replayed, ascending. */
  readonly entries: readonly FoundEntry[]
  /** Sequence number of the newest flush entry: what is newer never happened. */
  readonly newest: bigint
  /** One more than the highest sequence number seen. */
  readonly start: bigint
  /** Worth telling: torn and dropped entries. */
  readonly notes: readonly string[]
}

const WHERE = 'journal'
/** All sequence numbers of one journal lie this close together. */
const SPAN_MAX = 1n << 31n

/** Throws JournalError when there is nothing to start from, or entries are missing. `found` is ascending. */
export function selectEntries(found: readonly FoundEntry[], blacklist: readonly SeqRange[]): JournalSelection {
  if (found.length === 0) {
    throw new JournalError('EIO', WHERE, 'the volume was not shut down cleanly, and there are no journal entries')
  }
  const highest = found[found.length - 1]
  if (highest.seq - found[0].seq >= SPAN_MAX) {
    throw new JournalError('EIO', WHERE, `entries ${found[0].seq} and ${highest.seq} can't belong to one journal`)
  }
  const notes: string[] = []
  const newest = newestFlush(found, notes)
  const last = found[newest]
  const { lastSeq } = last
  const dropped = found.slice(newest + 1).filter(({ noFlush }) => noFlush).length
  if (dropped > 0)
    notes.push(`${dropped} journal ${dropped === 1 ? 'entry' : 'entries'} after ${last.seq} not flushed: ignored`)

  const entries = found.slice(0, newest + 1).filter((entry) => entry.seq >= lastSeq && keep(entry, blacklist, notes))
  checkComplete(entries, lastSeq, last.seq, blacklist)
  for (const entry of entries) {
    if (!isGood(entry)) throw new JournalError('EIO', `journal entry ${entry.seq}`, 'bad checksum in every copy')
  }
  return { entries, newest: last.seq, start: highest.seq + 1n, notes }
}

/** Index of the newest usable flush entry. One torn flush entry, the last write, is passed over. */
function newestFlush(found: readonly FoundEntry[], notes: string[]): number {
  let torn = false
  for (let i = found.length - 1; i >= 0; i--) {
    const entry = found[i]
    if (entry.noFlush) continue
    if (isGood(entry)) return i
    if (torn)
      throw new JournalError('EIO', `journal entry ${entry.seq}`, 'the two newest flushed entries are both damaged')
    torn = true
    notes.push(`journal entry ${entry.seq} is torn: ignored`)
  }
  throw new JournalError('EIO', WHERE, 'no usable flushed entry')
}

function keep(entry: FoundEntry, blacklist: readonly SeqRange[], notes: string[]): boolean {
  if (!isBlacklisted(blacklist, entry.seq)) return true
  if (!entry.noFlush && isGood(entry))
    notes.push(`journal entry ${entry.seq} is blacklisted, although flushed: ignored`)
  return false
}

/** Each number from `from` to `to` is there, or blacklisted. */
function checkComplete(entries: readonly FoundEntry[], from: bigint, to: bigint, blacklist: readonly SeqRange[]): void {
  const there = new Set(entries.map(({ seq }) => seq))
  for (let seq = from; seq <= to; seq++) {
    if (there.has(seq)) continue
    const range = rangeOf(blacklist, seq)
    if (range === undefined) {
      throw new JournalError('EIO', WHERE, `entry ${seq} is missing (needed: ${from} to ${to})`)
    }
    seq = range.end - 1n
  }
}

export function isBlacklisted(blacklist: readonly SeqRange[], seq: bigint): boolean {
  return rangeOf(blacklist, seq) !== undefined
}

/** The range that holds `seq`. Ranges are sorted and disjoint; a damaged superblock may have a great many. */
function rangeOf(blacklist: readonly SeqRange[], seq: bigint): SeqRange | undefined {
  let low = 0
  let high = blacklist.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (blacklist[middle].end <= seq) low = middle + 1
    else high = middle
  }
  const range = low < blacklist.length ? blacklist[low] : undefined
  return range !== undefined && range.start <= seq ? range : undefined
}
