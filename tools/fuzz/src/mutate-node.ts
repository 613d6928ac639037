/** Btree nodes that are wrong under a right checksum: headers, formats, key headers, packed fields, values, pointers. */

import { BsetEntry, BtreePtrV2, NodeHeader } from '@cowherd/db'
import { touch, type Mutation, type Weighted } from './mutation.ts'
import { loadNode, setsOf, storeNode, type SetPlace } from './node-edit.ts'
import { disturb, type Random } from './random.ts'
import type { NodeSite, Specimen } from './specimen.ts'

const HEADER = NodeHeader.offsets
const FORMAT_BYTES = HEADER.bset - HEADER.format
const BSET = BsetEntry.fields.bset.offsets
const KEY_FORMAT_CURRENT = 1
const UNPACKED_U64S = 5
const BTREE_PTR_TYPE = 5

export const nodeMutators: Weighted = [
  [20, edited('values', disturbValues)],
  [12, edited('key bytes', disturbKeys)],
  [6, edited('key headers', disturbKeyHeaders)],
  [5, edited('header', disturbHeader)],
  [4, edited('key format', disturbFormat)],
  [6, edited('set headers', disturbSets)],
  [6, edited('order of keys', moveKeys)],
  [4, edited('keys from elsewhere', implantKeys)],
]

/** Those that change more than the content of one node. */
export const treeMutators: Weighted = [
  [3, transplant],
  [8, crossPointers],
  [2, agePointer],
]

interface Editing {
  readonly bytes: Uint8Array
  readonly view: DataView
  readonly sets: readonly SetPlace[]
  readonly random: Random
  readonly specimen: Specimen
}

function load({ specimen, devices }: Mutation, site: NodeSite): Uint8Array {
  const [copy] = site.copies
  return loadNode(devices[copy.device], copy.at, site.length, specimen.blockBytes, specimen.sealer)
}

/** A mutator that edits one node: all its copies, sometimes one of several. */
function edited(what: string, change: (editing: Editing) => void) {
  return (mutation: Mutation): string => {
    const { specimen, devices, random } = mutation
    const site = pickNode(mutation)
    touch(mutation, site.btree)
    const bytes = load(mutation, site)
    const sets = setsOf(bytes, specimen.blockBytes)
    const view = new DataView(bytes.buffer)
    for (let n = random.few(6); n > 0 && sets.length > 0; n--) change({ bytes, view, sets, random, specimen })
    const copies = site.copies.length > 1 && random.chance(0.3) ? [random.pick(site.copies)] : site.copies
    storeNode(devices, copies, bytes, specimen.blockBytes, specimen.sealer)
    return `node of btree ${site.btree} level ${site.level}: ${what} changed in ${copies.length} copies`
  }
}

/** Btrees that files are made of are chosen more often. */
function pickNode({ specimen: { nodes }, random, node }: Mutation): NodeSite {
  if (node !== undefined) return node
  const first = random.pick(nodes)
  if (first.level > 0 || first.btree <= 9) return first
  return random.pick(nodes)
}

/** Where the keys of a set start; stops at the first that doesn't fit. */
function keysOf(bytes: Uint8Array, { keys, end }: SetPlace): number[] {
  const starts: number[] = []
  for (let at = keys; at < end && bytes[at] !== 0; at += bytes[at] * 8) starts.push(at)
  return starts
}

function pickKey({ bytes, sets, random }: Editing): number | undefined {
  const keys = keysOf(bytes, random.pick(sets))
  return keys.length === 0 ? undefined : random.pick(keys)
}

/** Bytes of the header of the key at `at`: packed or not. */
function headerBytes(bytes: Uint8Array, at: number): number {
  return ((bytes[at + 1] & 0x7f) === KEY_FORMAT_CURRENT ? UNPACKED_U64S : bytes[HEADER.format]) * 8
}

