import { describe, expect, test } from 'vitest'
import { AttributeChanges } from './attribute-changes.ts'
import type { Operations } from './operations.ts'
import {
  AccessIn,
  BatchForgetIn,
  CopyFileRangeIn,
  CreateIn,
  FallocateIn,
  FlushIn,
  ForgetIn,
  ForgetOne,
  FsyncIn,
  GetattrIn,
  GetxattrIn,
  InHeader,
  InitIn,
  LinkIn,
  LseekIn,
  MkdirIn,
  MknodIn,
  Opcode,
  OpenIn,
  ReadIn,
  ReleaseIn,
  Rename2In,
  RenameIn,
  SetattrFlag,
  SetattrIn,
  SetxattrIn,
  StatxIn,
  SyncfsIn,
  WriteIn,
  opcodeName,
} from './protocol.ts'
import type { Request } from './request.ts'
import { joined, nameOf, requestOf, serveAll } from './testing/memory-transport.ts'

const padding = undefined
const ENOSYS = -38
const EINVAL = -22

/** Numbers that need more than 32 bits, up to what fits a number. */
const NODE = 0x1f_ffff_ffff_fff1
const HANDLE = 0x10_0000_0000_0007
const OFFSET = 0xf_1234_5678_9abc

const handle = BigInt(HANDLE)
const read = ReadIn.bytes({
  handle,
  offset: BigInt(OFFSET),
  size: 0x1000,
  readFlags: 2,
  lockOwner: 0xffff_ffff_ffff_ffffn,
  flags: 0x8000,
  padding,
})

const bytesOf = (text: string): number[] => [...Buffer.from(text)]

const setattr = {
  valid: SetattrFlag.mode | SetattrFlag.mtime,
  padding,
  handle,
  size: BigInt(OFFSET),
  lockOwner: 0xffff_ffff_ffff_ffffn,
  atime: -1n,
  mtime: -(2n ** 40n),
  ctime: 2n ** 40n + 1n,
  atimeNanoseconds: 1,
  mtimeNanoseconds: 999_999_999,
  ctimeNanoseconds: 3,
  mode: 0o104755,
  padding2: padding,
  uid: 0xffff_fffe,
  gid: 1000,
  padding3: padding,
}
const changes = Object.assign(new AttributeChanges(), {
  ...{ valid: 33, handle: HANDLE, size: OFFSET, mode: 0o104755, uid: 0xffff_fffe, gid: 1000 },
  ...{ atimeSeconds: -1, atimeNanoseconds: 1, mtimeSeconds: -(2 ** 40), mtimeNanoseconds: 999_999_999 },
  ...{ ctimeSeconds: 2 ** 40 + 1, ctimeNanoseconds: 3 },
})

const create = CreateIn.bytes({ flags: 0x80c1, mode: 0o100644, umask: 0o22, openFlags: 1 })
const write = (size: number): Uint8Array =>
  WriteIn.bytes({ handle, offset: BigInt(OFFSET), size, writeFlags: 5, lockOwner: 0n, flags: 0x8001, padding })
const copy = (flags = 0n): Uint8Array =>
  CopyFileRangeIn.bytes({
    ...{ handle, offset: 1n, toNode: BigInt(NODE), toHandle: 3n, toOffset: BigInt(OFFSET), length: 2n ** 40n, flags },
  })
const copied = [HANDLE, 1, NODE, 3, OFFSET, 2 ** 40]

interface Case {
  readonly operation: keyof Operations
  /** If it isn't named as the operation is. */
  readonly opcode?: keyof typeof Opcode
  readonly body: readonly Uint8Array[]
  /** What the operation is called with, behind the request and the node. */
  readonly arguments: readonly unknown[]
}

