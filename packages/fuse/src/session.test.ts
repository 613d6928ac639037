import { describe, expect, test } from 'vitest'
import { DOORBELL_UNIQUE } from './doorbell.ts'
import { FuseError } from './errno.ts'
import type { Operations } from './operations.ts'
import { InitIn, InitOut, InterruptIn, NotifyRetrieveIn, Opcode } from './protocol.ts'
import type { DeferredRequest } from './reply.ts'
import { Reply } from './reply.ts'
import { newSessionMemory, Session, type SessionOptions } from './session.ts'
import { codedError, joined, MemoryTransport, nameOf, requestOf, serveAll } from './testing/memory-transport.ts'

const statfs = (unique = 2n): Uint8Array => requestOf(Opcode.statfs, { unique })
const lookup = (name: string, unique = 2n): Uint8Array => requestOf(Opcode.lookup, { unique }, nameOf(name))
const interruptOf = (unique: bigint): Uint8Array =>
  requestOf(Opcode.interrupt, { unique: unique + 1n }, InterruptIn.bytes({ unique }))
const init = (minor = 45, major = 7): Uint8Array => {
  const unused = Array.from({ length: 11 }, () => 0)
  return requestOf(Opcode.init, {}, InitIn.bytes({ major, minor, maxReadahead: 0, flags: 0, flags2: 0, unused }))
}

const answers: Operations = { statfs: (request) => request.ok() }
const errorsOf = (operations: Operations, coming: (Uint8Array | string)[], options?: SessionOptions): number[] =>
  serveAll(operations, coming, options).map(({ error }) => error)

describe('reading', () => {
  test('goes on where nothing was missed', () => {
    expect(errorsOf(answers, ['EINTR', statfs(), 'ENOENT', 'EAGAIN', statfs()])).toEqual([0, 0])
  })

  test.each(['ENODEV', 'ECONNABORTED'])('%s is the end', (code) => {
    expect(errorsOf(answers, [statfs(), code, statfs()])).toEqual([0])
  })

  test.each(['EPERM', 'EINVAL', 'EIO', 'EBADF'])('%s is an error', (code) => {
    expect(() => serveAll(answers, [statfs(), code])).toThrow(expect.objectContaining({ code }))
  })

  test('messages that are no requests are passed over', () => {
    const whole = statfs()
    const cut = (length: number): Uint8Array => whole.slice(0, length)
    const longer = joined(whole, new Uint8Array(1))
    const shorter = joined(whole)
    new DataView(shorter.buffer).setUint32(0, 41, true)
    const coming = [cut(0), cut(1), cut(39), longer, shorter, whole]
    expect(errorsOf(answers, coming)).toEqual([0])
  })
})

describe('what an operation throws', () => {
  const throwing = (error: unknown): Operations => ({
    statfs() {
      throw error
    },
  })

  test('FuseError is the answer', () => {
    expect(errorsOf(throwing(new FuseError('EACCES')), [statfs(), statfs()])).toEqual([-13, -13])
  })

  test('what errnoOf knows is the answer', () => {
    const errnoOf = (error: unknown): 'ENOSPC' | undefined => (error instanceof RangeError ? 'ENOSPC' : undefined)
    expect(errorsOf(throwing(new RangeError()), [statfs(), statfs()], { errnoOf })).toEqual([-28, -28])
  })

  test.each([new TypeError('bug'), codedError('ENOENT'), 'text', undefined])('%s: EIO, and the end', (error) => {
    const transport = new MemoryTransport([statfs(), statfs()])
    const session = new Session(transport, throwing(error), { errnoOf: () => undefined })
    let thrown: unknown = 'nothing'
    try {
      session.serve()
    } catch (failure) {
      thrown = failure
    }
    expect(thrown).toBe(error)
    expect(transport.written.map(({ error: code }) => code)).toEqual([-5])
    expect(session.requests.list()).toEqual([])
  })

  test('after the answer it is an error of the program', () => {
    const transport = new MemoryTransport([statfs(), statfs()])
    const operations: Operations = {
      statfs(request) {
        request.ok()
        throw new FuseError('EIO')
      },
    }
    expect(() => new Session(transport, operations).serve()).toThrow(FuseError)
    expect(transport.written).toHaveLength(1)
  })
})

