import { fixture, fixtureNames } from '@cowherd/fixtures'
import { portableCodecs, type BlockDevice } from '@cowherd/shim'
import { memoryStore, openStore } from '@cowherd/store'
import { describe, expect, test } from 'vitest'
import { SuperblockImage, u64Bytes } from '../../test/superblock-image.ts'
import { assemble, type Candidate, type MissingDevices } from './assemble.ts'
import { readSuperblock } from './read.ts'
import { version } from './versions.ts'

const codecs = portableCodecs()

function candidate(device: BlockDevice): Candidate {
  return { device, superblock: readSuperblock(device, codecs) }
}

function golden(name: string): Candidate[] {
  return fixture(name).devices.map((path) => candidate(openStore(path, { lock: false })))
}

/** Both devices of `replicas`, to be changed. */
function pair(name = 'replicas'): [SuperblockImage, SuperblockImage] {
  return [new SuperblockImage(name, 0), new SuperblockImage(name, 1)]
}

function assembled(images: readonly SuperblockImage[], missing?: MissingDevices) {
  return assemble(
    images.map((image, i) => candidate(image.device(`${'abc'[i]}.img`))),
    missing,
  )
}

describe('all devices there', () => {
  test.each(fixtureNames())('%s, in any order', (name) => {
    const candidates = golden(name)
    for (const given of [candidates, [...candidates].reverse()]) {
      const { best, devices, superblocks, journalBuckets, notes } = assemble(given)
      expect(devices.map((device) => device?.name)).toEqual(candidates.map(({ device }) => device.name))
      expect(superblocks.map((superblock) => superblock?.deviceIndex)).toEqual(candidates.map((_, i) => i))
      expect(journalBuckets.every((buckets) => buckets?.count === 8)).toBe(true)
      expect(best.seq).toBe(candidates[0].superblock.seq)
      expect(notes).toEqual([])
    }
  })

  test('the newest superblock speaks for all, and an older one that it knows is fine', () => {
    const [a, b] = pair()
    b.head.seq += 5n
    b.head.label.set([0x62])
    expect(assembled([a, b]).best.label).toEqual(Uint8Array.of(0x62))
    expect(assembled([b, a]).best.deviceIndex).toBe(1)
    expect(assembled([a, b]).devices.filter((device) => device !== undefined)).toHaveLength(2)
  })
})

describe('what does not belong', () => {
  test('a device of another volume', () => {
    const [a] = pair()
    expect(() => assembled([a, new SuperblockImage('default')])).toThrow(
      /^b\.img: belongs to another volume \([-0-9a-f]{36}\) than a\.img \([-0-9a-f]{36}\)$/,
    )
  })

  test('the same device twice', () => {
    const [a, b] = pair()
    expect(() => assembled([a, b, a])).toThrow('c.img: the same device as a.img (device 0)')
    const device = a.device('a.img')
    expect(() => assemble([candidate(device), candidate(device)])).toThrow('a.img: given twice (device 0)')
    expect(() => assemble([])).toThrow('no device given')
  })

  test('a device that was removed is left out', () => {
    const [a, b] = pair()
    a.head.seq += 5n
    a.body('members_v2').fill(0, 8 + 144, 8 + 144 + 16)
    a.set('replicas_v0', Uint8Array.of(3, 1, 0))
    const { devices, notes } = assembled([a, b])
    expect(devices.map((device) => device?.name)).toEqual(['a.img', undefined])
    expect(notes).toEqual(['b.img: was removed from the volume (device 1); left out'])
  })

  test('a device whose slot another one took is left out', () => {
    const [a, b] = pair()
    a.head.seq += 5n
    a.body('members_v2').fill(7, 8 + 144, 8 + 144 + 16)
    expect(assembled([a, b], 'degraded').notes).toEqual(['b.img: was removed from the volume (device 1); left out'])
  })

  test('a device that is no member of its own volume', () => {
    const [a] = pair()
    a.body('members_v2').fill(0, 8, 8 + 16)
    a.remove('replicas_v0')
    expect(() => assembled([a])).toThrow('a.img: was removed from the volume (device 0)')
  })

  test('split brain: written without the other one, or with it at another time', () => {
    const [a, b] = pair()
    a.head.seq += 5n
    b.head.seq += 3n
    expect(assembled([a, b], 'degraded').notes[0]).toMatch(/^b\.img: was written apart .* split brain; left out$/)
    b.head.seq = a.head.seq
    b.head.writeTime -= 1n
    expect(assembled([b, a], 'degraded').devices.map((device) => device?.name)).toEqual(['b.img', undefined])
    expect(() => assembled([a, b])).toThrow('device 1')
    for (const image of [a, b]) image.head.version = image.head.versionMin = version(1, 3)
    expect(assembled([a, b]).notes).toEqual([])
  })

  test('another block size', () => {
    const [a, b] = pair()
    b.head.blockSize = 4
    expect(() => assembled([a, b])).toThrow('b.img: its blocks have 2048 bytes, those of the volume 4096')
  })

  test('a truncated device', () => {
    const [a] = pair()
    const { size } = a
    a.size -= 512
    expect(() => assembled([a])).toThrow(`a.img: truncated: ${size - 512} bytes long where the volume has ${size}`)
  })

  test('journal buckets outside the device as the newest superblock knows it', () => {
    const [a, b] = pair()
    a.head.seq += 5n
    a.body('members_v2').set(u64Bytes(300), 8 + 144 + 16)
    b.set('journal_v2', u64Bytes(340, 2))
    expect(() => assembled([a, b])).toThrow('b.img: a journal bucket lies outside the device (340, 2)')
  })
})

