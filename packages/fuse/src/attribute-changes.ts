/** What a SETATTR asks for: which attributes are to be changed, and to what. Filled from the request, once made and used again. */

import { SetattrFlag, SetattrIn } from './protocol.ts'
import type { Request } from './request.ts'

const AT = SetattrIn.offsets

/** Fields mean something only if their bit of `valid` is set. Times are Unix seconds, rounded down, and nanoseconds that belong to them. */
export class AttributeChanges {
  /** Bits of `SetattrFlag`. */
  valid = 0
  handle = 0
  /** In bytes. */
  size = 0
  atimeSeconds = 0
  atimeNanoseconds = 0
  mtimeSeconds = 0
  mtimeNanoseconds = 0
  ctimeSeconds = 0
  ctimeNanoseconds = 0
  /** Permission bits; type bits may be among them. */
  mode = 0
  uid = 0
  gid = 0

  /** True if that is asked for. */
  has(what: keyof typeof SetattrFlag): boolean {
    return (this.valid & SetattrFlag[what]) !== 0
  }

  /** Takes over what a request says. */
  decode(request: Request): this {
    this.valid = request.u32(AT.valid)
    this.handle = request.u64(AT.handle)
    this.size = request.u64(AT.size)
    this.atimeSeconds = request.i64(AT.atime)
    this.mtimeSeconds = request.i64(AT.mtime)
    this.ctimeSeconds = request.i64(AT.ctime)
    this.atimeNanoseconds = request.u32(AT.atimeNanoseconds)
    this.mtimeNanoseconds = request.u32(AT.mtimeNanoseconds)
    this.ctimeNanoseconds = request.u32(AT.ctimeNanoseconds)
    this.mode = request.u32(AT.mode)
    this.uid = request.u32(AT.uid)
    this.gid = request.u32(AT.gid)
    return this
  }
}