describe('answers', () => {
  test('an operation that gives none: EIO, and the end', () => {
    const transport = new MemoryTransport([statfs(), statfs()])
    const session = new Session(transport, { statfs: () => undefined })
    expect(() => session.serve()).toThrow('the operation statfs has not answered its request')
    expect(transport.written.map(({ error }) => error)).toEqual([-5])
  })

  test('are given once', () => {
    const operations: Operations = {
      statfs(request) {
        request.ok()
        request.error('EIO')
      },
    }
    expect(() => serveAll(operations, [statfs()])).toThrow('answered already')
  })

  test.each(['ENOENT', 'ENODEV', 'ECONNABORTED'])('false where nobody waits for them: %s', (code) => {
    const transport = new MemoryTransport([statfs(), statfs()])
    transport.writeFailures.push(code)
    const sent: boolean[] = []
    new Session(transport, { statfs: (request) => sent.push(request.ok()) }).serve()
    expect(sent).toEqual([false, true])
    expect(transport.written).toHaveLength(1)
  })

  test('that the kernel refuses end the program', () => {
    const transport = new MemoryTransport([statfs()])
    transport.writeFailures.push('EINVAL')
    expect(() => new Session(transport, answers).serve()).toThrow('the kernel refuses the answer to operation 17')
    const other = new MemoryTransport([statfs()])
    other.writeFailures.push('ENOMEM')
    expect(() => new Session(other, answers).serve()).toThrow(expect.objectContaining({ code: 'ENOMEM' }))
  })
})

describe('INIT', () => {
  test('agrees, and tells so once the kernel has the answer', () => {
    const transport = new MemoryTransport([init(38), statfs()])
    const session: Session = new Session(transport, answers, {
      ready(connection) {
        expect(connection.minor).toBe(38)
        expect(session.connection).toBe(connection)
        expect(transport.written).toHaveLength(1)
      },
    })
    expect(session.connection).toBeUndefined()
    session.serve()
    expect(transport.written.map(({ length, error }) => [length, error])).toEqual([
      [80, 0],
      [16, 0],
    ])
    expect.assertions(5)
  })

  test('with a newer kernel at the second try', () => {
    const minors: number[] = []
    const written = serveAll({}, [init(3, 8), init(50)], { ready: ({ minor }) => minors.push(minor) })
    const majors = written.map(({ body }) => InitOut.readPadded(body).major)
    expect(majors).toEqual([7, 7])
    expect(minors).toEqual([45])
  })

  test('refuses what is too old', () => {
    const transport = new MemoryTransport([init(8), statfs()])
    const ready = (): never => {
      throw new Error('not ready')
    }
    const session = new Session(transport, {}, { ready })
    expect(() => session.serve()).toThrow(expect.objectContaining({ code: 'EPROTO' }))
    expect(transport.written.map(({ error }) => error)).toEqual([-71])
  })

  test('nothing is agreed on if the kernel is gone', () => {
    const transport = new MemoryTransport([init()])
    transport.writeFailures.push('ENODEV')
    const session = new Session(transport, {}, { ready: () => expect.unreachable() })
    session.serve()
    expect(session.connection).toBeUndefined()
  })

  test.each([1, 4096, 10_001, 1 << 20])('room for requests with %i bytes of data', (maxWriteBytes) => {
    let capacity = 0
    const transport = {
      read(buffer: Uint8Array): number {
        capacity = buffer.length
        throw codedError('ENODEV')
      },
      write: () => undefined,
    }
    new Session(transport, {}, { maxWriteBytes }).serve()
    // what the kernel wants: the headers of WRITE and the greatest data
    expect(capacity).toBeGreaterThanOrEqual(Math.max(8192, 80 + Math.ceil(maxWriteBytes / 4096) * 4096))
  })
})

