/**
 * What lies on a device already, by the marks that filesystems, partition tables and the like leave: before something is written over it.
 * The places and bytes are those that blkid(8) and the systems' own headers name.
 */

import type { BlockDevice } from '@cowherd/shim'

interface Signature {
  readonly name: string
  /** Byte at which the mark lies. */
  readonly at: number
  /** The mark: text, or bytes in hexadecimal behind `0x`. */
  readonly mark: string
}

const SIGNATURES: readonly Signature[] = [
  { name: 'bcachefs', at: 4096 + 24, mark: '0xc68573f666ce90a9d96a60cf803df7ef' },
  { name: 'bcache', at: 4096 + 24, mark: '0xc68573f64e1a45ca8265f57f48ba6d81' },
  // the record that names the other superblocks, by which a volume is found whose first one is damaged
  { name: 'bcachefs', at: 3584, mark: '0xc68573f666ce90a9d96a60cf803df7ef' },
  { name: 'bcachefs', at: 3584, mark: '0xc68573f64e1a45ca8265f57f48ba6d81' },
  { name: 'ext2, ext3 or ext4', at: 1024 + 56, mark: '0x53ef' },
  { name: 'XFS', at: 0, mark: 'XFSB' },
  { name: 'Btrfs', at: 65536 + 64, mark: '_BHRfS_M' },
  { name: 'F2FS', at: 1024, mark: '0x1020f5f2' },
  { name: 'EROFS', at: 1024, mark: '0xe2e1f5e0' },
  { name: 'SquashFS', at: 0, mark: 'hsqs' },
  { name: 'ISO 9660', at: 32769, mark: 'CD001' },
  { name: 'NTFS', at: 3, mark: 'NTFS    ' },
  { name: 'exFAT', at: 3, mark: 'EXFAT   ' },
  { name: 'FAT', at: 54, mark: 'FAT' },
  { name: 'FAT', at: 82, mark: 'FAT32   ' },
  { name: 'HFS+', at: 1024, mark: 'H+' },
  { name: 'HFS+', at: 1024, mark: 'HX' },
  { name: 'APFS', at: 32, mark: 'NXSB' },
  { name: 'JFS', at: 32768, mark: 'JFS1' },
  { name: 'NILFS2', at: 1024 + 6, mark: '0x3434' },
  { name: 'ReiserFS', at: 65536 + 52, mark: 'ReIsEr' },
  { name: 'swap space', at: 4086, mark: 'SWAPSPACE2' },
  { name: 'LUKS', at: 0, mark: '0x4c554b53babe' },
  { name: 'LVM', at: 512, mark: 'LABELONE' },
  { name: 'a RAID member', at: 4096, mark: '0xfc4e2ba9' },
  { name: 'a RAID member', at: 0, mark: '0xfc4e2ba9' },
  { name: 'ZFS', at: 128 * 1024, mark: '0x0cb1ba0000000000' },
  { name: 'VMFS', at: 0x200000, mark: '0x5ef1abc0' },
  { name: 'a partition table (GPT)', at: 512, mark: 'EFI PART' },
  { name: 'a boot sector or partition table', at: 510, mark: '0x55aa' },
]

/** The name of the first thing that is found on the device, undefined if there is none. Throws DeviceError. */
export function findSignature(device: BlockDevice): string | undefined {
  return SIGNATURES.find(({ at, mark }) => {
    const expected = bytesOf(mark)
    if (at + expected.length > device.size) return false
    const found = new Uint8Array(expected.length)
    device.read(found, at)
    return found.every((byte, i) => byte === expected[i])
  })?.name
}

function bytesOf(mark: string): Uint8Array {
  if (!mark.startsWith('0x')) return new TextEncoder().encode(mark)
  return Uint8Array.from(mark.slice(2).matchAll(/../g), ([byte]) => Number.parseInt(byte, 16))
}
