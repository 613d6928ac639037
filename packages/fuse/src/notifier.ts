/**
 * What the filesystem tells the kernel unasked: that what it remembers is no longer so, data for its cache, files to be let go.
 *
 * May be used from any thread, but not while that thread is at a request on the same nodes: the kernel may wait for that request first.
 * Methods return false if the kernel doesn't know what is named: then there is nothing to forget.
 */

import { codeOf } from './errno.ts'
import {
  EXPIRE_ONLY,
  NotifyCode,
  NotifyDeleteOut,
  NotifyInvalEntryOut,
  NotifyInvalInodeOut,
  NotifyPollOut,
  NotifyPruneOut,
  NotifyRetrieveOut,
  NotifyStoreOut,
  OutHeader,
} from './protocol.ts'
import type { Transport } from './transport.ts'

const NO_BYTES = new Uint8Array(0)

export class Notifier {
  private readonly transport: Transport

  constructor(transport: Transport) {
    this.transport = transport
  }

  /** Wakes those who poll(2) the file with that kernel handle. */
  pollWakeup(handle: bigint): boolean {
    return this.send(messageOf(NotifyCode.poll, NotifyPollOut.bytes({ handle })))
  }

  /**
   * Drops a node's attributes, and its cached data from `offset` on, `length` bytes or, with 0, all. What of that was changed is written back
   * first, which this call waits for. A negative offset drops the attributes only: that waits for nothing, and may be done at any time.
   */
  invalidateInode(node: number, offset = 0, length = 0): boolean {
    return this.send(invalidation(node, offset, length))
  }

  /** Drops a name; with `expireOnly` the kernel only asks again before it uses the name. */
  invalidateEntry(parent: number, name: Uint8Array, expireOnly = false): boolean {
    const body = { parent: BigInt(parent), nameLength: name.length, flags: expireOnly ? EXPIRE_ONLY : 0 }
    return this.send(messageOf(NotifyCode.invalidateEntry, NotifyInvalEntryOut.bytes(body), withNul(name)))
  }

  /**
   * Drops a name whose file was deleted. False also if it led elsewhere, or is in use as a mount point; in the first case it is dropped
   * all the same.
   */
  deleteEntry(parent: number, child: number, name: Uint8Array): boolean {
    const body = { parent: BigInt(parent), child: BigInt(child), nameLength: name.length, padding: undefined }
    return this.send(messageOf(NotifyCode.delete, NotifyDeleteOut.bytes(body), withNul(name)))
  }

  /** Puts data into the kernel's cache of a file. */
  store(node: number, offset: number, data: Uint8Array): boolean {
    const body = { node: BigInt(node), offset: BigInt(offset), size: data.length, padding: undefined }
    return this.send(messageOf(NotifyCode.store, NotifyStoreOut.bytes(body), data))
  }

  /** Asks for cached data of a file: it comes by `Operations.retrieved` with `unique`, as far as it is cached. */
  retrieve(unique: number, node: number, offset: number, size: number): boolean {
    const body = { unique: BigInt(unique), node: BigInt(node), offset: BigInt(offset), size, padding: undefined }
    return this.send(messageOf(NotifyCode.retrieve, NotifyRetrieveOut.bytes(body)))
  }

  /** All requests that were read and not answered are to come again, bit 63 of `unique` set: for a server that took over. */
  resend(): boolean {
    return this.send(messageOf(NotifyCode.resend, NO_BYTES))
  }

  /** All names are asked for again when next used. Since protocol 7.44. */
  incrementEpoch(): boolean {
    return this.send(messageOf(NotifyCode.incrementEpoch, NO_BYTES))
  }

  /** Drops nodes that nobody uses, so that they are forgotten. Since protocol 7.45. */
  prune(nodes: readonly number[]): boolean {
    const list = new BigUint64Array(nodes.map((node) => BigInt(node)))
    const body = NotifyPruneOut.bytes({ count: nodes.length, padding: undefined, spare: 0n })
    return this.send(messageOf(NotifyCode.prune, body, new Uint8Array(list.buffer)))
  }

  private send(message: Uint8Array): boolean {
    try {
      this.transport.write(message, message.length)
      return true
    } catch (error) {
      if (UNKNOWN.has(codeOf(error))) return false
      throw error
    }
  }
}

/** The message of `Notifier.invalidateInode`, for those who have it written by somebody who may wait. */
export function invalidation(node: number, offset: number, length: number): Uint8Array {
  const body = { node: BigInt(node), offset: BigInt(offset), length: BigInt(length) }
  return messageOf(NotifyCode.invalidateInode, NotifyInvalInodeOut.bytes(body))
}

function messageOf(code: number, body: Uint8Array, rest: Uint8Array = NO_BYTES): Uint8Array {
  const message = new Uint8Array(OutHeader.size + body.length + rest.length)
  message.set(OutHeader.bytes({ length: message.length, error: code, unique: 0n }))
  message.set(body, OutHeader.size)
  message.set(rest, OutHeader.size + body.length)
  return message
}

/** The kernel doesn't know the node or the name, uses it, or the filesystem is gone. */
const UNKNOWN: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ENOTEMPTY', 'EBUSY', 'ENODEV', 'ECONNABORTED'])

function withNul(name: Uint8Array): Uint8Array {
  const text = new Uint8Array(name.length + 1)
  text.set(name)
  return text
}
