/** Whatever comes as a request: it is answered once at most, in a message that the kernel takes, and the loop goes on. */

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Entry, Attributes } from './attributes.ts'
import { FuseError } from './errno.ts'
import type { Operations } from './operations.ts'
import { InHeader, Opcode } from './protocol.ts'
import type { Request } from './request.ts'
import { Session } from './session.ts'
import { joined, MemoryTransport, nameOf, requestOf } from './testing/memory-transport.ts'

const BYTES_MAX = 8192
const NEVER_ANSWERED = new Set<number>([Opcode.forget, Opcode.batchForget, Opcode.notifyReply])

/** A filesystem that answers anything, and uses all that it is given. */
function anything(): Operations {
  const entry = new Entry()
  const attributes = new Attributes()
  const bytesOf = (name: Uint8Array): number => name.reduce((sum, byte) => sum + byte, 0)
  const names = (request: Request, size: number): void => {
    request.beginNames(size)
    while (request.addEntry(Uint8Array.of(1, 2, 3), entry, 0, 1));
    request.sendNames()
  }
  const made = (request: Request, name: Uint8Array, what: number): void => {
    entry.node = bytesOf(name) + what
    request.entry(entry)
  }
  return {
    lookup(request, parent, name) {
      entry.node = bytesOf(name) + parent
      if (entry.node % 2 === 0) throw new FuseError('ENOENT')
      request.entry(entry)
    },
    forget: () => undefined,
    getattr: (request) => void request.attributes(attributes, 1),
    statx: (request) => void request.statx(attributes, 1),
    setattr: (request, _, changes) => void request.attributes(attributes, changes.has('size') ? 1 : 2),
    readlink: (request) => void request.copy(new Uint8Array(10)),
    mknod: (request, _, name, mode) => made(request, name, mode),
    mkdir: (request, _, name, mode) => made(request, name, mode),
    symlink: (request, _, name, target) => made(request, name, bytesOf(target)),
    link: (request, node, _, name) => made(request, name, node),
    unlink: (request, _, name) => void (bytesOf(name) % 2 === 0 ? request.ok() : request.error('EISDIR')),
    rmdir: (request, _, name) => void (bytesOf(name) % 2 === 0 ? request.ok() : request.error('ENOTDIR')),
    rename: (request, _, name, __, newName) =>
      void (bytesOf(name) > bytesOf(newName) ? request.ok() : request.error('EXDEV')),
    create(request, _, name) {
      entry.node = bytesOf(name)
      request.created(entry, 1, 2)
    },
    tmpfile: (request) => void request.created(entry, 1, 2),
    open: (request, _, flags) => void request.opened(flags, 0),
    read(request, _, __, ___, size) {
      request.data(size)
      request.sendData(size)
    },
    write(request, _, __, ___, data) {
      bytesOf(data)
      request.written(data.length)
    },
    fallocate: (request) => void request.ok(),
    copyFileRange: (request, _, __, ___, ____, _____, ______, length) => void request.copied(length),
    fsync: (request) => void request.ok(),
    release: (request) => void request.ok(),
    readdir: (request, _, __, ___, ____, size) => names(request, size),
    readdirplus: (request, _, __, ___, ____, size) => names(request, size),
    getxattr: (request, _, name, size) => void request.xattr(name, size),
    setxattr: (request, _, name, value) =>
      void (bytesOf(name) > bytesOf(value) ? request.ok() : request.error('E2BIG')),
    removexattr: (request, _, name) => void (bytesOf(name) > 99 ? request.ok() : request.error('ENODATA')),
    listxattr: (request, _, size) => void request.xattr(new Uint8Array(70_000), size),
    lseek: (request, _, __, offset) => void request.offset(Math.abs(offset)),
    interrupt: () => undefined,
    retrieved: (_, __, ___, data) => void bytesOf(data),
  }
}

