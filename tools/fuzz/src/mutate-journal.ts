/** Journals that are wrong under right checksums: entry headers, records, keys; forged, doubled and missing entries. */

import { Jset, JsetEntry, JsetEntryType, SuperblockHead } from '@cowherd/db'
import { loadEntry, nextEntry, placeAfter, storeEntry } from './journal-edit.ts'
import type { Mutation, Weighted } from './mutation.ts'
import { disturb, type Random } from './random.ts'
import type { Site } from './specimen.ts'
import { storeSuperblock, SuperblockEdit } from './superblock-edit.ts'

const CLEAN_FLAG = 2n
/** Features that the journal of a volume in use can't be without. */
const UNCLEAN_FEATURES = (1n << 12n) | (1n << 13n)

export const journalMutators: Weighted = [
  [5, edited('header', disturbHeader)],
  [10, edited('records', disturbRecords)],
  [12, edited('keys', disturbKeys)],
  [3, edited('record headers', disturbRecordHeaders)],
  [6, forgeEntry],
  [3, moveEntry],
  [3, removeEntry],
]

interface Editing {
  readonly bytes: Uint8Array
  readonly view: DataView
  readonly random: Random
}

/** Marks the volume as in use, so that its journal is read. */
export function makeUnclean({ specimen, devices }: Pick<Mutation, 'specimen' | 'devices'>): void {
  if (!specimen.superblock.clean) return
  for (const { device, sectors } of specimen.superblocks) {
    const length =
      SuperblockHead.size +
      devices[device]
        .bytes(sectors[0] * 512 + SuperblockHead.offsets.u64s, 4)
        .reduceRight((sum, byte) => sum * 256 + byte, 0) *
        8
    const edit = new SuperblockEdit(devices[device].bytes(sectors[0] * 512, Math.min(length, 1 << 20)))
    edit.flags0 &= ~CLEAN_FLAG
    edit.features |= UNCLEAN_FEATURES
    storeSuperblock(devices[device], edit, sectors, specimen.sealer)
  }
}

/** The newest entries matter most. */
function pickEntry({ specimen: { entries }, random }: Mutation): Site {
  return entries[entries.length - 1 - Math.min(random.below(entries.length), random.below(entries.length))]
}

function edited(what: string, change: (editing: Editing) => void) {
  return (mutation: Mutation): string => {
    const { devices, specimen, random } = mutation
    mutation.touched = undefined
    makeUnclean(mutation)
    const site = pickEntry(mutation)
    const bytes = loadEntry(devices[site.device], site.at, site.length, specimen.sealer)
    const editing = { bytes, view: new DataView(bytes.buffer), random }
    for (let n = random.few(6); n > 0; n--) change(editing)
    storeEntry(devices[site.device], site.at, bytes, specimen.sealer)
    return `journal entry at ${site.at}: ${what} changed`
  }
}

function disturbHeader({ bytes, random }: Editing): void {
  const { offsets } = Jset
  const [at, width] = random.pick([
    [offsets.magic, 1],
    [offsets.seq, 8],
    [offsets.version, 4],
    [offsets.flags, 4],
    [offsets.u64s, 4],
    [offsets.lastSeq, 8],
    [offsets.lastSeq, 8],
  ] as const)
  disturb(bytes, at, width, random)
}

/** Where the records start; stops at the first that doesn't fit. */
function recordsOf({ bytes, view }: Editing): number[] {
  const starts: number[] = []
  for (let at = Jset.size; at + JsetEntry.size <= bytes.length; at += JsetEntry.size + view.getUint16(at, true) * 8) {
    starts.push(at)
  }
  return starts
}

function disturbRecordHeaders(editing: Editing): void {
  const { bytes, random } = editing
  const starts = recordsOf(editing)
  if (starts.length > 0) disturb(bytes, random.pick(starts) + random.below(8), random.pick([1, 2]), random)
}

function disturbRecords(editing: Editing): void {
  const { bytes, random } = editing
  const width = random.pick([1, 2, 4, 8])
  const room = bytes.length - Jset.size
  if (room >= width) disturb(bytes, Jset.size + random.below(Math.floor(room / width)) * width, width, random)
}

