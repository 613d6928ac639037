/** A request without a kernel behind it: it keeps how it was answered. */

import type { Attributes, Entry, FilesystemRoom, Request } from '@cowherd/fuse'

export interface Answer {
  readonly kind: string
  /** Of `error`: the errno; of `entry` and `created`: the node. */
  readonly value?: string | number
  readonly attributes?: Readonly<Attributes>
  /** For how long they hold. */
  readonly seconds?: number
  readonly room?: FilesystemRoom
  readonly bytes?: Uint8Array
}

export class FakeRequest {
  readonly uid: number
  readonly gid: number
  readonly answers: Answer[] = []
  /** False: nobody waits for the answer any more. */
  private readonly isAwaited: boolean
  private readonly buffer = new Uint8Array(1 << 20)

  constructor({ uid = 0, gid = 0, isAwaited = true } = {}) {
    this.uid = uid
    this.gid = gid
    this.isAwaited = isAwaited
  }

  /** As operations see it. */
  get request(): Request {
    return this as unknown as Request
  }

  error(value: string): boolean {
    return this.keep({ kind: 'error', value })
  }

  ok(): boolean {
    return this.keep({ kind: 'ok' })
  }

  entry({ node, attributes }: Readonly<Entry>): boolean {
    return this.keep({ kind: 'entry', value: node, attributes: { ...attributes } as Attributes })
  }

  created({ node, attributes }: Readonly<Entry>, handle: number, flags: number): boolean {
    if (handle !== 0 || flags !== 2) throw new RangeError('files are kept in the cache, and have no handles')
    return this.keep({ kind: 'created', value: node, attributes: { ...attributes } as Attributes })
  }

  attributes(attributes: Readonly<Attributes>, seconds: number): boolean {
    return this.keep({ kind: 'attributes', attributes: { ...attributes }, seconds })
  }

  written(value: number): boolean {
    return this.keep({ kind: 'written', value })
  }

  copied(value: number): boolean {
    return this.keep({ kind: 'copied', value })
  }

  room(room: FilesystemRoom): boolean {
    return this.keep({ kind: 'room', room })
  }

  copy(bytes: Uint8Array): boolean {
    return this.keep({ kind: 'data', bytes: bytes.slice() })
  }

  xattr(bytes: Uint8Array): boolean {
    return this.copy(bytes)
  }

  offset(value: number): boolean {
    return this.keep({ kind: 'offset', value })
  }

  /** The test answers it later as it answers others. */
  defer(): FakeRequest {
    return this
  }

  data(size: number): Uint8Array {
    return this.buffer.subarray(0, size)
  }

  sendData(length: number): boolean {
    return this.copy(this.buffer.subarray(0, length))
  }

  private keep(answer: Answer): boolean {
    this.answers.push(answer)
    return this.isAwaited
  }
}