/** One for each operation that is answered. */
const cases: readonly Case[] = [
  { operation: 'lookup', body: [nameOf('name')], arguments: [[...Buffer.from('name')]] },
  { operation: 'getattr', body: [GetattrIn.bytes({ flags: 1, padding, handle })], arguments: [] },
  {
    operation: 'statx',
    body: [StatxIn.bytes({ getattrFlags: 0, padding, handle, flags: 0, mask: 0xfff })],
    arguments: [],
  },
  { operation: 'setattr', body: [SetattrIn.bytes(setattr)], arguments: [changes] },
  { operation: 'readlink', body: [], arguments: [] },
  {
    operation: 'mknod',
    // device 4095:1048575, the greatest there is
    body: [MknodIn.bytes({ mode: 0o60600, rdev: 0xffff_ffff, umask: 0o77, padding }), nameOf('node')],
    arguments: [bytesOf('node'), 0o60600, 0xfff, 0xf_ffff, 0o77],
  },
  {
    operation: 'mkdir',
    body: [MkdirIn.bytes({ mode: 0o1755, umask: 0o22 }), nameOf('folder')],
    arguments: [bytesOf('folder'), 0o1755, 0o22],
  },
  {
    operation: 'symlink',
    body: [nameOf('link'), nameOf('../target')],
    arguments: [bytesOf('link'), bytesOf('../target')],
  },
  {
    operation: 'link',
    body: [LinkIn.bytes({ node: handle }), nameOf('second')],
    arguments: [HANDLE, bytesOf('second')],
  },
  { operation: 'unlink', body: [nameOf('name')], arguments: [bytesOf('name')] },
  { operation: 'rmdir', body: [nameOf('name')], arguments: [bytesOf('name')] },
  {
    operation: 'rename',
    body: [RenameIn.bytes({ newDirectory: handle }), nameOf('old'), nameOf('newer')],
    arguments: [bytesOf('old'), HANDLE, bytesOf('newer'), 0],
  },
  {
    operation: 'rename',
    opcode: 'rename2',
    body: [Rename2In.bytes({ newDirectory: handle, flags: 2, padding }), nameOf('old'), nameOf('newer')],
    arguments: [bytesOf('old'), HANDLE, bytesOf('newer'), 2],
  },
  { operation: 'create', body: [create, nameOf('file')], arguments: [bytesOf('file'), 0x80c1, 0o100644, 0o22] },
  { operation: 'tmpfile', body: [create], arguments: [0x80c1, 0o100644, 0o22] },
  { operation: 'open', body: [OpenIn.bytes({ flags: 0x88000, openFlags: 0 })], arguments: [0x88000] },
  { operation: 'read', body: [read], arguments: [HANDLE, OFFSET, 0x1000, 0x8000] },
  { operation: 'write', body: [write(4), nameOf('abc')], arguments: [HANDLE, OFFSET, [...bytesOf('abc'), 0], 5] },
  { operation: 'flush', body: [FlushIn.bytes({ handle, unused: padding, lockOwner: 1n })], arguments: [HANDLE] },
  {
    operation: 'release',
    body: [ReleaseIn.bytes({ handle, flags: 0x8000, releaseFlags: 1, lockOwner: 1n })],
    arguments: [HANDLE, 0x8000],
  },
  { operation: 'fsync', body: [FsyncIn.bytes({ handle, flags: 1, padding })], arguments: [HANDLE, true] },
  {
    operation: 'fallocate',
    body: [FallocateIn.bytes({ handle, offset: BigInt(OFFSET), length: 2n ** 40n, mode: 3, padding })],
    arguments: [HANDLE, OFFSET, 2 ** 40, 3],
  },
  { operation: 'copyFileRange', body: [copy()], arguments: copied },
  { operation: 'copyFileRange', opcode: 'copyFileRange64', body: [copy()], arguments: copied },
  { operation: 'opendir', body: [OpenIn.bytes({ flags: 0x10000, openFlags: 0 })], arguments: [0x10000] },
  { operation: 'readdir', body: [read], arguments: [HANDLE, 0xf_1234, 0x5678_9abc, 0x1000] },
  { operation: 'readdirplus', body: [read], arguments: [HANDLE, 0xf_1234, 0x5678_9abc, 0x1000] },
  {
    operation: 'releasedir',
    body: [ReleaseIn.bytes({ handle, flags: 0, releaseFlags: 0, lockOwner: 0n })],
    arguments: [HANDLE],
  },
  { operation: 'fsyncdir', body: [FsyncIn.bytes({ handle, flags: 0, padding })], arguments: [HANDLE, false] },
  { operation: 'syncfs', body: [SyncfsIn.bytes({ padding })], arguments: [] },
  {
    operation: 'setxattr',
    body: [
      SetxattrIn.bytes({ size: 5, flags: 1, setxattrFlags: 0, padding }).subarray(0, 8),
      nameOf('user.a'),
      nameOf('abcd'),
    ],
    arguments: [bytesOf('user.a'), [...bytesOf('abcd'), 0], 1, false],
  },
  { operation: 'removexattr', body: [nameOf('user.a')], arguments: [bytesOf('user.a')] },
  { operation: 'statfs', body: [], arguments: [] },
  {
    operation: 'getxattr',
    body: [GetxattrIn.bytes({ size: 256, padding }), nameOf('user.a')],
    arguments: [[...Buffer.from('user.a')], 256],
  },
  { operation: 'listxattr', body: [GetxattrIn.bytes({ size: 65536, padding })], arguments: [65536] },
  { operation: 'access', body: [AccessIn.bytes({ mask: 5, padding })], arguments: [5] },
  {
    operation: 'lseek',
    body: [LseekIn.bytes({ handle, offset: BigInt(OFFSET), whence: 3, padding })],
    arguments: [HANDLE, OFFSET, 3],
  },
  { operation: 'destroy', body: [], arguments: [] },
]

