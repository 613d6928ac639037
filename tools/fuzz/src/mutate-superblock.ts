/** Superblocks that are wrong under a right checksum: fields, sections, lengths. */

import { BtreePtrV2, KEY_BYTES, SECTION_NAMES, SuperblockHead } from '@cowherd/db'
import type { Mutation, Weighted } from './mutation.ts'
import { disturb, Random } from './random.ts'
import { SuperblockEdit, storeSuperblock } from './superblock-edit.ts'

const HEAD = SuperblockHead.offsets

export const superblockMutators: Weighted = [
  [6, edited('fields of the fixed part', disturbHead)],
  [10, edited('fields of sections', disturbSections)],
  [3, edited('bits of the flags', disturbFlags)],
  [4, edited('shape of the sections', reshapeSections)],
  [4, edited('roots in the section clean', disturbRoots)],
  [2, edited('members', disturbMembers)],
  [2, edited('blacklist', addBlacklist)],
  [1, edited('length', ({ edit, random }) => (edit.forgedU64s = random.u32() >>> random.below(32)))],
]

interface Editing {
  readonly edit: SuperblockEdit
  readonly random: Random
}

/** A mutator that edits one device's superblock, or each device's in the same way. */
function edited(what: string, change: (editing: Editing) => void) {
  return (mutation: Mutation): string => {
    const { specimen, devices, random } = mutation
    mutation.touched = undefined
    const one = random.chance(0.25) ? random.pick(specimen.superblocks) : undefined
    const firstCopyOnly = random.chance(0.1)
    const again = random.u32()
    for (const site of one === undefined ? specimen.superblocks : [one]) {
      const { sectors } = site
      const device = devices[site.device]
      const edit = new SuperblockEdit(device.bytes(sectors[0] * 512, site.bytes.length))
      // The same choices for each device.
      const same = new Random(again)
      for (let n = same.few(3); n > 0; n--) change({ edit, random: same })
      storeSuperblock(device, edit, firstCopyOnly ? sectors.slice(0, 1) : sectors, specimen.sealer)
    }
    const where = one === undefined ? 'everywhere' : `on device ${one.device}`
    return `superblock: ${what} changed ${where}${firstCopyOnly ? ', in the first copy' : ''}`
  }
}

const HEAD_FIELDS: readonly (readonly [at: number, width: number])[] = [
  [HEAD.version, 2],
  [HEAD.versionMin, 2],
  [HEAD.magic, 1],
  [HEAD.uuid, 1],
  [HEAD.userUuid, 8],
  [HEAD.label, 1],
  [HEAD.seq, 8],
  [HEAD.blockSize, 2],
  [HEAD.devIdx, 1],
  [HEAD.nrDevices, 1],
  [HEAD.timeBaseLo, 8],
  [HEAD.timeBaseHi, 4],
  [HEAD.timePrecision, 4],
  [HEAD.writeTime, 8],
  [HEAD.features, 8],
  [HEAD.compat, 8],
  [HEAD.layout + 16, 1],
  [HEAD.layout + 17, 1],
  [HEAD.layout + 18, 1],
  [HEAD.layout + 24, 8],
  [HEAD.layout + 32, 8],
]

function disturbHead({ edit, random }: Editing): void {
  const [at, width] = random.pick(HEAD_FIELDS)
  disturb(edit.head, at, width, random)
}

function disturbFlags({ edit, random }: Editing): void {
  const at = HEAD.flags + random.below(7 * 8)
  if (random.chance(0.6)) edit.head[at] ^= 1 << random.below(8)
  else disturb(edit.head, at, 1, random)
}

function disturbSections({ edit, random }: Editing): void {
  if (edit.sections.length === 0) return
  const { payload } = random.pick(edit.sections)
  const width = random.pick([1, 2, 4, 8])
  disturb(payload, random.below(Math.max(1, Math.floor(payload.length / width))) * width, width, random)
}

