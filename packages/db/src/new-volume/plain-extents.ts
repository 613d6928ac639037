/**
 * Keys of file data in a volume that is being built: data as it is, neither compressed nor encrypted, in units with a checksum each. Format
 * chapter 6, 6.1.3 and 6.7.
 */

import { Key, KEY_POS_AT, KEY_SIZE_AT, KEY_U64S, KEY_WORDS } from '../key.ts'
import { extent } from '../key-types/extent.ts'
import { CHECKSUM_OF_OPTION } from '../data/unit-encoder.ts'
import { putPointer, Unit, UNIT_SECTORS_MAX } from '../data/unit.ts'
import type { Options } from '../superblock/options.ts'
import type { NodePlace } from './tree-shape.ts'

const SECTOR = 512
/** Words of a checksum. */
export const CHECKSUM_WORDS = 4

export class PlainExtents {
  /** Type of the checksums, as stored: 0 for none. */
  readonly checksumType: number
  /** No unit is longer. */
  readonly unitSectors: number
  private readonly add: (key: Key) => void
  private readonly key = new Key()
  private readonly unit = new Unit()

  constructor(options: Pick<Options, 'dataChecksum' | 'encodedExtentMax'>, add: (key: Key) => void) {
    this.checksumType = CHECKSUM_OF_OPTION[options.dataChecksum]
    this.unitSectors = Math.min(options.encodedExtentMax / SECTOR, UNIT_SECTORS_MAX)
    this.add = add
  }

  /**
   * Adds the key of a unit of so many sectors of an inode, which ends at sector `end` of the file. It lies `skip` sectors behind `places`, and
   * its checksum is at `checksums[at]`.
   */
  addUnit(
    { numberHi, numberLo, snapshot }: Readonly<{ numberHi: number; numberLo: number; snapshot: number }>,
    end: number,
    sectors: number,
    checksums: Uint32Array,
    at: number,
    places: readonly NodePlace[],
    skip: number,
  ): void {
    const { key, unit } = this
    const { words } = key
    words.fill(0, 0, KEY_WORDS)
    let to = KEY_WORDS
    unit.set(sectors, sectors, this.checksumType, 0)
    if (this.checksumType !== 0) {
      for (let i = 0; i < CHECKSUM_WORDS; i++) unit.csum[i] = checksums[at + i]
      to = unit.putEntry(words, to)
    }
    for (const { device, sector } of places) to = putPointer(words, to, device, sector + skip, 0, false)
    words[0] = (KEY_U64S + (to - KEY_WORDS) / 2) | 0x100 | (extent.number << 16)
    words[KEY_SIZE_AT] = sectors
    words[KEY_POS_AT] = snapshot
    words[KEY_POS_AT + 1] = end
    words[KEY_POS_AT + 2] = Math.floor(end / 0x100000000)
    words[KEY_POS_AT + 3] = numberLo
    words[KEY_POS_AT + 4] = numberHi
    this.add(key)
  }
}
