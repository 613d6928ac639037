/**
 * A superblock as text, exactly as `bcachefs show-super` of tools 1.13 prints it. Dates are in local time.
 * Format chapter 1, 11.
 */

import { column, decodeUtf8, humanSize, localTimeText, uuidText, visibleText } from '@cowherd/kernel-lib'
import { bitNames, COMPAT_FEATURES, FEATURES } from './features.ts'
import type { LayoutRecord } from './layout.ts'
import { Malformed } from './malformed.ts'
import { printOptions } from './options.ts'
import { printBlacklist } from './sections/blacklist.ts'
import { printClean } from './sections/clean.ts'
import { printCounters } from './sections/counters.ts'
import { printCrypt } from './sections/crypt.ts'
import { printDiskGroups } from './sections/disk-groups.ts'
import { printDowngrade } from './sections/downgrade.ts'
import { printErrors } from './sections/errors.ts'
import { printExt } from './sections/ext.ts'
import { printJournalBuckets } from './sections/journal-buckets.ts'
import { printMembers } from './sections/members.ts'
import { printQuota } from './sections/quota.ts'
import { printReplicas } from './sections/replicas.ts'
import { findSection, SECTION_NAMES, sectionName, type Section, type SectionName } from './sections/section.ts'
import { SuperblockHead, type Superblock } from './superblock.ts'
import { versionText } from './versions.ts'

export interface PrintOptions {
  /** What stands behind `Device:`, `(reg file)` for a file. */
  readonly device?: string
  /** Adds the layout record. */
  readonly layout?: boolean
  /** Which sections to print; by default the members and the errors. */
  readonly fields?: 'all' | readonly SectionName[]
}

const NAME_COLUMNS = 43
const LAYOUT_COLUMNS = 27

const PRINTERS: Readonly<Record<SectionName, (section: Section, superblock: Superblock) => string>> = {
  journal: printJournalBuckets,
  members_v1: printMembers,
  crypt: printCrypt,
  replicas_v0: printReplicas,
  quota: printQuota,
  disk_groups: printDiskGroups,
  clean: printClean,
  replicas: printReplicas,
  journal_seq_blacklist: printBlacklist,
  journal_v2: printJournalBuckets,
  counters: printCounters,
  members_v2: printMembers,
  errors: printErrors,
  ext: printExt,
  downgrade: printDowngrade,
}

/** The whole text, lines ended by newlines. */
export function printSuperblock(superblock: Superblock, options: PrintOptions = {}): string {
  const parts = [printHead(superblock, options.device ?? '(reg file)'), `Options:\n${optionLines(superblock)}`]
  if (options.layout === true) parts.push(`layout:\n${layoutLines(superblock.layout)}`)
  const shown = options.fields ?? defaultFields(superblock)
  for (const section of superblock.sections) {
    const name = knownName(section)
    if (shown !== 'all' && (name === undefined || !shown.includes(name))) continue
    const body = name === undefined ? '' : sectionText(name, section, superblock)
    parts.push(`${sectionName(section.type)} (size ${section.bytes.length}):\n${body}`)
  }
  return parts.join('\n')
}

/** Sections that nothing relies on (a second one of a kind, the older of two forms) were not checked when they were read. */
function sectionText(name: SectionName, section: Section, superblock: Superblock): string {
  try {
    return PRINTERS[name](section, superblock)
  } catch (error) {
    if (!(error instanceof Malformed)) throw error
    return `(malformed: ${error.message})\n`
  }
}

function printHead(superblock: Superblock, device: string): string {
  const { magic } = SuperblockHead.read(new DataView(superblock.bytes.slice().buffer), 0)
  const created = superblock.timeBaseNs / 1_000_000_000n
  const lines: [name: string, value: unknown][] = [
    ['Device:', ` ${device}`],
    ['External UUID:', uuidText(superblock.userUuid)],
    ['Internal UUID:', uuidText(superblock.uuid)],
    ['Magic number:', uuidText(magic)],
    ['Device index:', superblock.deviceIndex],
    ['Label:', superblock.label.length === 0 ? '(none)' : visibleText(decodeUtf8(superblock.label))],
    ['Version:', versionText(superblock.version)],
    ['Version upgrade complete:', versionText(superblock.versionUpgradeComplete)],
    ['Oldest version on disk:', versionText(superblock.versionMin)],
    ['Created:', superblock.timeBaseNs === 0n ? '(not set)' : localTimeText(created)],
    ['Sequence number:', superblock.seq],
    ['Time of last write:', localTimeText(superblock.writeTime)],
    ['Superblock size:', `${humanSize(superblock.bytes.length)}/${humanSize(superblock.layout.maxSectors * 512)}`],
    ['Clean:', Number(superblock.clean)],
    ['Devices:', superblock.members.filter(({ alive }) => alive).length],
    ['Sections:', sectionNames(superblock).join(',')],
    ['Features:', bitNames(superblock.features, FEATURES).join(',')],
    ['Compat features:', bitNames(superblock.compat, COMPAT_FEATURES).join(',')],
  ]
  return lines.map(([name, value]) => `${column(name, NAME_COLUMNS)}${String(value)}\n`).join('')
}

function optionLines(superblock: Superblock): string {
  return printOptions(superblock)
    .map(([name, value]) => `${column(`  ${name}:`, NAME_COLUMNS)}${value}\n`)
    .join('')
}

function layoutLines(layout: LayoutRecord): string {
  const lines: [name: string, value: unknown][] = [
    ['Type', layout.type],
    ['Superblock max size', humanSize(layout.maxSectors * 512)],
    ['Nr superblocks', layout.sectors.length],
    ['Offsets', layout.sectors.join(', ')],
  ]
  return lines.map(([name, value]) => `${column(`  ${name}:`, LAYOUT_COLUMNS)}${String(value)}\n`).join('')
}

function sectionNames({ sections }: Superblock): string[] {
  const types = [...new Set(sections.map(({ type }) => type))]
  return types.sort((a, b) => a - b).map(sectionName)
}

function defaultFields({ sections }: Superblock): SectionName[] {
  return [findSection(sections, 'members_v2') === undefined ? 'members_v1' : 'members_v2', 'errors']
}

function knownName({ type }: Section): SectionName | undefined {
  return SECTION_NAMES.at(type)
}
