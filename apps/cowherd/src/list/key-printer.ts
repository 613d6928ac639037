/** How keys of one volume are shown: as the reference tool's lines, or as objects for JSON. */

import { basename } from 'node:path'
import {
  BtreeError,
  BtreeId,
  btreeName,
  BucketGenerations,
  keyText,
  u64,
  type Key,
  type Volume,
  type VolumeShape,
} from '@cowherd/db'

export class KeyPrinter {
  readonly #volume: Volume
  readonly #shape: VolumeShape

  constructor(volume: Volume) {
    this.#volume = volume
    const generations = new BucketGenerations(volume.cursor(BtreeId.bucketGens))
    let isReadable = true
    this.#shape = {
      ...volume.shape,
      deviceName(index) {
        const device = volume.devices[index]
        return device === undefined ? undefined : basename(device.name)
      },
      bucketGeneration(device, bucket) {
        try {
          return isReadable ? generations.at(device, bucket) : undefined
        } catch (error) {
          if (!(error instanceof BtreeError)) throw error
          isReadable = false // then no pointer is called stale
          return undefined
        }
      },
    }
  }

  /** The key with its value, without the line's end. */
  text(key: Key): string {
    return keyText(key, this.#volume.keyTypes, this.#shape)
  }

  /** The value alone. */
  valueText(key: Key): string {
    return this.#volume.keyTypes.get(key.type)?.print?.(key, this.#shape) ?? ''
  }

  /** The same for JSON. */
  record(key: Key, btree: number, level: number): Record<string, unknown> {
    const type = this.#volume.keyTypes.get(key.type)
    const value = type === undefined ? { bytes: key.value.slice() } : type.describe?.(key, this.#shape)
    return {
      btree: btreeName(btree),
      level,
      type: type?.name ?? key.type,
      inode: u64(key.inodeHi, key.inodeLo),
      offset: u64(key.offsetHi, key.offsetLo),
      snapshot: key.snapshot,
      size: key.size,
      version: key.version,
      u64s: key.u64s,
      ...(value === undefined ? {} : { value }),
    }
  }
}
