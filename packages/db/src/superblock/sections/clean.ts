/**
 * Section `clean`: what a clean start needs instead of reading the journal: btree roots, clocks, the last sequence
 * number. Valid only while the superblock's CLEAN flag is set; it stays, stale, in a volume in use. Format chapter 1, 4.7.
 */

import { column, pad, struct, u32, u64 } from '@cowherd/kernel-lib'
import { JsetEntryType, walkRecords } from '../../journal/jset-layout.ts'
import { recordText } from '../../journal/record-text.ts'
import type { VolumeShape } from '../../key-type.ts'
import { btreePtr, btreePtrV2 } from '../../key-types/btree-ptr.ts'
import { Malformed } from '../malformed.ts'
import type { Superblock } from '../superblock.ts'
import { findSection, makeSection, requireBytes, SectionHeader, viewOf, type Section } from './section.ts'

export const CleanHead = struct({ header: SectionHeader, flags: u32, clocks: pad(4), journalSeq: u64 })

/** Room for the roots of all btrees, with four pointers each. */
const CLEAN_BYTES = 2592

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
  const problem = walkRecords(viewOf(section.bytes), CleanHead.size, section.bytes.length, () => undefined)
  if (problem !== undefined) throw new Malformed(`section clean: ${problem}`)
  return { flags, journalSeq, entries: section.bytes.subarray(CleanHead.size) }
}

/** The section of these records, filled up with empty ones to the size that the reference gives it. */
export function makeClean(journalSeq: bigint, records: Uint8Array): Section {
  const head = CleanHead.bytes({ header: { u64s: 0, type: 0 }, flags: 0, clocks: undefined, journalSeq })
  const body = new Uint8Array(Math.max(CLEAN_BYTES, head.length + records.length) - SectionHeader.size)
  body.set(head.subarray(SectionHeader.size))
  body.set(records, head.length - SectionHeader.size)
  return makeSection('clean', body)
}

/** As `show-super` prints the section: no more is known of the volume than this superblock says of itself. */
export function printClean(section: Section, superblock: Superblock): string {
  requireBytes(section, CleanHead.size)
  const { flags, journalSeq } = CleanHead.read(viewOf(section.bytes), 0)
  const shape: VolumeShape = {
    member: () => undefined,
    btreeNodeSectors: superblock.options.btreeNodeSize / 512,
    blockSectors: superblock.blockSectors,
    encodedExtentMaxSectors: superblock.options.encodedExtentMax / 512,
    encrypted: superblock.crypt !== undefined,
    groupPath: () => undefined,
  }
  const lines = [`${column('flags:', 16)}${flags}`, `${column('journal_seq:', 16)}${journalSeq}`]
  const view = viewOf(section.bytes)
  walkRecords(view, CleanHead.size, section.bytes.length, (record) => {
    // Empty records fill the section up.
    if (record.type === JsetEntryType.btreeKeys && record.end === record.start) return
    // Without a volume the reference can't sum up durability.
    lines.push(recordText(view, record, ROOT_KEY_TYPES, shape).replaceAll(' durability: 0 ', ' '))
  })
  return `${lines.join('\n')}\n`
}

const ROOT_KEY_TYPES = new Map([btreePtr, btreePtrV2].map((type) => [type.number, type]))
