/**
 * A session: serves the requests of one mount, one after another, in the thread that calls `serve`. The loop is synchronous: it reads a
 * request, calls the operation, which answers, and reads the next. It ends when the filesystem is unmounted.
 *
 *     const fd = mountFuse('/mnt/hello', { source: 'hello', subtype: 'hello', options: ['ro'] })
 *     new Session(fd, operations).serve()
 *
 * Several threads serve one mount by a session each, with memory in common; the kernel hands each request to one of them, whichever waits.
 * INIT comes first and alone: the others begin when the first is `ready`. If one of them fails, all end.
 *
 * No request is left without an answer: what an operation throws becomes one, and an operation that does not answer at all is an
 * error of the program. Such errors end the loop, after the request has been answered with EIO: the caller sees to the mount.
 */

import { availableParallelism } from 'node:os'
import { loadNative } from '@cowherd/shim'
import { maxWriteBytesOf, negotiate, type Connection, type ConnectionOptions } from './connection.ts'
import { DOORBELL_UNIQUE, Doorbell } from './doorbell.ts'
import { EagerWait } from './eager-wait.ts'
import { codeOf, FuseError, type ErrnoName } from './errno.ts'
import { Notifier } from './notifier.ts'
import { callForget, callOperation, firstRules, type RequestRules } from './dispatch.ts'
import type { Operations } from './operations.ts'
import { NotifyRetrieveIn, Opcode, SetxattrIn, opcodeName } from './protocol.ts'
import type { Channel } from './reply.ts'
import { RequestTable } from './request-table.ts'
import { Request } from './request.ts'
import { Statistics } from './statistics.ts'
import { deviceTransport, type Transport } from './transport.ts'

export interface SessionOptions extends ConnectionOptions {
  /** The errno for an error that an operation threw; undefined for one that it should not have thrown. */
  readonly errnoOf?: (error: unknown) => ErrnoName | undefined
  /** Called once, when kernel and filesystem have agreed: from here on the mount answers. */
  readonly ready?: (connection: Connection) => void
  /** Called before each request that is waited for. Must be quick. */
  readonly between?: () => void
  /** Memory that another thread looks into: made by whoever wants to see it. */
  readonly memory?: SessionMemory
  /** Of several sessions on one mount the number of this one, from 0. `memory` has been made for so many. */
  readonly seat?: number
  /** What the session that took INIT has agreed on, for the others. */
  readonly agreed?: Connection
}

/** What a session keeps in shared memory. */
export interface SessionMemory {
  readonly requests: SharedArrayBuffer
  readonly statistics: SharedArrayBuffer
  readonly doorbell: SharedArrayBuffer
}

/** New memory for the sessions of a mount, for a thread that starts the serving ones. */
export function newSessionMemory(sessions = 1): SessionMemory {
  return {
    requests: new RequestTable().memory,
    statistics: Statistics.memoryFor(sessions),
    doorbell: Doorbell.memoryFor(sessions),
  }
}

/** Room for the headers before the data of a WRITE, as libfuse has it. */
const HEADERS_BYTES = 4096

export class Session {
  readonly requests: RequestTable
  readonly statistics: Statistics
  readonly doorbell: Doorbell
  readonly notifier: Notifier
  private readonly fd: number
  private readonly transport: Transport
  private readonly operations: Operations
  private readonly options: SessionOptions
  private readonly rules: RequestRules
  private agreed: Connection | undefined

  /** `device`: the descriptor of a mounted /dev/fuse, or another way to the kernel. */
  constructor(device: number | Transport, operations: Operations, options: SessionOptions = {}) {
    const { memory = newSessionMemory(), seat = 0 } = options
    this.fd = typeof device === 'number' ? device : -1
    this.doorbell = new Doorbell(memory.doorbell, seat)
    this.transport = typeof device === 'number' ? deviceTransport(device, this.eagerWait(device)) : device
    this.operations = operations
    this.options = options
    this.rules = firstRules(maxWriteBytesOf(options))
    this.requests = new RequestTable(memory.requests)
    this.statistics = new Statistics(memory.statistics, seat)
    if (options.agreed !== undefined) this.agree(options.agreed)
    this.notifier = new Notifier(this.transport)
  }

  /** What was agreed on with the kernel; undefined before that. */
  get connection(): Connection | undefined {
    return this.agreed
  }

  /** For threads that answer deferred requests: `Reply.over(channel)`. */
  get channel(): Channel {
    return { fd: this.fd, requests: this.requests.memory, statistics: this.statistics.memory }
  }

