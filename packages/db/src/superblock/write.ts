/**
 * Writes superblocks: all copies on all devices, the first ones first. Format chapter 1, 7.1. Not before the last copy of a number is on
 * stable storage is the next one touched, so that whatever happens one good set is there.
 */

import type { Codecs, WritableBlockDevice } from '@cowherd/shim'
import type { DevicePart, SuperblockDraft } from './draft.ts'

export interface SuperblockTarget extends DevicePart {
  readonly device: WritableBlockDevice
}

const SECTOR = 512

/** Encodes everything first, so that nothing is written if something doesn't fit. Throws SuperblockError ENOSPC, and DeviceError. */
export function writeSuperblocks(
  draft: SuperblockDraft,
  targets: readonly SuperblockTarget[],
  blockBytes: number,
  codecs: Codecs,
): void {
  const copies = targets.flatMap((target) =>
    target.layout.sectors.map((sector, number) => {
      const bytes = draft.encode(target, Number(sector), codecs)
      return { number, device: target.device, offset: Number(sector) * SECTOR, bytes: padded(bytes, blockBytes) }
    }),
  )
  for (let number = 0; copies.some((copy) => copy.number >= number); number++) {
    const these = copies.filter((copy) => copy.number === number)
    for (const { device, bytes, offset } of these) device.write(bytes, offset)
    for (const { device } of these) device.flush()
  }
}

function padded(bytes: Uint8Array, unit: number): Uint8Array {
  const whole = new Uint8Array(Math.ceil(bytes.length / unit) * unit)
  whole.set(bytes)
  return whole
}