function disturbValues(editing: Editing): void {
  const { bytes, random } = editing
  const at = pickKey(editing)
  if (at === undefined) return
  const value = at + headerBytes(bytes, at)
  const length = at + bytes[at] * 8 - value
  if (length <= 0) return
  const width = random.pick([1, 1, 2, 4, 8])
  // Most that matters lies at the start of a value.
  const reach = random.chance(0.5) ? Math.min(length, 16) : length
  disturb(bytes, value + random.below(Math.max(1, Math.floor(reach / width))) * width, width, random)
}

function disturbKeys(editing: Editing): void {
  const { bytes, random } = editing
  const at = pickKey(editing)
  if (at === undefined) return
  const width = random.pick([1, 1, 2, 4, 8])
  const length = bytes[at] * 8
  disturb(bytes, at + random.below(Math.max(1, Math.floor(length / width))) * width, width, random)
}

function disturbKeyHeaders(editing: Editing): void {
  const { bytes, random } = editing
  const at = pickKey(editing)
  if (at === undefined) return
  const field = random.below(3)
  if (field === 2 && random.chance(0.7)) bytes[at + 2] = random.below(40)
  else disturb(bytes, at + field, 1, random)
}

function disturbHeader({ bytes, random }: Editing): void {
  const width = random.pick([1, 4, 8])
  disturb(bytes, 16 + random.below(Math.floor((HEADER.format - 16) / width)) * width, width, random)
}

function disturbFormat({ bytes, random }: Editing): void {
  const width = random.chance(0.6) ? 1 : 8
  const at = width === 1 ? random.below(8) : 8 + 8 * random.below((FORMAT_BYTES - 8) / 8)
  disturb(bytes, HEADER.format + at, width, random)
}

function disturbSets({ bytes, sets, random }: Editing): void {
  const { bset } = random.pick(sets)
  const [at, width] = random.pick([
    [BSET.seq, 8],
    [BSET.journalSeq, 8],
    [BSET.flags, 1],
    [BSET.flags + 2, 2],
    [BSET.version, 2],
    [BSET.u64s, 2],
  ] as const)
  disturb(bytes, bset + at, width, random)
}

/** Swaps two keys, or writes one over another. */
function moveKeys({ bytes, sets, random }: Editing): void {
  const set = random.pick(sets)
  const keys = keysOf(bytes, set)
  if (keys.length < 2) return
  const index = random.below(keys.length - 1)
  const [a, b] = [keys[index], keys[index + 1]]
  const first = bytes.slice(a, b)
  const second = bytes.slice(b, b + bytes[b] * 8)
  if (random.chance(0.5)) {
    bytes.set(second, a)
    bytes.set(first, a + second.length)
  } else if (first.length === second.length) bytes.set(first, b)
}

/** Writes a key of any btree of the volume over one of this node that is large enough. */
function implantKeys(editing: Editing): void {
  const { bytes, random, specimen } = editing
  const at = pickKey(editing)
  if (at === undefined || specimen.keys.length === 0) return
  const room = bytes[at] * 8
  const header = headerBytes(bytes, at)
  const other = random.pick(specimen.keys)
  const value = other.subarray(UNPACKED_U64S * 8)
  if (random.chance(0.5)) {
    // Its type and value; the position stays.
    bytes[at + 2] = other[2]
    bytes.set(value.subarray(0, room - header), at + header)
  } else bytes.set(other.subarray(0, room), at)
}

/** Writes a whole node over another one, with or without a header that fits its new place. */
function transplant(mutation: Mutation): string {
  const { specimen, devices, random } = mutation
  const [from, to] = [random.pick(specimen.nodes), random.pick(specimen.nodes)]
  touch(mutation, to.btree)
  const bytes = load(mutation, from)
  const old = load(mutation, to)
  const whole = new Uint8Array(Math.max(bytes.length, old.length))
  whole.set(bytes)
  const disguised = random.chance(0.8)
  if (disguised) {
    whole.set(old.subarray(HEADER.flags, HEADER.format), HEADER.flags)
    for (const { bset } of setsOf(whole, specimen.blockBytes)) {
      whole.set(old.subarray(HEADER.bset + BSET.seq, HEADER.bset + BSET.seq + 8), bset + BSET.seq)
    }
  }
  storeNode(devices, to.copies, whole, specimen.blockBytes, specimen.sealer)
  return `node of btree ${from.btree} level ${from.level} in the place of btree ${to.btree} level ${to.level}${disguised ? ', disguised' : ''}`
}

