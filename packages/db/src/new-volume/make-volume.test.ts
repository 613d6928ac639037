import { hexText, uuidText } from '@cowherd/kernel-lib'
import { nativeCodecs, type WritableBlockDevice } from '@cowherd/shim'
import { describe, expect, test } from 'vitest'
import { Checksum } from '../checksum.ts'
import { SuperblockError } from '../errors.ts'
import { chooseGeometry } from './geometry.ts'
import { makeVolume, type NewDevice, type NewVolumeOptions } from './make-volume.ts'
import { readSuperblock } from '../superblock/read.ts'
import { SuperblockHead } from '../superblock/superblock.ts'
import { unlock } from '../superblock/unlock.ts'

const codecs = nativeCodecs()
const MIB = 2 ** 20
const GIB = 2 ** 30

/** A device in memory, which remembers what was written where. */
function memory(size: number, name = 'memory'): WritableBlockDevice & { bytes: Uint8Array; writes: number[] } {
  const bytes = new Uint8Array(size)
  const writes: number[] = []
  const write = (source: Uint8Array, offset: number): void => {
    writes.push(offset / 512)
    bytes.set(source, offset)
  }
  return {
    ...{ name, size, bytes, writes, write, writeThrough: write, alignment: 1, canDiscard: false },
    read: (target, offset) => target.set(bytes.subarray(offset, offset + target.length)),
    flush: () => undefined,
    discard: () => undefined,
    close: () => undefined,
  }
}

const device = (size: number, more: Partial<NewDevice> = {}): NewDevice => ({
  device: memory(size),
  blockBytes: 4096,
  ...more,
})

/** Random numbers that are known: `hex` first, then counted. */
function known(hex = ''): NewVolumeOptions['random'] {
  const bytes = [...hex.matchAll(/../g)].map(([byte]) => parseInt(byte, 16))
  let next = 1
  return (target) => {
    for (let i = 0; i < target.length; i++) target[i] = bytes.shift() ?? next++ % 256
  }
}

const options: NewVolumeOptions = { codecs, random: known(), nowNs: 1_700_000_000_000_000_000n }

