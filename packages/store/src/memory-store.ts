/**
 * A store in memory, for tests and for browsers: whole, or as pages of which the missing ones read as zeros, so that a
 * large and mostly empty image costs only what is in it. Imports nothing of Node.
 */

import { DeviceError, refuseOutside, type BlockDevice, type WritableBlockDevice } from '@cowherd/shim'

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
    ...handleOf(content, name, false),
    read(target, offset) {
      if (!open) throw new DeviceError('EBADF', name, 'read after it was closed')
      refuseOutside(name, size, offset, target.length)
      if ('pages' in content) readPages(content, target, offset)
      else target.set(content.subarray(offset, offset + target.length))
    },
    close() {
      open = false
    },
  }
}

/** A store over `content` that is written into it. What is discarded reads as zeros. */
export function writableMemoryStore(content: Uint8Array, name = 'memory'): WritableBlockDevice {
  const size = content.length
  let open = true
  const refuse = (offset: number, length: number): void => {
    if (!open) throw new DeviceError('EBADF', name, 'used after it was closed')
    refuseOutside(name, size, offset, length)
  }
  const write = (source: Uint8Array, offset: number): void => {
    refuse(offset, source.length)
    content.set(source, offset)
  }
  return {
    name,
    size,
    alignment: 1,
    canDiscard: true,
    ...handleOf(content, name, true),
    read(target, offset) {
      refuse(offset, target.length)
      target.set(content.subarray(offset, offset + target.length))
    },
    write,
    writeThrough: write,
    flush: () => refuse(0, 0),
    discard(offset, length) {
      refuse(offset, length)
      content.fill(0, offset, offset + length)
    },
    close() {
      open = false
    },
  }
}

/** Other threads reach bytes in shared memory. */
function handleOf(content: Uint8Array | Pages, name: string, isWritable: boolean): Pick<BlockDevice, 'handle'> {
  if ('pages' in content || typeof SharedArrayBuffer !== 'function') return {}
  const { buffer } = content
  if (!(buffer instanceof SharedArrayBuffer)) return {}
  const bytes = new Uint8Array(buffer, content.byteOffset, content.length)
  return { handle: { kind: 'memory', name, bytes, isWritable } }
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
