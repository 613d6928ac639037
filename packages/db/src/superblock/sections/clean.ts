/**
 * Section `clean`: what a clean start needs instead of reading the journal: btree roots, clocks, the last sequence
 * number. Valid only while the superblock's CLEAN flag is set; it stays, stale, in a volume in use. Format chapter 1, 4.7.
 */

import { column, pad, struct, u32, u64 } from '@cowherd/kernel-lib'
import { Malformed } from '../malformed.ts'
import { findSection, requireBytes, SectionHeader, viewOf, type Section } from './section.ts'

export const CleanHead = struct({ header: SectionHeader, flags: u32, clocks: pad(4), journalSeq: u64 })

const ENTRY_HEADER_BYTES = 8

/** The section `clean`. */
export interface CleanSection {
  readonly flags: number
  /** Sequence number of the last journal entry; the next one is greater by one. */
  readonly journalSeq: bigint
  /** Sub-entries as in a journal entry (chapter 3, 3.3), back to back, known to fill this exactly. */
  readonly entries: Uint8Array
}

/** The section, undefined if there is none. Throws Malformed if its entries don't fill it exactly. */
export function readClean(sections: readonly Section[]): CleanSection | undefined {
  const section = findSection(sections, 'clean')
  if (section === undefined) return undefined
  requireBytes(section, CleanHead.size)
  const { flags, journalSeq } = CleanHead.read(viewOf(section.bytes), 0)
  const entries = section.bytes.subarray(CleanHead.size)
  const view = viewOf(entries)
  for (let at = 0; at < entries.length;) {
    at += ENTRY_HEADER_BYTES + view.getUint16(at, true) * 8
    if (at > entries.length) throw new Malformed('section clean: an entry runs past the end')
  }
  return { flags, journalSeq, entries }
}

/** As `show-super` prints the section. */
export function printClean(section: Section): string {
  requireBytes(section, CleanHead.size)
  const { flags, journalSeq } = CleanHead.read(viewOf(section.bytes), 0)
  return `${column('flags:', 16)}${flags}\n${column('journal_seq:', 16)}${journalSeq}\n`
}