  /**
   * Serves until the filesystem is unmounted, or the doorbell sends all home. Throws what an operation threw without `errnoOf` knowing it,
   * and errors of reading and writing; FuseError (EPROTO) if the kernel speaks another protocol. Then the other sessions of the mount
   * are to end too: the doorbell dismisses them, and whoever sees to the mount rings until they have gone.
   */
  serve(): void {
    const { doorbell } = this
    const { between } = this.options
    const request = new Request(this.transport, this.requests, this.statistics, this.rules.ioBytesMax + HEADERS_BYTES)
    doorbell.enter()
    try {
      while (!doorbell.isDismissed) {
        between?.()
        const outcome = this.readNext(request)
        if (outcome === 'gone') return
        if (doorbell.isDismissed) {
          if (outcome === 'request') this.refuse(request)
          return
        }
        if (outcome === 'request') this.handle(request)
        if (doorbell.answer()) this.operations.doorbell?.()
      }
    } catch (error) {
      doorbell.dismiss()
      throw error
    } finally {
      doorbell.leave()
      request.close()
    }
  }

  /** Of several threads the kernel would wake one while another looks; and a single processor has better things to do. */
  private eagerWait(fd: number): EagerWait | undefined {
    if (this.doorbell.seats > 1 || availableParallelism() < 2) return undefined
    const native = loadNative()
    return native && new EagerWait(() => native.isReadable(fd))
  }

  private readNext(request: Request): 'request' | 'nothing' | 'gone' {
    try {
      return request.read() ? 'request' : 'nothing'
    } catch (error) {
      switch (codeOf(error)) {
        case 'ENODEV': // unmounted
        case 'ECONNABORTED': // aborted
          return 'gone'
        case 'EINTR':
        case 'ENOENT': // interrupted before we had it
        case 'EAGAIN':
          return 'nothing'
        default:
          throw error
      }
    }
  }

  private handle(request: Request): void {
    switch (request.opcode) {
      case Opcode.forget:
      case Opcode.batchForget:
        this.operations.before?.(request.opcode)
        callForget(this.operations, request)
        request.dismiss()
        return
      case Opcode.interrupt:
        this.interrupt(request)
        return
      case Opcode.notifyReply:
        this.retrieved(request)
        request.dismiss()
        return
      case Opcode.init:
        this.init(request)
        return
    }
    try {
      this.operations.before?.(request.opcode)
      if (!callOperation(this.operations, request, this.rules)) request.error('ENOSYS')
    } catch (error) {
      if (!request.isUnanswered) throw error
      const code = error instanceof FuseError ? error.code : this.options.errnoOf?.(error)
      request.error(code ?? 'EIO')
      if (code === undefined) throw error
      return
    }
    if (!request.isUnanswered) return
    request.error('EIO')
    throw new Error(`the operation ${opcodeName(request.opcode)} has not answered its request`)
  }

  /** Answers a request that came when all were to go home. */
  private refuse(request: Request): void {
    switch (request.opcode) {
      case Opcode.notifyReply:
        this.retrieved(request)
        break
      case Opcode.forget:
      case Opcode.batchForget:
      case Opcode.interrupt:
        break
      default:
        request.error('EIO')
        return
    }
    request.dismiss()
  }

  private init(request: Request): void {
    const negotiation = negotiate(request.bytesFrom(0, request.bodyBytes), this.options)
    if (negotiation.kind === 'refused') {
      request.error('EPROTO')
      throw new FuseError('EPROTO', negotiation.why)
    }
    if (!request.copy(negotiation.reply) || negotiation.kind === 'again') return
    this.agree(negotiation.connection)
    this.options.ready?.(negotiation.connection)
  }

  private agree(connection: Connection): void {
    this.agreed = connection
    if (connection.features.has('setxattrExt')) this.rules.setxattrInBytes = SetxattrIn.size
  }

  /** An INTERRUPT whose request is not known any more needs nothing; one whose request isn't known yet comes again. */
  private interrupt(request: Request): void {
    if (request.bodyBytes < 8) {
      request.dismiss()
      return
    }
    const hi = request.u32(4)
    const lo = request.u32(0)
    if (!this.requests.interrupt(hi, lo)) {
      request.error('EAGAIN')
      return
    }
    request.dismiss()
    this.operations.interrupt?.(hi, lo)
  }

  private retrieved(request: Request): void {
    const unique = request.uniqueHi * 0x100000000 + request.uniqueLo
    if (unique === DOORBELL_UNIQUE) this.doorbell.heard()
    if (request.bodyBytes < NotifyRetrieveIn.size || unique === DOORBELL_UNIQUE) return
    const offset = request.u64(NotifyRetrieveIn.offsets.offset)
    const size = request.u32(NotifyRetrieveIn.offsets.size)
    this.operations.retrieved?.(unique, request.node, offset, request.bytesFrom(NotifyRetrieveIn.size, size))
  }
}