interface Call {
  readonly caller: readonly number[]
  readonly arguments: readonly unknown[]
}

/** What is used again for the next request, as it is now. */
function keep(value: unknown): unknown {
  return value instanceof AttributeChanges ? Object.assign(new AttributeChanges(), value) : value
}

/** Operations that note what they are called with, and answer. */
function recording(names: readonly string[], calls: Call[]): Operations {
  const record = (request: Request, ...values: unknown[]): void => {
    const { node, uid, gid, pid, uniqueHi, uniqueLo } = request
    const kept = values.map((value) => (value instanceof Uint8Array ? [...value] : keep(value)))
    calls.push({ caller: [node, uid, gid, pid, uniqueHi, uniqueLo], arguments: kept })
    request.ok()
  }
  return Object.fromEntries(names.map((name) => [name, record]))
}

function opcodeOf({ operation, opcode }: Case): number {
  return Opcode[opcode ?? (operation as keyof typeof Opcode)]
}

describe.each(cases)('$operation $opcode', (each) => {
  const { operation, body, arguments: expected } = each
  const opcode = opcodeOf(each)
  const caller = { node: BigInt(NODE), uid: 0xffff_ffff, gid: 0x8000_0001, pid: 7, unique: 0x8000_0001_ffff_fff2n }

  test('is called with what the request says', () => {
    const calls: Call[] = []
    const replies = serveAll(recording([operation], calls), [requestOf(opcode, caller, ...body)])
    const [first, ...others] = expected
    const withNode =
      operation === 'destroy' ? [] : operation === 'link' ? [first, NODE, ...others] : [NODE, ...expected]
    expect(calls).toEqual([
      { caller: [NODE, 0xffff_ffff, 0x8000_0001, 7, 0x8000_0001, 0xffff_fff2], arguments: withNode },
    ])
    expect(replies).toEqual([{ length: 16, error: 0, unique: caller.unique, body: new Uint8Array(0) }])
  })

  test('ENOSYS where the filesystem leaves it out', () => {
    const replies = serveAll({}, [requestOf(opcode, caller, ...body)])
    expect(replies).toEqual([{ length: 16, error: ENOSYS, unique: caller.unique, body: new Uint8Array(0) }])
  })
})

