/**
 * Section `disk_groups`: the tree of labels. A dotted label (`ssd.fast`) is a chain of groups; a device belongs to the
 * group that its label's last part names, and to that one's ancestors. Format chapter 1, 4.6.
 */

import { bits64, bytes, decodeUtf8, encodeUtf8, struct, u64, visibleText } from '@cowherd/kernel-lib'
import { Malformed } from '../malformed.ts'
import { untilNul } from '../magic.ts'
import type { Member } from './members.ts'
import { findSection, makeSection, SectionHeader, viewOf, type Section } from './section.ts'

export const DiskGroupRecord = struct({
  label: bytes(32), // NUL-padded, or full
  flags: bits64({
    deleted: [0, 1],
    dataAllowed: [1, 6],
    parent: [6, 24], // parent's index + 1
  }),
  flags1: u64,
})

const LABEL_BYTES = 32
/** Nobody asks for less. */
const DATA_ALLOWED_ALL = 31

export interface DiskGroup {
  /** One component of a dotted label. */
  readonly label: string
  /** Index of the parent group, undefined at the top. */
  readonly parent: number | undefined
  readonly deleted: boolean
  readonly dataAllowed: number
}

/** The dotted path of a group (`ssd.fast`), undefined if it doesn't exist. */
export function groupPath(groups: readonly DiskGroup[], index: number): string | undefined {
  const labels: string[] = []
  for (let at: number | undefined = index, steps = 0; at !== undefined; at = groups[at].parent) {
    // A damaged chain may be circular.
    if (at >= groups.length || groups[at].deleted || steps++ > groups.length) return undefined
    labels.unshift(groups[at].label)
  }
  return labels.join('.')
}

/** All groups by index, deleted ones too; none if there is no section. Throws Malformed, also if a member's is missing. */
export function readDiskGroups(sections: readonly Section[], members: readonly Member[]): DiskGroup[] {
  const section = findSection(sections, 'disk_groups')
  const groups = section === undefined ? [] : groupsOf(section)
  checkLabels(groups)
  for (const member of members) {
    if (member.group === undefined) continue
    const group = groups[member.group] as DiskGroup | undefined
    if (group === undefined)
      throw new Malformed(`device ${member.index} has label ${member.group}, which doesn't exist`)
    if (group.deleted) throw new Malformed(`device ${member.index} has label ${member.group}, which was deleted`)
  }
  return groups
}

/**
 * Index of the group with a dotted path, which is appended to `groups` with those above it, as far as they don't exist. Throws
 * Malformed for a path that can't be.
 */
export function makeGroup(groups: DiskGroup[], path: string): number {
  let parent: number | undefined
  for (const label of path.split('.')) {
    const bytes = encodeUtf8(label).length
    if (bytes === 0 || bytes > LABEL_BYTES) throw new Malformed(`label '${path}': a part of ${bytes} bytes`)
    const there = groups.findIndex((group) => !group.deleted && group.parent === parent && group.label === label)
    const group = { label, parent, deleted: false, dataAllowed: DATA_ALLOWED_ALL }
    parent = there < 0 ? groups.push(group) - 1 : there
  }
  return parent ?? 0
}

/** The section of these groups. */
export function makeDiskGroups(groups: readonly DiskGroup[]): Section {
  const body = new Uint8Array(groups.length * DiskGroupRecord.size)
  groups.forEach(({ label, parent, deleted, dataAllowed }, i) => {
    const padded = new Uint8Array(LABEL_BYTES)
    padded.set(encodeUtf8(label))
    const flags = { deleted: Number(deleted), dataAllowed, parent: parent === undefined ? 0 : parent + 1 }
    DiskGroupRecord.write(viewOf(body), i * DiskGroupRecord.size, { label: padded, flags, flags1: 0n })
  })
  return makeSection('disk_groups', body)
}

/** As `show-super` prints the section: one line, without an end. */
export function printDiskGroups(section: Section): string {
  return groupsOf(section)
    .map(({ label, parent, deleted }) =>
      deleted ? '[deleted]' : `[parent ${parent === undefined ? 0 : parent + 1} name ${visibleText(label)}]`,
    )
    .join(' ')
}

function groupsOf(section: Section): DiskGroup[] {
  const view = viewOf(section.bytes)
  const count = Math.floor((section.bytes.length - SectionHeader.size) / DiskGroupRecord.size)
  return Array.from({ length: count }, (_, i) => {
    const { label, flags } = DiskGroupRecord.read(view, SectionHeader.size + i * DiskGroupRecord.size)
    return {
      label: decodeUtf8(untilNul(label)),
      parent: flags.parent === 0 ? undefined : flags.parent - 1,
      deleted: flags.deleted === 1,
      dataAllowed: flags.dataAllowed,
    }
  })
}

function checkLabels(groups: readonly DiskGroup[]): void {
  const seen = new Set<string>()
  groups.forEach(({ label, parent, deleted }, index) => {
    if (deleted) return
    if (label === '') throw new Malformed(`section disk_groups: label ${index} is empty`)
    const path = `${parent} ${label}`
    if (seen.has(path)) throw new Malformed(`section disk_groups: label '${label}' occurs twice`)
    seen.add(path)
  })
}
