/**
 * The copies of the superblock, on all devices. After a clean shutdown all are there, and the same; after a crash each device has one at
 * least, and that is for whoever opens the volume to find. Format chapter 1, 5 to 7.
 */

import {
  COMPAT_FEATURES,
  hasFeature,
  Layout,
  readSuperblock,
  SuperblockHead,
  VolumeError,
  type Superblock,
  type Volume,
} from '@cowherd/db'
import { DeviceError, type BlockDevice, type Codecs } from '@cowherd/shim'
import { equalBytes } from './equal.ts'
import type { Faults } from './faults.ts'

const SECTOR = 512
const LAYOUT_SECTOR = 7
const HEAD = SuperblockHead.offsets
/** Sections that each device has of its own: journal and journal_v2. */
const OWN_SECTIONS = new Set([0, 9])
/** Features of a volume that is in use, and of one that was shut down. */
const FEATURES_OF_WRITERS = ['new_extent_overwrite', 'alloc_v2', 'extents_across_btree_nodes'] as const
const FEATURES_DIRTY = ['extents_above_btree_updates', 'btree_updates_journalled'] as const
const COMPAT_CLEAN = ['alloc_info', 'alloc_metadata'] as const

/**
 * Checks all copies, unless they may be torn: then one of each device has to do. Returns each device's own superblock, undefined where the
 * device is missing.
 */
export function checkSuperblocks(
  volume: Volume,
  codecs: Codecs,
  mayBeTorn: boolean,
  faults: Faults,
): (Superblock | undefined)[] {
  const { superblock } = volume
  checkFlags(superblock, faults)
  return volume.devices.map((device, index) => {
    if (device === undefined) return undefined
    const own = readSuperblock(device, codecs)
    checkLayout(device, own, faults)
    if (!mayBeTorn) {
      for (const sector of own.layout.sectors) checkCopy(device, own, Number(sector), codecs, faults)
      checkShared(device.name, own, superblock, faults)
      if (superblock.members[index].seq !== superblock.seq) {
        faults.add(device.name, `took part in superblock ${superblock.members[index].seq}, this is ${superblock.seq}`)
      }
    }
    return own
  })
}

function checkFlags(superblock: Superblock, faults: Faults): void {
  const { clean, initialized, features, compat, hasErrors, hasTopologyErrors, ext } = superblock
  const say = (what: string): void => faults.add('superblock', what)
  if (hasErrors || hasTopologyErrors) say('marked as having errors')
  if ((ext?.passesRequired ?? 0n) !== 0n) say('recovery passes are required')
  if ((ext?.btreesLostData ?? 0n) !== 0n) say('btrees lost data')
  if (!initialized) return
  for (const name of FEATURES_OF_WRITERS) if (!hasFeature(features, name)) say(`without feature ${name}`)
  for (const name of FEATURES_DIRTY) {
    if (hasFeature(features, name) === clean)
      say(`${clean ? 'clean, but with' : 'in use, but without'} feature ${name}`)
  }
  if (!clean) return
  for (const name of COMPAT_CLEAN) {
    if (((compat >> BigInt(COMPAT_FEATURES.indexOf(name))) & 1n) === 0n)
      say(`clean, but without compat feature ${name}`)
  }
}

/** The record in sector 7 is the one inside the superblock. */
function checkLayout(device: BlockDevice, own: Superblock, faults: Faults): void {
  const record = new Uint8Array(SECTOR)
  device.read(record, LAYOUT_SECTOR * SECTOR)
  const inside = own.bytes.subarray(HEAD.layout, HEAD.layout + Layout.size)
  if (!equalBytes(record, inside)) faults.add(device.name, 'the layout record differs from that in the superblock')
}

function checkCopy(device: BlockDevice, own: Superblock, sector: number, codecs: Codecs, faults: Faults): void {
  const place = `${device.name} superblock at sector ${sector}`
  try {
    const copy = readSuperblock(device, codecs, sector)
    const offset = new DataView(copy.bytes.buffer, copy.bytes.byteOffset).getBigUint64(HEAD.offset, true)
    if (offset !== BigInt(sector)) faults.add(place, `says that it lies at sector ${offset}`)
    if (copy.seq !== own.seq) faults.add(place, `is number ${copy.seq}, the first copy is ${own.seq}`)
    else if (!equalBytes(contentOf(copy), contentOf(own))) faults.add(place, 'differs from the first copy')
  } catch (error) {
    if (!(error instanceof VolumeError || error instanceof DeviceError)) throw error
    faults.add(place, error.message)
  }
}

/** What is the same on all devices. */
function checkShared(name: string, own: Superblock, best: Superblock, faults: Faults): void {
  if (own.seq !== best.seq) {
    faults.add(name, `superblock ${own.seq}, the newest is ${best.seq}`)
    return
  }
  const head = (from: number, to: number): boolean =>
    equalBytes(own.bytes.subarray(from, to), best.bytes.subarray(from, to))
  const isSameHead =
    head(HEAD.version, HEAD.magic) &&
    head(HEAD.uuid, HEAD.offset) &&
    head(HEAD.seq, HEAD.devIdx) &&
    head(HEAD.nrDevices, HEAD.u64s) &&
    head(HEAD.timeBaseLo, HEAD.layout)
  if (!isSameHead) faults.add(name, 'its superblock differs from that of the volume')
  const shared = ({ sections }: Superblock) => sections.filter(({ type }) => !OWN_SECTIONS.has(type))
  const theirs = new Map(shared(best).map(({ type, bytes }) => [type, bytes]))
  for (const { type, bytes } of shared(own)) {
    const other = theirs.get(type)
    if (other === undefined || !equalBytes(bytes, other))
      faults.add(name, `section ${type} differs from that of the volume`)
    theirs.delete(type)
  }
  for (const type of theirs.keys()) faults.add(name, `section ${type} is missing`)
}

/** A copy without what differs between copies: checksum and place. */
function contentOf({ bytes }: Superblock): Uint8Array {
  const content = bytes.slice()
  content.fill(0, HEAD.csum, HEAD.version)
  content.fill(0, HEAD.offset, HEAD.seq)
  return content
}