const withBody = cases.filter(({ body }) => body.length > 0)
test.each(withBody)('$operation $opcode: EINVAL for each body that is too short', (each) => {
  const { operation, body } = each
  const calls: Call[] = []
  const whole = requestOf(opcodeOf(each), {}, ...body)
  const short = Array.from({ length: whole.length - InHeader.size }, (_, i) => {
    const cut = whole.slice(0, InHeader.size + i)
    new DataView(cut.buffer).setUint32(0, cut.length, true)
    return cut
  })
  const replies = serveAll(recording([operation], calls), short)
  expect(replies.map((reply) => [reply.length, reply.error])).toEqual(short.map(() => [16, EINVAL]))
  expect(calls).toEqual([])
})

test('each operation that is answered has its case', () => {
  const answered: Record<keyof Operations, boolean> = {
    before: false,
    lookup: true,
    forget: false,
    getattr: true,
    statx: true,
    setattr: true,
    readlink: true,
    mknod: true,
    mkdir: true,
    symlink: true,
    link: true,
    unlink: true,
    rmdir: true,
    rename: true,
    create: true,
    tmpfile: true,
    open: true,
    read: true,
    write: true,
    flush: true,
    release: true,
    fsync: true,
    fallocate: true,
    copyFileRange: true,
    opendir: true,
    readdir: true,
    readdirplus: true,
    releasedir: true,
    fsyncdir: true,
    statfs: true,
    syncfs: true,
    getxattr: true,
    listxattr: true,
    setxattr: true,
    removexattr: true,
    access: true,
    lseek: true,
    interrupt: false,
    retrieved: false,
    doorbell: false,
    destroy: true,
  }
  const expected = Object.entries(answered).flatMap(([name, isAnswered]) => (isAnswered ? [name] : []))
  expect([...new Set(cases.map(({ operation }) => operation))].sort()).toEqual(expected.sort())
})

test('operations that are not served, and unknown ones: ENOSYS', () => {
  const own = new Set<number>([
    Opcode.init,
    Opcode.interrupt,
    Opcode.forget,
    Opcode.batchForget,
    Opcode.notifyReply,
    ...cases.map(opcodeOf),
  ])
  const others = [...Object.values(Opcode), 0, 7, 19, 54, 63, 64, 99, 4096, 26 * 2 ** 24, 0xffff_ffff]
  const opcodes = others.filter((opcode) => !own.has(opcode))
  const calls: Call[] = []
  const operations = recording(
    cases.map(({ operation }) => operation),
    calls,
  )
  const replies = serveAll(
    operations,
    opcodes.map((opcode) => requestOf(opcode, {}, new Uint8Array(100))),
  )
  expect(replies.map(({ length, error }) => [length, error])).toEqual(opcodes.map(() => [16, ENOSYS]))
  expect(calls).toEqual([])
  expect([opcodeName(99), opcodeName(1), opcodeName(53)]).toEqual(['operation 99', 'lookup', 'copyFileRange64'])
})