describe('answers that come later', () => {
  /** Defers each LOOKUP; STATFS answers what was deferred, last first. */
  function deferring(): { operations: Operations; waiting: DeferredRequest[]; interrupts: number[][] } {
    const waiting: DeferredRequest[] = []
    const interrupts: number[][] = []
    const operations: Operations = {
      lookup: (request) => void waiting.push(request.defer()),
      interrupt: (hi, lo) => void interrupts.push([hi, lo]),
    }
    return { operations, waiting, interrupts }
  }

  test('are for the request that they belong to, in any order', () => {
    const { operations, waiting } = deferring()
    const transport = new MemoryTransport([lookup('a', 2n), lookup('b', 0x8000_0000_0000_0004n), lookup('c', 6n)])
    const session = new Session(transport, operations)
    session.serve()
    expect(transport.written).toEqual([])
    expect(session.requests.list().map(({ unique, deferred }) => [unique, deferred])).toEqual([
      ['2', true],
      ['9223372036854775812', true],
      ['6', true],
    ])
    const reply = new Reply(transport, session.requests, session.statistics)
    for (const request of [...waiting].reverse()) expect(reply.to(request).error('ENOENT')).toBe(true)
    expect(transport.written.map(({ unique }) => unique)).toEqual([6n, 0x8000_0000_0000_0004n, 2n])
    expect(session.requests.list()).toEqual([])
    expect(session.statistics.list()).toMatchObject([{ operation: 'lookup', count: 3, errors: 3 }])
  })

  test('are given once', () => {
    const { operations, waiting } = deferring()
    const transport = new MemoryTransport([lookup('a', 2n)])
    const session = new Session(transport, operations)
    session.serve()
    const reply = new Reply(transport, session.requests, session.statistics)
    const [request] = waiting
    if (request === undefined) return expect.unreachable()
    reply.to(request).ok()
    expect(() => reply.ok()).toThrow('answered already')
    expect(() => reply.to(request)).toThrow('answered already')
  })

  test('an interrupt reaches the request that it is about; others come again', () => {
    const { operations, waiting, interrupts } = deferring()
    const transport = new MemoryTransport([
      lookup('a', 0x8000_0001_ffff_fff2n),
      lookup('b', 4n),
      interruptOf(0x8000_0001_ffff_fff2n),
      interruptOf(6n),
      requestOf(Opcode.interrupt, { unique: 9n }, new Uint8Array(7)),
    ])
    const session = new Session(transport, operations)
    session.serve()
    expect(interrupts).toEqual([[0x8000_0001, 0xffff_fff2]])
    expect(transport.written).toMatchObject([{ length: 16, error: -11, unique: 7n }])
    const reply = new Reply(transport, session.requests, session.statistics)
    expect(waiting.map((request) => reply.isInterrupted(request))).toEqual([true, false])
    expect(waiting.map((request) => reply.waitForInterrupt(request, 1))).toEqual([true, false])
  })

  test('the interrupt of one request is not the next one that takes its row', () => {
    const { operations, waiting } = deferring()
    const first = new MemoryTransport([lookup('a', 2n), interruptOf(2n)])
    const session = new Session(first, operations)
    session.serve()
    const reply = new Reply(first, session.requests, session.statistics)
    waiting.forEach((request) => reply.to(request).error('EINTR'))
    const again = new Session(new MemoryTransport([lookup('b', 4n)]), operations, {
      memory: {
        requests: session.requests.memory,
        statistics: session.statistics.memory,
        doorbell: session.doorbell.memory,
      },
    })
    again.serve()
    expect(waiting[1]).toBeDefined()
    expect(waiting.slice(1).map((request) => reply.isInterrupted(request))).toEqual([false])
  })

  test('ENOMEM for more than there is room for', () => {
    const { operations, waiting } = deferring()
    const coming = Array.from({ length: 1030 }, (_, i) => lookup('a', BigInt(2 * i + 2)))
    const errors = errorsOf(operations, coming)
    expect(waiting).toHaveLength(1023)
    expect(errors).toEqual(Array.from({ length: 7 }, () => -12))
  })

  test('an operation that throws after it has deferred is an error of the program', () => {
    const operations: Operations = {
      lookup(request) {
        request.defer()
        throw new FuseError('EIO')
      },
    }
    expect(() => serveAll(operations, [lookup('a')])).toThrow(FuseError)
  })
})