function reshapeSections({ edit, random }: Editing): void {
  const { sections } = edit
  if (sections.length === 0) return
  const index = random.below(sections.length)
  const section = sections[index]
  switch (random.below(7)) {
    case 0:
      sections.splice(index, 1)
      break
    case 1:
      sections.splice(random.below(sections.length + 1), 0, { ...section, payload: section.payload.slice() })
      break
    case 2:
      section.payload = section.payload.slice(0, random.below(section.payload.length / 8 + 1) * 8)
      break
    case 3: {
      const longer = new Uint8Array(section.payload.length + 8 * random.few(40))
      if (random.chance(0.5)) random.fill(longer)
      longer.set(section.payload)
      section.payload = longer
      break
    }
    case 4:
      section.type = random.chance(0.7) ? random.below(SECTION_NAMES.length + 2) : random.u32()
      break
    case 5:
      sections.push({
        type: random.below(SECTION_NAMES.length + 3),
        payload: random.fill(new Uint8Array(8 * random.below(random.pick([2, 20, 200])))),
      })
      break
    default:
      sections.sort(() => random.below(3) - 1)
  }
}

const CLEAN_HEAD_BYTES = 16 // behind the section's header

/** Root records: other levels, other btrees, each other's pointers. */
function disturbRoots({ edit, random }: Editing): void {
  const payload = edit.find('clean')?.payload
  if (payload === undefined) return
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length)
  const roots: number[] = []
  for (let at = CLEAN_HEAD_BYTES; at + 8 <= payload.length; at += 8 + view.getUint16(at, true) * 8) {
    if (payload[at + 4] === 1) roots.push(at)
  }
  if (roots.length === 0) return
  const at = random.pick(roots)
  const key = at + 8
  switch (random.below(8)) {
    case 0:
      disturb(payload, at, 2, random) // u64s
      break
    case 1:
      payload[at + 2] = random.chance(0.5) ? random.below(64) : random.below(256)
      break
    case 2:
      payload[at + 3] = random.below(random.pick([4, 256]))
      break
    case 3:
      disturb(payload, key, random.pick([1, 4]), random)
      break
    case 4: {
      const other = random.pick(roots) + 8
      payload.copyWithin(key, other, other + payload[other] * 8)
      break
    }
    case 5:
      disturb(payload, key + KEY_BYTES + BtreePtrV2.offsets.sectorsWritten, 2, random)
      break
    case 6:
      disturb(payload, key + KEY_BYTES + BtreePtrV2.offsets.flags, 2, random)
      break
    default:
      disturb(payload, key + random.below(Math.max(1, payload[key] * 8)), 1, random)
  }
}

const BLACKLIST_TYPE = SECTION_NAMES.indexOf('journal_seq_blacklist')

/** A blacklist as a crash leaves it, or one with so many ranges that looking them up one by one would take for ever. */
function addBlacklist({ edit, random }: Editing): void {
  const count = random.pick([1, 1, 2, 3, 20, 3000])
  const payload = new Uint8Array(16 * count)
  const view = new DataView(payload.buffer)
  let at = BigInt(random.below(30))
  for (let i = 0; i < count; i++) {
    view.setBigUint64(16 * i, at, true)
    at += BigInt(1 + random.below(random.pick([1, 10])))
    view.setBigUint64(16 * i + 8, at, true)
    at += BigInt(random.below(random.pick([1, 4])))
  }
  edit.sections = edit.sections.filter(({ type }) => type !== BLACKLIST_TYPE)
  edit.sections.push({ type: BLACKLIST_TYPE, payload })
}

/** The fields of a member's record that geometry is made of. */
const MEMBER_FIELDS: readonly (readonly [at: number, width: number])[] = [
  [0, 8],
  [16, 8], // nbuckets
  [24, 2], // first_bucket
  [26, 2], // bucket_size
  [28, 1],
  [32, 8],
  [40, 8], // flags
]
const MEMBER_V1_BYTES = 56

function disturbMembers({ edit, random }: Editing): void {
  const [at, width] = random.pick(MEMBER_FIELDS)
  const old = edit.find('members_v1')?.payload
  const current = edit.find('members_v2')?.payload
  if (old === undefined || current === undefined) return
  const stride = current[0] | (current[1] << 8)
  const index = random.below(edit.head[HEAD.nrDevices])
  if (random.chance(0.8)) disturb(current, 8 + index * stride + at, width, random)
  if (random.chance(0.4)) disturb(old, index * MEMBER_V1_BYTES + at, width, random)
  if (random.chance(0.1)) disturb(current, 0, 2, random)
}