/** Serves the messages one by one, so that each answer is known to be that one's. */
function check(messages: readonly Uint8Array[]): void {
  const operations = anything()
  for (const message of messages) {
    const transport = new MemoryTransport([message])
    const session = new Session(transport, operations, { maxWriteBytes: 4096 })
    try {
      session.serve()
    } catch (error) {
      // a kernel that speaks another protocol ends the session
      const isRefusal = error instanceof FuseError && error.code === 'EPROTO' && opcodeOf(message) === Opcode.init
      if (!isRefusal) throw error
    }
    const { written } = transport
    const isRequest = message.length >= InHeader.size && view(message).getUint32(0, true) === message.length
    const opcode = isRequest ? opcodeOf(message) : -1
    const answers = !isRequest || NEVER_ANSWERED.has(opcode) ? 0 : opcode === Opcode.interrupt ? written.length : 1
    if (written.length !== answers || written.length > 1) expect(written).toHaveLength(answers)
    for (const { length, error, unique, body } of written) {
      const isWell =
        length === 16 + body.length &&
        error <= 0 &&
        error > -1000 &&
        (error === 0 || body.length === 0) &&
        unique === view(message).getBigUint64(InHeader.offsets.unique, true)
      if (!isWell) expect({ length, error, unique }).toEqual('a reply that the kernel takes')
    }
    if (session.requests.list().length > 0) expect(session.requests.list()).toEqual([])
  }
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
const opcodeOf = (message: Uint8Array): number => view(message).getUint32(4, true)

/** Puts the message's real length into its header. */
function withLength(message: Uint8Array): Uint8Array {
  if (message.length >= 4) view(message).setUint32(0, message.length, true)
  return message
}

const opcode = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...Object.values(Opcode)) },
  { weight: 1, arbitrary: fc.nat(100) },
  { weight: 1, arbitrary: fc.nat(0xffff_ffff) },
)
const word = fc.oneof(fc.nat(64), fc.constantFrom(0xffff_ffff, 0x8000_0000, 4096, 4097), fc.nat(0xffff_ffff))
const body = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc.array(word, { maxLength: 40 }).map((words) => new Uint8Array(Uint32Array.from(words).buffer)),
  fc.tuple(fc.array(word, { maxLength: 4 }), fc.string({ unit: 'binary', maxLength: 300 })).map(([words, name]) => {
    return joined(new Uint8Array(Uint32Array.from(words).buffer), nameOf(name))
  }),
)
const request = fc
  .tuple(opcode, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), body)
  .map(([number, unique, node, bytes]) => requestOf(number, { unique, node }, bytes))

const mutated = fc
  .tuple(request, fc.array(fc.tuple(fc.nat(BYTES_MAX), fc.nat(255)), { maxLength: 4 }), fc.nat(80), fc.boolean())
  .map(([whole, changes, cut, fix]) => {
    const message = whole.slice(0, Math.max(0, whole.length - (cut > 40 ? 0 : cut)))
    for (const [at, byte] of changes) if (message.length > 0) message[at % message.length] = byte
    return fix ? withLength(message) : message
  })

test('random bytes', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 20 }), (messages) => {
      check(messages)
      check(messages.map((message) => withLength(message.slice())))
    }),
    { numRuns: 50 },
  )
})

test('requests with something wrong', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(request, mutated), { maxLength: 20 }), (messages) => check(messages)),
    { numRuns: 200 },
  )
})

test('one session for all of them', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(request, mutated), { maxLength: 300 }), (messages) => {
      const others = messages.filter((message) => message.length < InHeader.size || opcodeOf(message) !== Opcode.init)
      const transport = new MemoryTransport(others)
      const session = new Session(transport, anything(), { maxWriteBytes: 4096 })
      session.serve()
      expect(transport.written.length).toBeLessThanOrEqual(others.length)
      expect(session.requests.list()).toEqual([])
    }),
    { numRuns: 50 },
  )
})
