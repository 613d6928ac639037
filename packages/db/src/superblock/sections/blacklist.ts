/**
 * Section `journal_seq_blacklist`: journal sequence numbers that were given out and lost in a crash. Journal entries and
 * node parts that carry one are ignored for ever. Format chapter 1, 4.9.
 */

/** Sequence numbers from `start` up to but not including `end`. */
export interface SeqRange {
  readonly start: bigint
  readonly end: bigint
}