function disturbKeys(editing: Editing): void {
  const { bytes, view, random } = editing
  const records = recordsOf(editing).filter((at) => {
    const type = bytes[at + JsetEntry.offsets.type]
    return view.getUint16(at, true) >= 5 && (type === JsetEntryType.btreeKeys || type === JsetEntryType.btreeRoot)
  })
  if (records.length === 0) return
  const record = random.pick(records)
  const key = record + JsetEntry.size
  const length = view.getUint16(record, true) * 8
  const width = random.pick([1, 4, 8])
  switch (random.below(4)) {
    case 0:
      bytes[record + JsetEntry.offsets.btreeId] = random.below(random.pick([21, 64, 256]))
      break
    case 1:
      bytes[record + JsetEntry.offsets.level] = random.below(random.pick([4, 256]))
      break
    default:
      disturb(bytes, key + random.below(Math.max(1, Math.floor(length / width))) * width, width, random)
  }
}

/** Writes an entry behind the newest one: a copy with the next number, or one with keys of any btree and any type. */
function forgeEntry(mutation: Mutation): string {
  const { devices, specimen, random } = mutation
  mutation.touched = undefined
  makeUnclean(mutation)
  const site = specimen.entries[specimen.entries.length - 1]
  const device = devices[site.device]
  const last = loadEntry(device, site.at, site.length, specimen.sealer)
  const count = random.below(random.pick([1, 8, 64]))
  const bytes = nextEntry(
    last,
    Array.from({ length: count }, () => forgedRecord(mutation)),
  )
  const view = new DataView(bytes.buffer)
  const { offsets } = Jset
  const seq = view.getBigUint64(offsets.seq, true) + BigInt(random.below(random.pick([1, 1, 20])))
  view.setBigUint64(offsets.seq, seq, true)
  if (random.chance(0.5)) view.setBigUint64(offsets.lastSeq, seq, true)
  if (random.chance(0.2)) view.setUint32(offsets.flags, view.getUint32(offsets.flags, true) | 0x20, true)
  const place = placeAfter(specimen, site, bytes.length)
  storeEntry(devices[place.device], place.at, bytes, specimen.sealer)
  return `journal entry ${seq} with ${count} keys forged`
}

function forgedRecord(mutation: Mutation): Uint8Array {
  const { specimen, random } = mutation
  if (random.chance(0.1)) return oddRecord(mutation)
  const key = random.pick(specimen.keys)
  const record = new Uint8Array(JsetEntry.size + key.length)
  record.set(key, JsetEntry.size)
  record[0] = key.length / 8
  record[JsetEntry.offsets.btreeId] = random.below(random.pick([6, 21, 30]))
  if (random.chance(0.2)) record[JsetEntry.offsets.level] = random.below(4)
  if (random.chance(0.1)) record[JsetEntry.size + 2] = random.below(40)
  for (let n = random.below(3); n > 0; n--) {
    const width = random.pick([1, 4, 8])
    disturb(record, JsetEntry.size + 16 + random.below(Math.max(1, (key.length - 16) / width)) * width, width, random)
  }
  return record
}

/** A record of any type, known or not, of any length. */
function oddRecord({ random }: Mutation): Uint8Array {
  const record = random.fill(new Uint8Array(JsetEntry.size + 8 * random.below(random.pick([2, 6, 40]))))
  record[0] = (record.length - JsetEntry.size) / 8
  record[1] = 0
  record[JsetEntry.offsets.type] = random.below(16)
  return record
}

function moveEntry(mutation: Mutation): string {
  const { devices, specimen, random } = mutation
  mutation.touched = undefined
  makeUnclean(mutation)
  const site = pickEntry(mutation)
  const to = random.pick(specimen.buckets)
  const block = random.below(to.length / specimen.blockBytes) * specimen.blockBytes
  const at = to.at + (random.chance(0.5) ? 0 : block)
  devices[to.device].overwrite(at, devices[site.device].bytes(site.at, site.length))
  return `journal entry at ${site.at} copied to ${at}`
}

function removeEntry(mutation: Mutation): string {
  const { devices, random } = mutation
  mutation.touched = undefined
  makeUnclean(mutation)
  const site = pickEntry(mutation)
  const whole = random.chance(0.5)
  devices[site.device].overwrite(site.at, new Uint8Array(whole ? site.length : 512))
  return `journal entry at ${site.at} ${whole ? 'removed' : 'without its header'}`
}