describe('devices missing', () => {
  test('with a copy of everything elsewhere: degraded', () => {
    const [a, b] = golden('replicas')
    expect(() => assemble([a])).toThrow(
      /device 1 \(uuid [-0-9a-f]{36}\) is missing: -o degraded opens the volume without, and everything in it can be read$/,
    )
    expect(() => assemble([b])).toThrow(expect.objectContaining({ code: 'ENODEV' }))
    expect(assemble([a], 'degraded').devices.map((device) => device !== undefined)).toEqual([true, false])
    expect(assemble([b], 'very_degraded').devices.map((device) => device !== undefined)).toEqual([false, true])
  })

  test('with data on it alone: very degraded; the label is told', () => {
    const [a, b] = golden('tiered')
    expect(() => assemble([a], 'degraded')).toThrow(
      /device 1 \(uuid .*, label hdd\.slow\) is missing: -o very_degraded .* can't be read \(user\)$/,
    )
    expect(() => assemble([b])).toThrow(/label ssd\.fast\) is missing.*\(btree, journal, user\)$/)
    expect(assemble([a], 'very_degraded').devices).toHaveLength(2)
  })

  test('several are all named', () => {
    expect(() => assemble(golden('striped').slice(1, 2))).toThrow(/device 0 \(.*\), device 2 \(.*\) are missing/)
  })

  test('a spare or failed device may be missing', () => {
    const [a] = pair('tiered')
    a.set('replicas_v0', Uint8Array.of(3, 1, 0))
    for (const state of [2, 3]) {
      a.body('members_v2')[8 + 144 + 40] |= state
      expect(assembled([a]).notes).toEqual([])
    }
  })
})

describe('what the user is told', () => {
  test('newer versions, unknown sections, errors', () => {
    const image = new SuperblockImage().set(17, u64Bytes(1)).flag(0, 60, 61, 1)
    image.head.version = version(1, 32)
    expect(assembled([image]).notes).toEqual([
      "the volume's format version, 1.32: (unknown version), is newer than 1.13: inode_has_child_snapshots: what is unknown is skipped",
      'unknown superblock sections are skipped: (unknown field 17)',
      'the volume is marked as having errors that were not repaired',
    ])
    const toCheck = new SuperblockImage()
    toCheck.body('ext')[0] = 1 << 5
    expect(assembled([toCheck]).notes).toEqual(['the volume is marked to be checked at the next start'])
  })

  test('versions that can not be started', () => {
    const old = new SuperblockImage()
    old.head.features[0] &= ~(1n << 9n)
    expect(() => assembled([old])).toThrow('a.img: made by a version too old')
    const unclean = new SuperblockImage().flag(0, 1, 2, 0)
    expect(() => assembled([unclean])).toThrow('a.img: not shut down cleanly by an older version')
  })
})

test('memory that is shorter than a superblock is no device', () => {
  expect(() => candidate(memoryStore(new Uint8Array(512), 'x'))).toThrow('x: not a bcachefs volume')
})
