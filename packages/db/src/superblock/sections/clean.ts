/**
 * Section `clean`: what a clean start needs instead of reading the journal: btree roots, clocks, the last sequence
 * number. Valid only while the superblock's CLEAN flag is set; it stays, stale, in a volume in use. Format chapter 1, 4.7.
 */

/** The section `clean`. */
export interface CleanSection {
  readonly flags: number
  /** Sequence number of the last journal entry; the next one is greater by one. */
  readonly journalSeq: bigint
  /** Sub-entries as in a journal entry (chapter 3, 3.3), back to back, known to fill this exactly. */
  readonly entries: Uint8Array
}
