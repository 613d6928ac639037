/**
 * A store in memory, for tests and for browsers: whole, or as pages of which the missing ones read as zeros, so that a
 * large and mostly empty image costs only what is in it. Imports nothing of Node.
 */

import { DeviceError, type BlockDevice } from '@cowherd/shim'

/** An image of `size` bytes in pages of `pageSize` bytes, by page number. A page may be shorter; the rest is zeros. */
export interface Pages {
  readonly size: number
  readonly pageSize: number
  readonly pages: ReadonlyMap<number, Uint8Array>
}

/** A store over `content`, which is not copied: what is changed there is seen here. */
export function memoryStore(content: Uint8Array | Pages, name = 'memory'): BlockDevice {
  // (no instanceof: bytes may come from another realm, a frame or a vm context)
  const size = 'pages' in content ? content.size : content.length
  let open = true
  return {
    name,
    size,
    read(target, offset) {
      if (!open) throw new DeviceError('EBADF', name, 'read after it was closed')
      if (!Number.isSafeInteger(offset) || offset < 0 || offset + target.length > size) {
        throw new DeviceError('EIO', name, `${target.length} bytes at ${offset} are outside its ${size} bytes`)
      }
      if ('pages' in content) readPages(content, target, offset)
      else target.set(content.subarray(offset, offset + target.length))
    },
    close() {
      open = false
    },
  }
}

function readPages({ pages, pageSize }: Pages, target: Uint8Array, offset: number): void {
  let done = 0
  while (done < target.length) {
    const page = Math.floor((offset + done) / pageSize)
    const within = offset + done - page * pageSize
    const length = Math.min(pageSize - within, target.length - done)
    const part = pages.get(page)?.subarray(within, within + length)
    target.fill(0, done, done + length)
    if (part !== undefined) target.set(part, done)
    done += length
  }
}
