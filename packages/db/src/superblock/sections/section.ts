/**
 * The container of the superblock's sections: typed records of variable length behind the fixed part, back to back.
 * Each starts with its length in u64s (this header included) and its type. Sections of unknown type are kept as they
 * are. Format chapter 1, 4.0.
 */

import { struct, u32 } from '@cowherd/kernel-lib'
import { Malformed } from '../malformed.ts'

export const SectionHeader = struct({ u64s: u32, type: u32 })

/** One section as it lies in the superblock. */
export interface Section {
  readonly type: number
  /** The section's bytes with its header: a view into the superblock's own bytes. */
  readonly bytes: Uint8Array
}

/** Section types, in the order of their numbers, with the format's names. */
export const SECTION_NAMES = [
  'journal',
  'members_v1',
  'crypt',
  'replicas_v0',
  'quota',
  'disk_groups',
  'clean',
  'replicas',
  'journal_seq_blacklist',
  'journal_v2',
  'counters',
  'members_v2',
  'errors',
  'ext',
  'downgrade',
] as const

export type SectionName = (typeof SECTION_NAMES)[number]

/** The name of a section type, `(unknown field N)` for those of newer versions. */
export function sectionName(type: number): string {
  return SECTION_NAMES[type] ?? `(unknown field ${type})`
}

/** The first section called `name`, undefined if there is none. */
export function findSection(sections: readonly Section[], name: SectionName): Section | undefined {
  const type = SECTION_NAMES.indexOf(name)
  return sections.find((section) => section.type === type)
}

/**
 * Cuts the sections area of a superblock into its sections. The views share memory with `area`.
 * Throws Malformed if one has no length or runs past the end.
 */
export function splitSections(area: Uint8Array): Section[] {
  const view = new DataView(area.buffer, area.byteOffset, area.length)
  const sections: Section[] = []
  for (let at = 0; at < area.length;) {
    const { u64s, type } = SectionHeader.read(view, at)
    if (u64s === 0) throw new Malformed(`section ${sectionName(type)} has length 0`)
    const end = at + u64s * 8
    if (end > area.length) {
      throw new Malformed(`section ${sectionName(type)} of ${u64s * 8} bytes runs past the end of the superblock`)
    }
    sections.push({ type, bytes: area.subarray(at, end) })
    at = end
  }
  return sections
}

/** A section of what stands behind its header; it is filled up to a whole number of u64s. */
export function makeSection(name: SectionName, body: Uint8Array): Section {
  const bytes = new Uint8Array(SectionHeader.size + Math.ceil(body.length / 8) * 8)
  const type = SECTION_NAMES.indexOf(name)
  SectionHeader.write(viewOf(bytes), 0, { u64s: bytes.length / 8, type })
  bytes.set(body, SectionHeader.size)
  return { type, bytes }
}

/** A view of a section's bytes for the structure descriptions. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}

/** Throws Malformed if the section is shorter than `minBytes` (header included). */
export function requireBytes(section: Section, minBytes: number): void {
  if (section.bytes.length < minBytes) {
    throw new Malformed(
      `section ${sectionName(section.type)} has ${section.bytes.length} bytes where at least ${minBytes} are needed`,
    )
  }
}

/** The u64 values behind a section's header. */
export function u64sOf(section: Section): bigint[] {
  const view = viewOf(section.bytes)
  return Array.from({ length: section.bytes.length / 8 - 1 }, (_, i) => view.getBigUint64(8 + i * 8, true))
}
