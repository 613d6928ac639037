/**
 * A kernel in memory: requests that a test builds from the protocol's structures, the replies to them, and the errors that reading and
 * writing /dev/fuse may meet. When all requests have been read, the filesystem is unmounted (ENODEV).
 */

import type { Operations } from '../operations.ts'
import { InHeader, OutHeader } from '../protocol.ts'
import { Session, type SessionOptions } from '../session.ts'
import type { Transport } from '../transport.ts'

/** A message to the kernel, taken apart. */
export interface Message {
  /** As the message's own header tells it. */
  readonly length: number
  /** 0 or a negative errno; the code of a notification. */
  readonly error: number
  readonly unique: bigint
  readonly body: Uint8Array
}

export class MemoryTransport implements Transport {
  readonly written: Message[] = []
  /** Errors that the next writes fail with, by their codes; `undefined` for one that succeeds. */
  readonly writeFailures: (string | undefined)[] = []
  private readonly coming: (Uint8Array | string)[]

  /** `coming`: what is read, one after another; a string is the code of an error. */
  constructor(coming: readonly (Uint8Array | string)[] = []) {
    this.coming = [...coming]
  }

  read(buffer: Uint8Array): number {
    const next = this.coming.shift() ?? 'ENODEV'
    if (typeof next === 'string') throw codedError(next)
    buffer.set(next)
    return next.length
  }

  write(buffer: Uint8Array, length: number): void {
    const failure = this.writeFailures.shift()
    if (failure !== undefined) throw codedError(failure)
    const message = buffer.slice(0, length)
    if (message.length !== length) throw new RangeError(`${length} bytes to be written of ${message.length}`)
    const header = OutHeader.read(new DataView(message.buffer), 0)
    this.written.push({ ...header, error: header.error | 0, body: message.subarray(OutHeader.size) })
  }
}

/** An error as Node's fs has them. */
export function codedError(code: string): Error {
  return Object.assign(new Error(code), { code })
}

/** Serves all of `coming`. Returns what was written. */
export function serveAll(
  operations: Operations,
  coming: readonly (Uint8Array | string)[],
  options: SessionOptions = {},
): Message[] {
  const transport = new MemoryTransport(coming)
  new Session(transport, operations, options).serve()
  return transport.written
}

export interface Caller {
  readonly unique?: bigint
  readonly node?: bigint
  readonly uid?: number
  readonly gid?: number
  readonly pid?: number
}

/** A whole request. */
export function requestOf(opcode: number, caller: Caller = {}, ...body: readonly Uint8Array[]): Uint8Array {
  const { unique = 2n, node = 1n, uid = 0, gid = 0, pid = 0 } = caller
  const length = InHeader.size + body.reduce((sum, part) => sum + part.length, 0)
  const header = { length, opcode, unique, node, uid, gid, pid, extensionU64s: 0, padding: undefined }
  return joined(InHeader.bytes(header), ...body)
}

/** A name as requests have it, with a NUL behind it. */
export function nameOf(name: string): Uint8Array {
  return new TextEncoder().encode(`${name}\0`)
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
