/** A device in memory, for tests. */

import type { WritableBlockDevice } from '@cowherd/shim'

export function memory(size: number, name: string): WritableBlockDevice {
  const bytes = new Uint8Array(size)
  const write = (source: Uint8Array, offset: number): void => bytes.set(source, offset)
  return {
    ...{ name, size, write, writeThrough: write, alignment: 1, canDiscard: false },
    read: (target, offset) => target.set(bytes.subarray(offset, offset + target.length)),
    flush: () => undefined,
    discard: () => undefined,
    close: () => undefined,
  }
}