describe('names', () => {
  const lookup = (...body: Uint8Array[]): unknown => {
    const calls: Call[] = []
    const [reply] = serveAll(recording(['lookup', 'getxattr'], calls), [requestOf(Opcode.lookup, {}, ...body)])
    return calls.length === 0 ? reply?.error : calls[0]?.arguments[1]
  }

  test('are bytes, whatever they are', () => {
    const odd = Uint8Array.from({ length: 255 }, (_, i) => i + 1)
    expect(lookup(odd, Uint8Array.of(0))).toEqual([...odd])
    const invalid = [0xff, 0xfe, 0xc3, 0x28, 0x0a, 0x2f]
    expect(lookup(Uint8Array.of(...invalid, 0))).toEqual(invalid)
    expect(lookup(new Uint8Array(4095).fill(0x61), Uint8Array.of(0))).toHaveLength(4095)
  })

  test('end at their NUL, whatever lies behind it', () => {
    expect(lookup(Uint8Array.of(0x61, 0, 0x62, 0x63))).toEqual([0x61])
  })

  test('that are empty or have no end: EINVAL, even if an earlier request left a NUL there', () => {
    expect(lookup(Uint8Array.of(0, 0x61))).toBe(EINVAL)
    expect(lookup(Uint8Array.of(0x61, 0x62))).toBe(EINVAL)
    const calls: Call[] = []
    const whole = requestOf(Opcode.lookup, {}, nameOf('abc'))
    const endless = requestOf(Opcode.lookup, {}, nameOf('abc').subarray(0, 3))
    const replies = serveAll(recording(['lookup'], calls), [whole, endless, whole])
    expect(replies.map(({ error }) => error)).toEqual([0, EINVAL, 0])
    const size = GetxattrIn.bytes({ size: 0, padding })
    const requests = [Uint8Array.of(0x61, 0x62), Uint8Array.of(0, 0)].map((name) =>
      requestOf(Opcode.getxattr, {}, size, name),
    )
    const errors = serveAll(recording(['getxattr'], []), requests).map(({ error }) => error)
    expect(errors).toEqual([EINVAL, EINVAL])
    const capacity = 8192
    const full = requestOf(Opcode.lookup, {}, new Uint8Array(capacity - InHeader.size).fill(0x61))
    const [reply] = serveAll(recording(['lookup'], []), [full], { maxWriteBytes: 4096 })
    expect(reply?.error).toBe(EINVAL)
  })

  test('of one length after another are told apart', () => {
    const calls: Call[] = []
    const names = ['a', 'bb', 'c', 'dd', 'a']
    const size = GetxattrIn.bytes({ size: 1, padding })
    serveAll(
      recording(['lookup', 'getxattr'], calls),
      // of one length, at two places
      names.flatMap((name) => [
        requestOf(Opcode.getxattr, {}, size, nameOf(name)),
        requestOf(Opcode.lookup, {}, nameOf(name)),
      ]),
    )
    const found = calls.map((call) => call.arguments[1])
    expect(found).toEqual(names.flatMap((name) => [[...Buffer.from(name)], [...Buffer.from(name)]]))
  })
})

describe('two names in a request', () => {
  const renamed = (...body: Uint8Array[]): unknown => {
    const calls: Call[] = []
    const message = requestOf(Opcode.rename, {}, RenameIn.bytes({ newDirectory: 2n }), ...body)
    const [reply] = serveAll(recording(['rename'], calls), [message])
    return calls[0]?.arguments ?? reply?.error
  }

  test('the second begins behind the first', () => {
    expect(renamed(nameOf('a'), nameOf('bc'))).toEqual([1, [0x61], 2, [0x62, 0x63], 0])
    const longest = nameOf('x'.repeat(4095))
    expect(renamed(longest, longest)).toEqual([1, [...longest.subarray(0, -1)], 2, [...longest.subarray(0, -1)], 0])
  })

  test('a second one that is missing, empty, or without an end: EINVAL', () => {
    expect(renamed(nameOf('abcdef'))).toBe(EINVAL)
    expect(renamed(nameOf('abc'), Uint8Array.of(0, 0, 0))).toBe(EINVAL)
    expect(renamed(nameOf('abc'), Uint8Array.of(0x61, 0x62))).toBe(EINVAL)
  })
})

