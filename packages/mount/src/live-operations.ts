/**
 * Reading a volume that is being written. What is asked of it is answered as `VolumeOperations` does, but for what changes: files are opened
 * anew after each change, the kernel may know of data that we don't have yet, and what is read may get another time of access.
 */

import type { FileSystem, FileSystemWriter, NodeRef } from '@cowherd/fs'
import type { Attributes, DeferredRequest, NodeTable, Request } from '@cowherd/fuse'
import { AccessTimes } from './access-times.ts'
import type { CacheTimes } from './caching.ts'
import type { EngineDuties } from './engine-duties.ts'
import { errnoOf } from './errno.ts'
import { seek, SEEK_DATA, SEEK_HOLE, type Sought } from './seeking.ts'
import { VolumeOperations } from './volume-operations.ts'

const O_NOATIME = 0o1000000
const SET_USER_ID = 0o4000
const SET_GROUP_ID = 0o2000
/** How often it is looked where data begins, while that changes. */
const SEEKS_MAX = 8

export class LiveOperations extends VolumeOperations {
  protected readonly duties: EngineDuties
  protected readonly accessTimes: AccessTimes

  constructor(fs: FileSystem & FileSystemWriter, nodes: NodeTable, times: CacheTimes, duties: EngineDuties) {
    super(fs, nodes, times, (node) => duties.rememberFile(node))
    this.duties = duties
    this.accessTimes = new AccessTimes(fs, duties.accessTimes)
  }

  override read(request: Request, node: number, handle: number, offset: number, size: number, flags: number): void {
    super.read(request, node, handle, offset, size, flags)
    if ((flags & O_NOATIME) === 0) this.accessed(node, false)
  }

  override readlink(request: Request, node: number): void {
    super.readlink(request, node)
    this.accessed(node, false)
  }

  override readdir(request: Request, node: number, handle: number, hi: number, lo: number, size: number): void {
    super.readdir(request, node, handle, hi, lo, size)
    this.accessed(node, true)
  }

  override readdirplus(request: Request, node: number, handle: number, hi: number, lo: number, size: number): void {
    super.readdirplus(request, node, handle, hi, lo, size)
    this.accessed(node, true)
  }

  override lseek(request: Request, node: number, handle: number, offset: number, whence: number): void {
    const isPlain = this.duties.writeBack === undefined || offset < 0 || (whence !== SEEK_DATA && whence !== SEEK_HOLE)
    if (isPlain || !this.nodes.has(node)) return void super.lseek(request, node, handle, offset, whence)
    const sought = seek(this.fileAt(node), offset, whence)
    if (sought.doubt === undefined) return void request.offset(sought.found)
    this.seekAgain(request.defer(), node, offset, whence, sought, SEEKS_MAX)
  }

  override statfs(request: Request): void {
    request.room(this.roomOf())
  }

  /** A write may take set-user-id and set-group-id away, and the kernel does not think of asking what has become of the mode. */
  protected override shown(ref: Readonly<NodeRef>): Attributes {
    const attributes = super.shown(ref)
    const mayLose = this.inode.isRegular && (attributes.mode & (SET_USER_ID | SET_GROUP_ID)) !== 0
    this.found.attrSeconds = mayLose ? 0 : this.times.attrSeconds
    return attributes
  }

  /** False, and an answer, if the kernel names a node that is none. */
  protected isThere(request: Request, node: number): boolean {
    if (this.nodes.has(node)) return true
    request.error('ESTALE')
    return false
  }

  /** What was put off takes effect. */
  protected settle(): void {
    // nothing is
  }

  /** Something was changed: what is open may stand on keys that are no more. */
  protected changed(): void {
    this.files.clear()
    this.duties.changed()
  }

  /** When all is written back that the kernel keeps where there seems to be a hole: looks again, and answers if nothing has changed by it. */
  private seekAgain(
    waiting: DeferredRequest,
    node: number,
    offset: number,
    whence: number,
    before: Sought,
    tries: number,
  ): void {
    const { duties } = this
    const { start, end } = before.doubt ?? { start: offset, end: offset }
    duties.writeBack?.(node, start, end, () => {
      try {
        this.settle()
        const sought = seek(this.fileAt(node), offset, whence)
        const isSure = sought.doubt === undefined || sought.found === before.found || tries === 0
        if (!isSure) this.seekAgain(waiting, node, offset, whence, sought, tries - 1)
        else if (sought.found < 0) duties.answer(waiting, (reply) => reply.error('ENXIO'))
        else duties.answer(waiting, (reply) => reply.offset(sought.found))
      } catch (error) {
        const code = errnoOf(error)
        duties.answer(waiting, (reply) => reply.error(code ?? 'EIO'))
        if (code === undefined) throw error
      }
    })
  }

  /** What a node stands for was read, and the caller has its answer. */
  private accessed(node: number, isDirectory: boolean): void {
    if (!this.nodes.has(node)) return
    if (this.accessTimes.note(node, this.fileOf(node), isDirectory)) this.duties.changed()
  }
}
