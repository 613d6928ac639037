/**
 * Cases below the level of a volume: one node, one key, one superblock, the records of one journal entry, one compressed unit.
 * They are cheap, so there are many, and they reach what a walk over a volume reaches only by luck.
 */

import {
  ExtentPointers,
  Jset,
  Key,
  KEY_BYTES,
  entriesStart,
  describeSuperblock,
  openVolume,
  printSuperblock,
  readSuperblock,
  recordText,
  walkKeys,
  walkRecords,
  type Volume,
} from '@cowherd/db'
import { nativeCodecs } from '@cowherd/shim'
import { fsKeyTypes, Inode, TimeScale } from '@cowherd/fs'
import { fuzzCodecs } from './codecs.ts'
import { examineKey } from './examine.ts'
import { loadEntry } from './journal-edit.ts'
import { nodeMutators } from './mutate-node.ts'
import { superblockMutators } from './mutate-superblock.ts'
import { pickWeighted, type Mutation } from './mutation.ts'
import { attempt, checkMessage, checkPlain, checkText, Finding } from './oracle.ts'
import type { OverlayDevice } from './overlay-device.ts'
import { disturb, type Random } from './random.ts'
import { devicesOf, type Specimen } from './specimen.ts'

/** An open volume with devices under it that can be changed and restored. */
interface Lab {
  readonly specimen: Specimen
  readonly devices: OverlayDevice[]
  readonly volume: Volume
  readonly inode: Inode
}

const labs = new Map<string, Lab>()

function labOf(specimen: Specimen): Lab {
  let lab = labs.get(specimen.name)
  if (lab === undefined) {
    const devices = devicesOf(specimen)
    const { timeBaseNs, timePrecisionNs } = specimen.superblock
    const volume = openVolume(devices, {
      codecs: fuzzCodecs,
      keyTypes: fsKeyTypes,
      passphrase: () => specimen.passphrase,
      cacheBytes: 0,
      note: checkMessage,
    })
    lab = { specimen, devices, volume, inode: new Inode(new TimeScale(timeBaseNs, timePrecisionNs)) }
    labs.set(specimen.name, lab)
  }
  return lab
}

type StructureCase = (lab: Lab, random: Random) => string

const CASES: readonly (readonly [weight: number, run: StructureCase])[] = [
  [8, nodeCase],
  [12, keyCase],
  [3, superblockCase],
  [3, recordsCase],
  [4, unitCase],
]

/** Runs one structure case on something of `specimen`. Throws a Finding. Steps go to `steps`. */
export function runStructureCase(specimen: Specimen, random: Random, steps: string[]): void {
  const lab = labOf(specimen)
  let at = random.below(CASES.reduce((sum, [weight]) => sum + weight, 0))
  const [, run] = CASES.find(([weight]) => (at -= weight) < 0) ?? CASES[0]
  steps.push(specimen.name, run.name)
  try {
    run(lab, random)
  } finally {
    for (const device of lab.devices) device.reset()
  }
}

function nodeCase({ specimen, devices, volume }: Lab, random: Random): string {
  const node = random.pick(specimen.nodes)
  const mutation: Mutation = { specimen, devices, random, touched: undefined, node }
  const what = pickWeighted(nodeMutators, random)(mutation)
  attempt(() => {
    const inspection = volume.inspectNode(node.btree, node.level, node.pointer)
    for (const set of inspection.sets) {
      set.forEach((key) => examineKey(key, node.btree, node.level, volume.keyTypes, volume.shape))
    }
  })
  return what
}

const KEY_TYPES_KNOWN = 36
const READ_MAX = 64 * 1024
const target = new Uint8Array(READ_MAX)

/** A key of the volume or out of the blue, with some of its bytes changed. */
function randomKey({ specimen }: Lab, random: Random): Key {
  const key = new Key()
  const source = random.pick(specimen.keys)
  key.bytes.set(source)
  let length = source.length
  switch (random.below(8)) {
    case 0:
      length = KEY_BYTES + 8 * random.below(random.pick([4, 20, 215]))
      random.fill(key.bytes.subarray(KEY_BYTES, length))
      key.bytes[2] = random.below(KEY_TYPES_KNOWN)
      break
    case 1:
      length = Math.max(KEY_BYTES, length - 8 * random.few(8))
      break
    case 2:
      length = Math.min(key.bytes.length, length + 8 * random.few(30))
      break
  }
  key.bytes[0] = length / 8
  key.bytes.fill(0, length)
  for (let n = random.below(5); n > 0; n--) {
    const width = random.pick([1, 1, 2, 4, 8])
    const from = random.chance(0.8) ? KEY_BYTES : 16
    if (length - from < width) continue
    disturb(key.bytes, from + random.below(Math.floor((length - from) / width)) * width, width, random)
  }
  if (random.chance(0.05)) key.bytes[2] = random.below(KEY_TYPES_KNOWN)
  return key
}

const INODE_TYPES = new Set([8, 23, 29])
const EXTENT_TYPES = new Set([6, 16])