describe('written data', () => {
  const written = (size: number, ...data: Uint8Array[]): unknown => {
    const calls: Call[] = []
    const messages = [requestOf(Opcode.write, {}, write(size), ...data)]
    const [reply] = serveAll(recording(['write'], calls), messages, { maxWriteBytes: 8192 })
    return calls[0]?.arguments[3] ?? reply?.error
  }

  test('none, and as much as was agreed on', () => {
    expect(written(0)).toEqual([])
    const most = Uint8Array.from({ length: 8192 }, (_, i) => i)
    expect(written(8192, most)).toEqual([...most])
  })

  test('more, or less than it says: EINVAL', () => {
    expect(written(8193, new Uint8Array(8193))).toBe(EINVAL)
    expect(written(0xffff_ffff, new Uint8Array(100))).toBe(EINVAL)
    expect(written(100, new Uint8Array(99))).toBe(EINVAL)
  })

  test('lies where it was read, and is told apart by its length', () => {
    const seen: { readonly data: Uint8Array; readonly text: string }[] = []
    const texts = ['one', 'two', 'three', 'six']
    serveAll(
      {
        write(request, _node, _handle, _offset, data) {
          seen.push({ data, text: Buffer.from(data).toString() })
          request.written(data.length)
        },
      },
      texts.map((text) => requestOf(Opcode.write, {}, write(text.length), Buffer.from(text))),
    )
    expect(seen.map(({ text }) => text)).toEqual(texts)
    expect(new Set(seen.map(({ data }) => data.buffer)).size).toBe(1)
    expect(seen[3]?.data).toBe(seen[0]?.data)
  })
})

describe('setxattr', () => {
  const head = (size: number, setxattrFlags = 0): Uint8Array =>
    SetxattrIn.bytes({ size, flags: 2, setxattrFlags, padding })
  const flags = 1 << 30 // INIT_EXT
  const unused = Array.from({ length: 11 }, () => 0)
  const init = requestOf(
    Opcode.init,
    {},
    InitIn.bytes({ major: 7, minor: 45, maxReadahead: 0, flags: (flags | (1 << 29)) >>> 0, flags2: 0, unused }),
  )

  test('with the longer header, if that was agreed on', () => {
    const calls: Call[] = []
    const set = (killsSgid: number): Uint8Array =>
      requestOf(Opcode.setxattr, {}, head(2, killsSgid), nameOf('user.a'), Uint8Array.of(7, 8))
    const features = ['setxattrExt'] as const
    serveAll(recording(['setxattr'], calls), [init, set(0), set(1)], { features })
    const [connection] = [{ minor: 45, kernelMinor: 45, maxWriteBytes: 4096, maxReadaheadBytes: 0 }]
    const agreed = { ...connection, features: new Set(features), offered: new Set(features) }
    serveAll(recording(['setxattr'], calls), [set(1)], { agreed })
    const name = bytesOf('user.a')
    expect(calls.map((call) => call.arguments)).toEqual([
      [1, name, [7, 8], 2, false],
      [1, name, [7, 8], 2, true],
      [1, name, [7, 8], 2, true],
    ])
  })

  test('values of any size, or none', () => {
    const calls: Call[] = []
    const value = new Uint8Array(65536).fill(9)
    serveAll(
      recording(['setxattr'], calls),
      [value, value.subarray(0, 0)].map((each) =>
        requestOf(Opcode.setxattr, {}, head(each.length).subarray(0, 8), nameOf('user.a'), each),
      ),
    )
    expect(calls.map((call) => (call.arguments[2] as number[]).length)).toEqual([65536, 0])
  })

  test('a value that is cut off: EINVAL', () => {
    const body = joined(head(5).subarray(0, 8), nameOf('user.a'), new Uint8Array(4))
    const replies = serveAll(recording(['setxattr'], []), [requestOf(Opcode.setxattr, {}, body)])
    expect(replies.map(({ error }) => error)).toEqual([EINVAL])
  })
})

test('copyFileRange: EINVAL for flags that nobody knows', () => {
  const replies = serveAll(recording(['copyFileRange'], []), [requestOf(Opcode.copyFileRange, {}, copy(1n))])
  expect(replies.map(({ error }) => error)).toEqual([EINVAL])
})

test.each([
  [0x0801, 8, 1],
  [0x0010_0305, 3, 0x105],
  [0xfff0_0000, 0, 0xf_ff00],
])('device numbers: %i', (rdev, major, minor) => {
  const calls: Call[] = []
  const body = MknodIn.bytes({ mode: 0o20600, rdev, umask: 0, padding })
  serveAll(recording(['mknod'], calls), [requestOf(Opcode.mknod, {}, body, nameOf('n'))])
  expect(calls[0]?.arguments.slice(3, 5)).toEqual([major, minor])
})

