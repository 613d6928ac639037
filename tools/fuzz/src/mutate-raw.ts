/** Plain damage: what media, cables and other programs do. Checksums stay as they were, so most of it must be noticed by them. */

import { touch, type Mutation, type Weighted } from './mutation.ts'
import { disturb, type Random } from './random.ts'
import type { Site, Specimen } from './specimen.ts'

const SECTOR = 512
const BLOCK_BYTES = 4096

export const rawMutators: Weighted = [
  [6, flipBits],
  [6, disturbFields],
  [3, zeroBlock],
  [3, garbageBlock],
  [3, swapBlocks],
  [3, copyBlock],
  [2, truncate],
  [2, breakSectors],
]

/** A row of bytes that means something, and what it is. */
function pickSite({ specimen, random, devices, ...rest }: Mutation): Site & { what: string } {
  const { superblocks, nodes, entries, buckets, data } = specimen
  switch (random.below(10)) {
    case 0:
    case 1: {
      const { device, sectors, bytes } = random.pick(superblocks)
      return { device, at: random.pick(sectors) * SECTOR, length: bytes.length, what: 'superblock' }
    }
    case 2:
      return { device: random.below(devices.length), at: 7 * SECTOR, length: SECTOR, what: 'layout' }
    case 3:
      if (entries.length > 0) return { ...random.pick(entries), what: 'journal entry' }
      return { ...random.pick(buckets), what: 'journal bucket' }
    case 4:
    case 5:
      if (data.length > 0) return { ...random.pick(data), what: 'data' }
      return anywhere(specimen, random)
    case 6:
      return anywhere(specimen, random)
    default: {
      const { btree, level, copies, length } = random.pick(nodes)
      touch({ specimen, random, devices, ...rest }, btree)
      return { ...random.pick(copies), length, what: `node of btree ${btree} level ${level}` }
    }
  }
}

function anywhere({ images }: Specimen, random: Random): Site & { what: string } {
  const device = random.below(images.length)
  const at = images[device].usedOffset(random.below(1 << 20) / (1 << 20))
  return { device, at, length: BLOCK_BYTES, what: 'somewhere' }
}

function flipBits(mutation: Mutation): string {
  const { devices, random } = mutation
  const site = pickSite(mutation)
  const count = random.few(16)
  for (let i = 0; i < count; i++) {
    const at = site.at + random.below(site.length)
    const byte = devices[site.device].bytes(at, 1)
    byte[0] ^= 1 << random.below(8)
    devices[site.device].overwrite(at, byte)
  }
  return `${count} bits flipped in ${site.what}`
}

function disturbFields(mutation: Mutation): string {
  const { devices, random } = mutation
  const site = pickSite(mutation)
  const width = random.pick([1, 2, 4, 8])
  const count = random.few(8)
  for (let i = 0; i < count; i++) {
    const at = site.at + random.below(Math.max(1, Math.floor(site.length / width))) * width
    const bytes = devices[site.device].bytes(at, width)
    disturb(bytes, 0, width, random)
    devices[site.device].overwrite(at, bytes)
  }
  return `${count} fields of ${width} bytes disturbed in ${site.what}`
}

function blockIn({ random }: Mutation, site: Site): number {
  return site.at + random.below(Math.ceil(site.length / SECTOR)) * SECTOR
}

function zeroBlock(mutation: Mutation): string {
  const site = pickSite(mutation)
  mutation.devices[site.device].overwrite(blockIn(mutation, site), new Uint8Array(blockSize(mutation)))
  return `zeros in ${site.what}`
}

function garbageBlock(mutation: Mutation): string {
  const site = pickSite(mutation)
  const garbage = mutation.random.fill(new Uint8Array(blockSize(mutation)))
  mutation.devices[site.device].overwrite(blockIn(mutation, site), garbage)
  return `garbage in ${site.what}`
}

function swapBlocks(mutation: Mutation): string {
  const { devices } = mutation
  const [a, b] = [pickSite(mutation), pickSite(mutation)]
  const [atA, atB] = [blockIn(mutation, a), blockIn(mutation, b)]
  const size = blockSize(mutation)
  const [bytesA, bytesB] = [devices[a.device].bytes(atA, size), devices[b.device].bytes(atB, size)]
  devices[a.device].overwrite(atA, bytesB)
  devices[b.device].overwrite(atB, bytesA)
  return `${a.what} and ${b.what} swapped`
}

function copyBlock(mutation: Mutation): string {
  const { devices, random } = mutation
  const [from, to] = [pickSite(mutation), pickSite(mutation)]
  const whole = random.chance(0.5)
  const length = whole ? from.length : blockSize(mutation)
  devices[to.device].overwrite(to.at, devices[from.device].bytes(whole ? from.at : blockIn(mutation, from), length))
  return `${from.what} written over ${to.what}`
}

function breakSectors(mutation: Mutation): string {
  const { devices, random } = mutation
  const site = pickSite(mutation)
  const from = random.chance(0.5) ? site.at : blockIn(mutation, site)
  devices[site.device].breakRange(from, from + random.pick([512, 4096, site.length]))
  return `${site.what} can't be read`
}

function blockSize({ random }: Mutation): number {
  return random.chance(0.5) ? BLOCK_BYTES : SECTOR
}

function truncate(mutation: Mutation): string {
  const { devices, random } = mutation
  const device = random.pick(devices)
  const site = pickSite(mutation)
  switch (random.below(4)) {
    case 0:
      device.size = random.below(device.size)
      break
    case 1:
      device.size = Math.min(device.size, site.at + random.below(site.length + 1))
      break
    case 2:
      device.size = Math.max(0, device.size - 1 - random.below(1 << 20))
      break
    default:
      device.size = random.pick([0, 1, 511, 512, 3584, 4095, 4096, 4097, 4608, 8192, 65536])
  }
  return `truncated to ${device.size} bytes`
}
