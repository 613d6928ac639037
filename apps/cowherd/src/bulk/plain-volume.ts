/** Which new volumes are filled while they are made (`filled-volume.ts`); the others are filled afterwards, by transactions. */

import { OPTIONS, type NewDevice, type NewVolumeOptions } from '@cowherd/db'

/** Copies of data, at the most. */
export const COPIES_MAX = 4

/** Whether data of such a volume are stored as they are, each copy on a device that counts for one: others are filled when they are made. */
export function isPlain(
  devices: readonly NewDevice[],
  { options = {}, targets = {}, encryption }: NewVolumeOptions,
): boolean {
  const copies = options.dataReplicas ?? OPTIONS.dataReplicas.defaultValue
  const isCompressed = [options.compression, options.backgroundCompression].some(
    (compression) => compression !== undefined && compression.type !== 'none',
  )
  const hasQuotas = options.usrquota === true || options.grpquota === true || options.prjquota === true
  return (
    encryption === undefined &&
    !isCompressed &&
    !hasQuotas &&
    targets.backgroundTarget === undefined &&
    options.erasureCode !== true &&
    options.nocow !== true &&
    copies <= Math.min(COPIES_MAX, devices.length) &&
    devices.every(({ durability = 1, device }) => durability === 1 && device.handle?.kind === 'descriptor')
  )
}
