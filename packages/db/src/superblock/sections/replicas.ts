/**
 * Sections `replicas_v0` and `replicas`: every combination "data type on this set of devices" that exists in the volume,
 * so that a start can tell what is lost with a missing device. `replicas` wins if both exist; `replicas_v0` is for volumes
 * in which every entry requires one device. Format chapter 1, 4.4.
 */

import { dataTypeName } from '../../data-types.ts'
import { Malformed } from '../malformed.ts'
import { MEMBER_INVALID, type Member } from './members.ts'
import {
  findSection,
  makeSection,
  SECTION_NAMES,
  SectionHeader,
  sectionName,
  type Section,
  type SectionName,
} from './section.ts'

export interface ReplicasEntry {
  /** Data type number (`DATA_TYPES`). */
  readonly dataType: number
  /** How many of the devices are needed to read; 0 for extents in stripes. */
  readonly required: number
  /** Device indices, ascending; 255 stands for none. */
  readonly devices: readonly number[]
}

/** The entries of whichever section counts; none if there is neither. Throws Malformed. */
export function readReplicas(sections: readonly Section[], members: readonly Member[]): ReplicasEntry[] {
  const v0 = findSection(sections, 'replicas_v0')
  const v1 = findSection(sections, 'replicas')
  const entries0 = v0 === undefined ? [] : checkedEntries('replicas_v0', entriesOf(v0), members)
  const entries1 = v1 === undefined ? [] : checkedEntries('replicas', entriesOf(v1), members)
  return v1 === undefined ? entries0 : entries1
}

/** The section of these entries: `replicas_v0` where each requires one device, else `replicas`. */
export function makeReplicas(entries: readonly ReplicasEntry[]): Section {
  const isOld = entries.every(({ required }) => required === 1)
  const body = entries.flatMap(({ dataType, required, devices }) =>
    isOld ? [dataType, devices.length, ...devices] : [dataType, devices.length, required, ...devices],
  )
  return makeSection(isOld ? 'replicas_v0' : 'replicas', Uint8Array.from(body))
}

/** As `show-super` prints the section. */
export function printReplicas(section: Section): string {
  const entries = entriesOf(section).map(({ dataType, required, devices }) => {
    const needed = section.type === REPLICAS_V0 ? '' : `${required}/`
    return `${dataTypeName(dataType)}: ${needed}${devices.length} [${devices.join(' ')}]`
  })
  return `${entries.join(' ')}\n`
}

const REPLICAS_V0 = SECTION_NAMES.indexOf('replicas_v0')

/** Entries are packed; zeros behind the last one. */
function entriesOf({ type, bytes }: Section): ReplicasEntry[] {
  const headerBytes = type === REPLICAS_V0 ? 2 : 3
  const entries: ReplicasEntry[] = []
  for (let at = SectionHeader.size; at < bytes.length && bytes[at] !== 0;) {
    const end = at + headerBytes + (bytes[at + 1] ?? 0)
    if (end > bytes.length) throw new Malformed(`section ${sectionName(type)}: an entry runs past the end`)
    const required = type === REPLICAS_V0 ? 1 : bytes[at + 2]
    entries.push({ dataType: bytes[at], required, devices: [...bytes.subarray(at + headerBytes, end)] })
    at = end
  }
  return entries
}

function checkedEntries(
  name: SectionName,
  entries: readonly ReplicasEntry[],
  members: readonly Member[],
): ReplicasEntry[] {
  const seen = new Set<string>()
  return entries.map((entry) => {
    const devices = [...entry.devices].sort((a, b) => a - b)
    const text = `${dataTypeName(entry.dataType)}: ${entry.required}/${devices.length} [${devices.join(' ')}]`
    const complain = (what: string) => new Malformed(`section ${name}: entry ${text} ${what}`)
    if (devices.length === 0) throw complain('names no device')
    if (entry.required > 1 && entry.required >= devices.length) throw complain('requires too many devices')
    for (const device of devices) {
      if (device !== MEMBER_INVALID && members[device]?.alive !== true) throw complain(`names missing device ${device}`)
    }
    if (seen.has(text)) throw complain('occurs twice')
    seen.add(text)
    return { ...entry, devices }
  })
}