function keyCase(lab: Lab, random: Random): string {
  const { volume, inode } = lab
  const key = randomKey(lab, random)
  examineKey(key, random.below(22), random.chance(0.9) ? 0 : 1, volume.keyTypes, volume.shape)
  const start = entriesStart(key.type)
  if (start >= 0) {
    const fault = new ExtentPointers().load(key, start, volume.shape)
    if (fault !== undefined) checkMessage(fault)
  }
  const known = volume.keyTypes.get(key.type)
  if (known === undefined || key.valueBytes < known.minValueBytes) return 'key'
  if (INODE_TYPES.has(key.type)) {
    const fault = inode.decode(key)
    if (fault !== undefined) checkMessage(fault)
  }
  if (EXTENT_TYPES.has(key.type) && key.size > 0) {
    const wanted = Math.min(READ_MAX, key.size * 512)
    const skip = random.chance(0.5) ? 0 : random.below(key.size * 512 - wanted + 1)
    attempt(() => volume.readExtent(key, skip, target.subarray(0, 1 + random.below(wanted)), 'file'))
  }
  return 'key'
}

function superblockCase({ specimen, devices }: Lab, random: Random): string {
  const mutation: Mutation = { specimen, devices, random, touched: undefined }
  const what = pickWeighted(superblockMutators, random)(mutation)
  attempt(() => {
    const superblock = readSuperblock(random.pick(devices), fuzzCodecs)
    checkText(printSuperblock(superblock, { layout: true, fields: 'all' }))
    checkPlain(describeSuperblock(superblock), 'superblock')
  })
  return what
}

function recordsCase({ specimen, devices, volume }: Lab, random: Random): string {
  const site = random.pick(specimen.entries)
  const bytes = loadEntry(devices[site.device], site.at, site.length, specimen.sealer)
  const { view, to } = atOddPlace(bytes, random)
  for (let n = random.few(12); n > 0; n--) {
    const width = random.pick([1, 1, 2, 4, 8])
    const length = bytes.length - Jset.size
    if (length < width) break
    const at = Jset.size + random.below(Math.floor(length / width)) * width
    disturb(new Uint8Array(view.buffer, view.byteOffset, to), at, width, random)
  }
  const problem = walkRecords(view, Jset.size, to, (record) => {
    if (record.end > to || record.start > record.end) throw new Finding('a record outside its payload')
    checkText(recordText(view, record, volume.keyTypes, volume.shape))
    const fault = walkKeys(view, record.start, record.end, (at) => {
      if (at < record.start || at + view.getUint8(at) * 8 > record.end) throw new Finding('a key outside its record')
    })
    if (fault !== undefined) checkMessage(fault)
  })
  if (problem !== undefined) checkMessage(problem)
  return 'records'
}

/** The bytes inside a larger buffer, cut off somewhere. */
function atOddPlace(bytes: Uint8Array, random: Random): { view: DataView; to: number } {
  const shift = 8 * random.below(4)
  const buffer = new Uint8Array(bytes.length + shift + 64)
  buffer.set(bytes, shift)
  const to = random.chance(0.3) ? Jset.size + random.below(bytes.length - Jset.size + 1) : bytes.length
  return { view: new DataView(buffer.buffer, shift, to), to }
}

const GUARD = 0xa5
const GUARD_BYTES = 64
const MIB = 1 << 20

const platform = nativeCodecs()

/** Our decoder and the platform's say the same of any bytes. */
function inflateTwice(decoded: Uint8Array, source: Uint8Array): void {
  const other = new Uint8Array(decoded.length)
  const theirs = attempt(() => platform.inflateRaw(other, source))
  const ours = attempt(() => fuzzCodecs.inflateRaw(decoded, source))
  if (ours !== theirs)
    throw new Finding(`DEFLATE: ${ours ? 'decoded' : 'refused'} here, not so by ${platform.names.inflateRaw}`)
  if (ours && Buffer.compare(other, decoded) !== 0)
    throw new Finding('DEFLATE: decoded to other bytes than the platform')
}

/** A compressed unit with damage, decoded into memory with a guard on both sides. */
function unitCase({ specimen, devices }: Lab, random: Random): string {
  const sites = specimen.data.filter(({ compressionType }) => compressionType >= 1 && compressionType <= 4)
  const site = sites.length > 0 && random.chance(0.9) ? random.pick(sites) : undefined
  const source =
    site === undefined
      ? random.fill(new Uint8Array(random.below(5000)))
      : devices[site.device].bytes(site.at, site.length)
  for (let n = random.below(8); n > 0 && source.length > 8; n--) {
    const reach = random.chance(0.5) ? Math.min(64, source.length) : source.length
    disturb(source, random.below(reach), random.pick([1, 1, 2, 4]), random)
  }
  const cut = random.chance(0.2) ? source.subarray(0, random.below(source.length + 1)) : source
  const length = random.chance(0.8) && site !== undefined ? site.decodedLength : random.below(MIB)
  const whole = new Uint8Array(length + 2 * GUARD_BYTES).fill(GUARD)
  const decoded = whole.subarray(GUARD_BYTES, GUARD_BYTES + length)
  attempt(() => {
    switch (site?.compressionType ?? 1 + random.below(4)) {
      case 2:
        inflateTwice(decoded, cut)
        break
      case 4: {
        const frame = cut.length < 4 ? 0 : new DataView(cut.buffer, cut.byteOffset).getUint32(0, true)
        fuzzCodecs.zstdDecompress(decoded, cut.subarray(4, 4 + frame))
        break
      }
      default:
        fuzzCodecs.lz4Decompress(decoded, cut)
    }
  })
  for (let i = 0; i < GUARD_BYTES; i++) {
    if (whole[i] !== GUARD || whole[whole.length - 1 - i] !== GUARD) throw new Finding('written outside the target')
  }
  return 'unit'
}