/** In an interior node: turns a child's pointer into the old form, which knows neither number nor length nor start. */
function agePointer(mutation: Mutation): string {
  const { specimen, devices, random } = mutation
  const interior = specimen.nodes.filter(({ level }) => level > 0)
  if (interior.length === 0) return edited('values', disturbValues)(mutation)
  const site = random.pick(interior)
  touch(mutation, site.btree)
  const bytes = load(mutation, site)
  const [set] = setsOf(bytes, specimen.blockBytes)
  const keys = keysOf(bytes, set)
  const view = new DataView(bytes.buffer)
  const at = random.pick(keys)
  const header = headerBytes(bytes, at)
  const length = bytes[at] * 8
  const gone = BtreePtrV2.size
  if (length < header + gone + 8) return 'nothing: no pointer'
  // Everything behind the fixed part of the value moves up.
  bytes.copyWithin(at + header, at + header + gone, set.end)
  bytes.fill(0, set.end - gone, set.end)
  bytes[at] -= gone / 8
  bytes[at + 2] = BTREE_PTR_TYPE
  const u64s = set.bset + BSET.u64s
  view.setUint16(u64s, view.getUint16(u64s, true) - gone / 8, true)
  storeNode(devices, site.copies, bytes, specimen.blockBytes, specimen.sealer)
  return `node of btree ${site.btree} level ${site.level}: a child's pointer in the old form`
}

/** In an interior node: lets a child's pointer lead to another child, to the node itself, or into another btree. */
function crossPointers(mutation: Mutation): string {
  const { specimen, devices, random } = mutation
  const interior = specimen.nodes.filter(({ level }) => level > 0)
  if (interior.length === 0) return edited('values', disturbValues)(mutation)
  const site = random.pick(interior)
  touch(mutation, site.btree)
  const bytes = load(mutation, site)
  const sets = setsOf(bytes, specimen.blockBytes)
  const starts = sets.flatMap((set) => keysOf(bytes, set)).filter((at) => bytes[at] * 8 > headerBytes(bytes, at) + 40)
  if (starts.length === 0) return 'nothing: no children'
  const at = random.pick(starts)
  const value = at + headerBytes(bytes, at)
  const pointers = value + BtreePtrV2.size
  const end = at + bytes[at] * 8
  let what: string
  if (random.chance(0.5)) {
    const other = random.pick(starts)
    const from = other + headerBytes(bytes, other)
    const whole = random.chance(0.5)
    if (whole) bytes.copyWithin(value, from, from + (end - value))
    else {
      bytes.copyWithin(pointers, from + BtreePtrV2.size, from + (end - value))
      bytes.copyWithin(value + BtreePtrV2.offsets.seq, from + BtreePtrV2.offsets.seq, from + BtreePtrV2.offsets.seq + 8)
    }
    what = 'a sibling'
  } else {
    const target = random.chance(0.3) ? site : random.pick(specimen.nodes)
    const from = target.pointer.bytes.subarray(40, target.pointer.u64s * 8)
    bytes.set(from.subarray(BtreePtrV2.size, BtreePtrV2.size + end - pointers), pointers)
    bytes.set(from.subarray(BtreePtrV2.offsets.seq, BtreePtrV2.offsets.seq + 8), value + BtreePtrV2.offsets.seq)
    what = `btree ${target.btree} level ${target.level}`
  }
  storeNode(devices, site.copies, bytes, specimen.blockBytes, specimen.sealer)
  return `node of btree ${site.btree} level ${site.level}: a child's pointer leads to ${what}`
}