describe('a new volume', () => {
  test('is what the reference writes, byte by byte', () => {
    const uuids =
      '4abe1bab10794cc3b8013f11a7b1ee41' + '1114ccc23a634b67822796a7e3283db8' + '34292461a3834d299401e14c0c9482dd'
    const target = memory(256 * MIB)
    makeVolume([{ device: target, blockBytes: 4096 }], { ...options, random: known(uuids), nowNs: 0x18ea61fa8aaed528n })
    const copy = target.bytes.subarray(4096, 4096 + 976)
    expect(SuperblockHead.read(new DataView(copy.slice().buffer), 0)).toMatchObject({
      u64s: 28,
      features: [0x7ba80n, 0n],
    })
    const nonzero: Record<number, string> = {
      16: '0d040d0400000000c68573f666ce90a9d96a60cf803df7ef4abe1bab10794cc3b8013f11a7b1ee411114ccc23a634b67822796a7e3283db8',
      104: '0800000000000000',
      120: '080000011c00000028d5ae8afa61ea180000000001000000000110800011118102c1110100000000',
      168: '00000030fa000000640000000100000000001e0000000000',
      208: '80ba070000000000',
      240: 'c68573f666ce90a9d96a60cf803df7ef000b0300000000000800000000000000080800000000000000f8070000000000',
      752: '140000000b000000900000000000000034292461a3834d299401e14c0c9482dd00080000000000000000000100000000',
      808: '00000e2000000000',
      912: '080000000100000034292461a3834d299401e14c0c9482dd00080000000000000000000100000000',
      960: '00000e2000000000',
    }
    const expected = new Uint8Array(976)
    for (const [at, hex] of Object.entries(nonzero))
      known(hex)(expected.subarray(Number(at), Number(at) + hex.length / 2))
    expect(hexText(copy)).toBe(hexText(expected))
    // format chapter 1, 8.3
    const checksum = new Checksum(codecs)
    checksum.compute(1, copy.subarray(16))
    expect(hexText(new Uint8Array(checksum.words.buffer, 0, 4))).toBe('00a9f5ee')
    expect(target.writes).toEqual([0, 8, 2056, 522240])
    expect(hexText(target.bytes.subarray(3584, 3584 + 48))).toBe(nonzero[240])
  })

  test('has the options, labels and targets that were asked for', () => {
    const fast = device(64 * MIB, { label: 'ssd.fast', durability: 2, discard: true })
    const slow = device(128 * MIB, { label: 'hdd', dataAllowed: 0b10000 })
    makeVolume([fast, slow], {
      ...options,
      label: 'grüße',
      uuid: new Uint8Array(16).fill(7),
      options: {
        dataReplicas: 2,
        metadataReplicas: 2,
        metadataChecksum: 'xxhash',
        compression: { type: 'zstd', level: 3 },
        encodedExtentMax: 128 << 10,
        gcReservePercent: 12,
      },
      targets: {
        foregroundTarget: 'ssd',
        backgroundTarget: 'hdd',
        promoteTarget: 'ssd.fast',
        metadataTarget: fast.device.name,
      },
    })
    for (const [index, { device }] of [fast, slow].entries()) {
      const superblock = readSuperblock(device, codecs)
      expect(superblock).toMatchObject({
        deviceIndex: index,
        deviceCount: 2,
        initialized: false,
        clean: false,
        seq: 0n,
      })
      expect(new TextDecoder().decode(superblock.label)).toBe('grüße')
      expect(uuidText(superblock.userUuid)).toBe('07070707-0707-0707-0707-070707070707')
      expect(superblock.options).toMatchObject({
        dataReplicas: 2,
        metadataChecksum: 'xxhash',
        dataChecksum: 'crc32c',
        compression: { type: 'zstd', level: 3 },
        encodedExtentMax: 128 << 10,
        gcReservePercent: 12,
        foregroundTarget: 257,
        promoteTarget: 258,
        backgroundTarget: 259,
        metadataTarget: 1,
        btreeNodeSize: 128 << 10,
      })
      expect(superblock.members).toMatchObject([
        { bucketCount: 512, durability: 2, discard: true, group: 1, dataAllowed: 0b11100 },
        { bucketCount: 1024, durability: 1, discard: false, group: 2, dataAllowed: 0b10000 },
      ])
    }
  })

  test.each([undefined, 'secret pass'])('encrypted, passphrase %s', (passphrase) => {
    const target = device(64 * MIB)
    const typed = passphrase === undefined ? undefined : Buffer.from(passphrase)
    makeVolume([target], { ...options, random: known(), encryption: { passphrase: typed } })
    const superblock = readSuperblock(target.device, codecs)
    expect(superblock.encryptionType).toBe(1)
    expect(superblock.crypt?.needsPassphrase).toBe(passphrase !== undefined)
    expect(unlock(superblock, codecs, () => typed)).toHaveLength(32)
    if (passphrase !== undefined)
      expect(() => unlock(superblock, codecs, () => Buffer.from('wrong'))).toThrow('wrong passphrase')
  })

  test('each copy alone is enough', () => {
    const target = memory(64 * MIB)
    makeVolume([{ device: target, blockBytes: 512 }], options)
    for (const sector of [8, 2056, 64 * 2048 - 2048]) {
      const superblock = readSuperblock(target, codecs, sector)
      expect(superblock.sector).toBe(sector)
      expect(superblock.blockSectors).toBe(1)
    }
  })

  test.each<[string, NewDevice[], Partial<NewVolumeOptions>, string]>([
    ['no device', [], {}, 'EINVAL: 0 devices where 1 to 64 can be'],
    [
      'a device that is too small',
      [device(2 * MIB)],
      {},
      'ENOSPC: memory: 2.00 MiB are not enough for three superblocks of 1.00 MiB',
    ],
    ['a long name', [device(64 * MIB)], { label: 'x'.repeat(33) }, 'EINVAL: a name of 33 bytes, 32 at most'],
    [
      'an unknown target',
      [device(64 * MIB)],
      { targets: { foregroundTarget: 'ssd' } },
      "EINVAL: target 'ssd' is neither a device nor a label of one",
    ],
    [
      'an option out of bounds',
      [device(64 * MIB)],
      { options: { dataReplicas: 4 } },
      'EINVAL: option data_replicas is 4, not below 4',
    ],
    [
      'a node larger than a bucket',
      [device(64 * MIB, { bucketBytes: 65536 })],
      { btreeNodeBytes: 131072 },
      'EINVAL: memory: buckets of 64.0 KiB are smaller than a btree node (128 KiB)',
    ],
    [
      'a bucket that is no power of two',
      [device(64 * MIB, { bucketBytes: 100_000 })],
      {},
      'EINVAL: memory: buckets of 97.7 KiB are no power of two',
    ],
    [
      "blocks below the device's",
      [device(64 * MIB)],
      { blockBytes: 512 },
      'EINVAL: memory: its blocks of 4.00 KiB are larger than 512 B',
    ],
    [
      'a label without a part',
      [device(64 * MIB, { label: 'ssd..fast' })],
      {},
      "EINVAL: label 'ssd..fast': a part of 0 bytes",
    ],
    ['a durability', [device(64 * MIB, { durability: 3 })], {}, 'EINVAL: memory: durability 3: 0 to 2 can be'],
  ])('%s is refused, and nothing is written', (_, devices, more, message) => {
    let text = ''
    try {
      makeVolume(devices, { ...options, ...more })
    } catch (error) {
      if (error instanceof SuperblockError) text = `${error.code}: ${error.message}`
    }
    expect(text).toBe(message)
    for (const { device } of devices) expect((device as ReturnType<typeof memory>).writes).toEqual([])
  })
})

describe('the sizes chosen', () => {
  test.each([
    [4 * MIB, 64, 64, 6144],
    [9 * MIB, 128, 128, 16384],
    [256 * MIB, 128, 128, 522240],
    [2 * GIB, 256, 256, 4192256],
    [1024 * GIB, 512, 256, 2147481600],
  ])('for %d bytes', (sizeBytes, bucketKib, nodeKib, lastCopy) => {
    const { devices, btreeNodeBytes, blockBytes } = chooseGeometry([{ name: '', sizeBytes, blockBytes: 4096 }])
    expect({ blockBytes, btreeNodeBytes }).toEqual({ blockBytes: 4096, btreeNodeBytes: nodeKib * 1024 })
    expect(devices).toEqual([
      {
        bucketBytes: bucketKib * 1024,
        bucketCount: sizeBytes / 1024 / bucketKib,
        superblockSectors: [8, 2056, lastCopy],
      },
    ])
  })

  test('of several devices, the smallest decides the buckets of those that have no wish', () => {
    const { devices, btreeNodeBytes } = chooseGeometry([
      { name: 'a', sizeBytes: 1024 * GIB, blockBytes: 512 },
      { name: 'b', sizeBytes: 64 * MIB, blockBytes: 4096 },
      { name: 'c', sizeBytes: 2 * GIB, blockBytes: 4096, bucketBytes: MIB },
    ])
    expect(devices.map(({ bucketBytes }) => bucketBytes / 1024)).toEqual([128, 128, 1024])
    expect(btreeNodeBytes).toBe(128 << 10)
  })
})