describe('what comes unasked', () => {
  const retrieved = (unique: bigint, size: number, data: Uint8Array): Uint8Array =>
    requestOf(
      Opcode.notifyReply,
      { unique, node: 9n },
      NotifyRetrieveIn.bytes({ unused: 0n, offset: 0x1_0000_1000n, size, padding: undefined }),
      data,
    )

  test('data that was asked for; never answered', () => {
    const found: unknown[] = []
    const operations: Operations = {
      retrieved: (unique, node, offset, data) => found.push([unique, node, offset, [...data]]),
    }
    const data = Uint8Array.of(1, 2, 3)
    const coming = [
      retrieved(0x1_0000_0001n, 3, data),
      retrieved(2n, 2, data), // less than there is
      retrieved(3n, 100, data), // more than there is
      retrieved(4n, 0, new Uint8Array(0)),
      requestOf(Opcode.notifyReply, { unique: 5n }, new Uint8Array(39)),
      retrieved(BigInt(DOORBELL_UNIQUE), 0, new Uint8Array(0)),
    ]
    expect(serveAll(operations, coming)).toEqual([])
    expect(found).toEqual([
      [0x1_0000_0001, 9, 0x1_0000_1000, [1, 2, 3]],
      [2, 9, 0x1_0000_1000, [1, 2]],
      [3, 9, 0x1_0000_1000, [1, 2, 3]],
      [4, 9, 0x1_0000_1000, []],
    ])
    expect(serveAll({}, coming)).toEqual([])
  })

  test('the doorbell, once for any number of rings', () => {
    let rings = 0
    const memory = newSessionMemory()
    const transport = new MemoryTransport([statfs(), statfs(), statfs()])
    const session: Session = new Session(
      transport,
      {
        statfs(request) {
          request.ok()
          if (transport.written.length !== 2) return
          expect(session.doorbell.ring(-1)).toBe(false) // no file is known
          expect(session.doorbell.ring(-1)).toBe(false)
        },
        doorbell: () => void rings++,
      },
      { memory },
    )
    session.serve()
    expect(rings).toBe(1)
  })
})

describe('several sessions on one mount', () => {
  test('the others know what the first has agreed on', () => {
    const memory = newSessionMemory(2)
    const first = new Session(new MemoryTransport([init()]), answers, { memory })
    first.serve()
    const agreed = structuredClone(first.connection)
    if (agreed === undefined) return expect.unreachable()
    const second = new Session(new MemoryTransport([]), answers, { memory, seat: 1, agreed })
    expect(second.connection).toEqual(first.connection)
  })

  test('when one fails, the next request of another gets EIO, and that ends too', () => {
    const memory = newSessionMemory(2)
    const failing = (): void => {
      const operations: Operations = {
        statfs() {
          throw new TypeError('bug')
        },
      }
      expect(() => new Session(new MemoryTransport([statfs()]), operations, { memory }).serve()).toThrow('bug')
    }
    const transport = new MemoryTransport([statfs(2n), lookup('a', 4n), statfs(6n)])
    let isFirst = true
    const between = (): void => {
      if (!isFirst && !second.doorbell.isDismissed) failing() // while this one waits
      isFirst = false
    }
    const second: Session = new Session(transport, answers, { memory, seat: 1, between })
    second.serve()
    expect(transport.written.map(({ unique, error }) => [unique, error])).toEqual([
      [2n, 0],
      [4n, -5],
    ])
    expect([second.doorbell.serving, second.requests.list()]).toEqual([0, []])
    second.serve() // nobody begins any more
    expect(transport.written).toHaveLength(2)
  })

  test.each([
    ['FORGET', requestOf(Opcode.forget, {}, new Uint8Array(8))],
    ['INTERRUPT', interruptOf(2n)],
    ['a reply', requestOf(Opcode.notifyReply, { unique: BigInt(DOORBELL_UNIQUE) }, new Uint8Array(40))],
  ])('%s, which has no answer, gets none when all are to end', (_, message) => {
    const transport = new MemoryTransport([message, statfs()])
    const forget = (): never => expect.unreachable()
    const between = (): void => session.doorbell.dismiss() // while it waits
    const session: Session = new Session(transport, { ...answers, forget, interrupt: forget }, { between })
    session.serve()
    expect(transport.written).toEqual([])
  })

  test('a seat that there is no memory for', () => {
    const memory = newSessionMemory(2)
    expect(() => new Session(new MemoryTransport([]), answers, { memory, seat: 2 })).toThrow(RangeError)
  })
})

test('another thread sees what a session does by the memory it made', () => {
  const memory = newSessionMemory()
  const session = new Session(new MemoryTransport([statfs()]), answers, { memory })
  session.serve()
  expect(session.channel).toEqual({ fd: -1, requests: memory.requests, statistics: memory.statistics })
  expect(session.statistics.list()).toMatchObject([{ operation: 'statfs', count: 1, errors: 0 }])
})