describe('sizes and offsets', () => {
  const readOf = (size: number, offset = 0n): Uint8Array =>
    ReadIn.bytes({ handle: 0n, offset, size, readFlags: 0, lockOwner: 0n, flags: 0, padding })

  test.each(['read', 'readdir', 'readdirplus'] as const)('%s: no more than was agreed on', (operation) => {
    const sizes = [0, 1, 8191, 8192, 8193, 0xffff_ffff]
    const replies = serveAll(
      recording([operation], []),
      sizes.map((size) => requestOf(Opcode[operation], {}, readOf(size))),
      { maxWriteBytes: 8192 },
    )
    expect(replies.map(({ error }) => error)).toEqual([0, 0, 0, 0, EINVAL, EINVAL])
  })

  test('what is agreed on is whole pages', () => {
    const sizes = [4096, 12288, 12289]
    const replies = serveAll(
      recording(['read'], []),
      sizes.map((size) => requestOf(Opcode.read, {}, readOf(size))),
      { maxWriteBytes: 8193 },
    )
    expect(replies.map(({ error }) => error)).toEqual([0, 0, EINVAL])
  })

  test('lseek: negative offsets', () => {
    const calls: Call[] = []
    const body = LseekIn.bytes({ handle: 0n, offset: -3n, whence: 4, padding })
    serveAll(recording(['lseek'], calls), [requestOf(Opcode.lseek, {}, body)])
    expect(calls[0]?.arguments).toEqual([1, 0, -3, 4])
  })
})

describe('forget', () => {
  const records = (...of: [node: bigint, count: bigint][]): Uint8Array[] =>
    of.map(([node, count]) => ForgetOne.bytes({ node, count }))
  const batch = (count: number): Uint8Array => BatchForgetIn.bytes({ count, padding })

  /** What is forgotten; nothing is answered. */
  function forgotten(...requests: Uint8Array[]): [number, number][] {
    const found: [number, number][] = []
    expect(serveAll({ forget: (...record) => found.push(record) }, requests)).toEqual([])
    expect(serveAll({}, requests)).toEqual([])
    return found
  }

  test('of one node, and of many', () => {
    const one = requestOf(Opcode.forget, { node: BigInt(NODE) }, ForgetIn.bytes({ count: BigInt(OFFSET) }))
    expect(forgotten(one)).toEqual([[NODE, OFFSET]])
    const many = requestOf(
      Opcode.batchForget,
      { node: 0n },
      batch(2),
      ...records([BigInt(NODE), 1n], [3n, BigInt(OFFSET)]),
    )
    expect(forgotten(many)).toEqual([
      [NODE, 1],
      [3, OFFSET],
    ])
    expect(forgotten(requestOf(Opcode.batchForget, {}, batch(1), ...records([2n, 1n], [3n, 1n])))).toEqual([[2, 1]])
  })

  test('records that are not whole are passed over', () => {
    expect(forgotten(requestOf(Opcode.forget, { node: 2n }))).toEqual([])
    expect(forgotten(requestOf(Opcode.forget, { node: 2n }, new Uint8Array(7)))).toEqual([])
    expect(forgotten(requestOf(Opcode.batchForget, {}, new Uint8Array(7)))).toEqual([])
    expect(forgotten(requestOf(Opcode.batchForget, {}, batch(1)))).toEqual([])
    const [first, second] = records([2n, 5n], [3n, 6n])
    const cut = requestOf(Opcode.batchForget, {}, batch(2), first ?? batch(0), second?.subarray(0, 15) ?? batch(0))
    expect(forgotten(cut)).toEqual([[2, 5]])
  })

  test('a count greater than what is there', () => {
    const tooMany = requestOf(Opcode.batchForget, {}, batch(0xffff_ffff), ...records([2n, 5n]))
    expect(forgotten(tooMany)).toEqual([[2, 5]])
  })
})
