/** A golden volume with one byte of a file's data changed. */

import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import type { MountPlace } from './mount-place.ts'

const BUCKET_BYTES = 256 * 512
const BUCKET = 52 // of the volume `default`: 64 KiB of tree/big, as `cowherd stat --extents` shows

/** Makes it in the place. `message`: a pattern for what is said of the file. */
export function damagedVolume(place: MountPlace): { volume: string; path: string; message: string } {
  const volume = place.volume('default')
  const image = openSync(volume, 'r+')
  const byte = new Uint8Array(1)
  readSync(image, byte, 0, 1, BUCKET * BUCKET_BYTES)
  byte[0] = ~(byte[0] ?? 0)
  writeSync(image, byte, 0, 1, BUCKET * BUCKET_BYTES)
  closeSync(image)
  const message = `dev 0 bucket ${BUCKET} sector ${BUCKET * 256}: checksum crc32c is [0-9a-f]+, should be 58821c48`
  return { volume, path: 'tree/big', message }
}
