import { beforeEach, describe, expect, test } from 'vitest'
import { Attributes, Entry } from './attributes.ts'
import {
  Attr,
  AttrOut,
  BatchForgetIn,
  CopyFileRangeIn,
  CopyFileRangeOut,
  CreateIn,
  Dirent,
  EntryOut,
  FallocateIn,
  FsyncIn,
  GetxattrOut,
  InHeader,
  InitIn,
  InitOut,
  LinkIn,
  LseekIn,
  LseekOut,
  MkdirIn,
  MknodIn,
  NotifyRetrieveIn,
  Opcode,
  OpenOut,
  OutHeader,
  ReadIn,
  ReleaseIn,
  Rename2In,
  RenameIn,
  SetattrIn,
  SetxattrIn,
  StatfsOut,
  StatxIn,
  StatxOut,
  SyncfsIn,
  WriteIn,
  WriteOut,
} from './protocol.ts'
import { Reply } from './reply.ts'
import { RequestTable } from './request-table.ts'
import { Statistics } from './statistics.ts'
import { joined, MemoryTransport } from './testing/memory-transport.ts'

const UNIQUE_HI = 0x8000_0000
const UNIQUE_LO = 0xdead_beef

let transport: MemoryTransport
let requests: RequestTable
let reply: Reply

beforeEach(() => {
  transport = new MemoryTransport()
  requests = new RequestTable()
  reply = new Reply(transport, requests, new Statistics())
})

/** Answers a request. Returns the reply's body; its header is right. */
function answer(send: (reply: Reply) => boolean, error = 0, opcode = 1): Uint8Array {
  const row = requests.take()
  const caller = { node: 1, uid: 0, gid: 0, pid: 0 }
  const header = { length: 40, opcode, uniqueHi: UNIQUE_HI, uniqueLo: UNIQUE_LO, ...caller }
  requests.begin(row, Uint32Array.of(header.length, opcode, UNIQUE_LO, UNIQUE_HI, 1, 0, 0, 0, 0, 0))
  requests.defer(row)
  expect(send(reply.to({ opcode, uniqueHi: UNIQUE_HI, uniqueLo: UNIQUE_LO, row, ...caller }))).toBe(true)
  const message = transport.written.at(-1)
  if (message === undefined) throw new Error('nothing was written')
  const { body } = message
  expect(message).toEqual({ length: 16 + body.length, error, unique: 0x8000_0000_dead_beefn, body })
  return body
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Leaves ones wherever the next reply does not write. */
function soil(): void {
  answer((to) => to.copy(new Uint8Array(4096).fill(0xff)))
}

function attributes(): Attributes {
  return Object.assign(new Attributes(), {
    inoHi: 0x8000_0001,
    inoLo: 0xffff_fffe,
    size: 2 ** 53 - 1,
    blocks: 2 ** 33 + 1,
    mode: 0o100644,
    nlink: 3,
    uid: 0xffff_fffe,
    gid: 1000,
    rdevMajor: 0x123,
    rdevMinor: 0xabcde,
    blockSize: 4096,
    atimeSeconds: -1,
    atimeNanoseconds: 999_999_999,
    mtimeSeconds: -(2 ** 33),
    mtimeNanoseconds: 1,
    ctimeSeconds: 2 ** 34,
    ctimeNanoseconds: 2,
    btimeSeconds: -2,
    btimeNanoseconds: 3,
  })
}

const attr = {
  ino: 0x8000_0001_ffff_fffen,
  size: 2n ** 53n - 1n,
  blocks: 2n ** 33n + 1n,
  atime: -1n,
  mtime: -(2n ** 33n),
  ctime: 2n ** 34n,
  atimeNanoseconds: 999_999_999,
  mtimeNanoseconds: 1,
  ctimeNanoseconds: 2,
  mode: 0o100644,
  nlink: 3,
  uid: 0xffff_fffe,
  gid: 1000,
  rdev: 0xabc_123_de,
  blockSize: 4096,
  flags: 0,
}

function entryOf(node: number): Entry {
  const entry = new Entry()
  Object.assign(entry.attributes, attributes())
  return Object.assign(entry, { node, generation: 2 ** 40, entrySeconds: 1.5, attrSeconds: 0.25 })
}

describe('answers to what writes', () => {
  test('created: an entry, and an open file behind it', () => {
    soil()
    const body = answer((to) => to.created(entryOf(2 ** 53), 2 ** 40 + 7, 10))
    expect(body).toHaveLength(EntryOut.size + OpenOut.size)
    const entry = answer((to) => to.entry(entryOf(2 ** 53)))
    const opened = answer((to) => to.opened(2 ** 40 + 7, 10))
    expect(hex(body)).toBe(hex(joined(entry, opened)))
    expect(OpenOut.read(view(opened), 0)).toEqual({ handle: 2n ** 40n + 7n, openFlags: 10, backingId: 0 })
  })

  test('written', () => {
    soil()
    expect(hex(answer((to) => to.written(1 << 20)))).toBe('0000100000000000')
    soil()
    expect(hex(answer((to) => to.written(0xffff_ffff)))).toBe('ffffffff00000000')
  })

  test('copied: 32 bits, or 64 where they were asked for', () => {
    const copied = (bytes: number, opcode: number): string => hex(answer((to) => to.copied(bytes), 0, opcode))
    soil()
    expect(copied(7, Opcode.copyFileRange)).toBe('0700000000000000')
    expect(copied(2 ** 40, Opcode.copyFileRange)).toBe('00f0ffff00000000')
    soil()
    expect(copied(2 ** 40 + 1, Opcode.copyFileRange64)).toBe('0100000000010000')
    expect(copied(0, Opcode.copyFileRange64)).toBe('0000000000000000')
  })
})

test('structures have the sizes of the protocol', () => {
  const sizes = {
    InHeader,
    OutHeader,
    Attr,
    EntryOut,
    AttrOut,
    OpenOut,
    ReadIn,
    StatfsOut,
    ReleaseIn,
    FsyncIn,
    GetxattrOut,
  }
  expect(Object.values(sizes).map(({ size }) => size)).toEqual([40, 16, 88, 128, 104, 16, 40, 80, 24, 16, 8])
  const others = { InitIn, InitOut, Dirent, LseekIn, LseekOut, StatxIn, StatxOut, NotifyRetrieveIn, BatchForgetIn }
  expect(Object.values(others).map(({ size }) => size)).toEqual([64, 64, 24, 24, 8, 24, 288, 40, 8])
  const writing = { SetattrIn, MknodIn, MkdirIn, RenameIn, Rename2In, LinkIn, CreateIn, WriteIn, WriteOut }
  expect(Object.values(writing).map(({ size }) => size)).toEqual([88, 16, 8, 8, 16, 8, 16, 40, 8])
  const more = { FallocateIn, CopyFileRangeIn, CopyFileRangeOut, SetxattrIn, SyncfsIn }
  expect(Object.values(more).map(({ size }) => size)).toEqual([32, 56, 8, 16, 8])
  expect(SetattrIn.offsets).toMatchObject({ size: 16, ctime: 48, atimeNanoseconds: 56, mode: 68, uid: 76, gid: 80 })
  expect(StatxOut.offsets).toMatchObject({
    mask: 32,
    attributes: 40,
    nlink: 48,
    mode: 60,
    ino: 64,
    atime: 96,
    rdevMajor: 160,
  })
})

test('errors and success are a header', () => {
  expect(answer((to) => to.error('ENOENT'), -2)).toHaveLength(0)
  expect(answer((to) => to.error('ENOTSUP'), -95)).toHaveLength(0)
  expect(answer((to) => to.ok())).toHaveLength(0)
})

describe('entries and attributes', () => {
  test('entry', () => {
    soil()
    const body = answer((to) => to.entry(entryOf(2 ** 53 - 1)))
    expect(EntryOut.read(view(body), 0)).toEqual({
      node: 2n ** 53n - 1n,
      generation: 2n ** 40n,
      entryValid: 1n,
      attrValid: 0n,
      entryValidNanoseconds: 500_000_000,
      attrValidNanoseconds: 250_000_000,
      attr,
    })
    expect(body).toHaveLength(128)
  })

  test('an entry with node 0: there is no such name', () => {
    soil()
    const none = Object.assign(new Entry(), { entrySeconds: 3 })
    const body = answer((to) => to.entry(none))
    expect(body).toHaveLength(128)
    expect(EntryOut.read(view(body), 0)).toMatchObject({ node: 0n, entryValid: 3n, entryValidNanoseconds: 0 })
  })

  test('attributes', () => {
    soil()
    const body = answer((to) => to.attributes(attributes(), 86400))
    expect(AttrOut.read(view(body), 0)).toEqual({
      attrValid: 86400n,
      attrValidNanoseconds: 0,
      padding: undefined,
      attr,
    })
    expect(hex(body.subarray(12, 16))).toBe('00000000')
    expect(body).toHaveLength(104)
  })

  test.each([
    [Infinity, 2n ** 32n, 0],
    [1e300, 2n ** 32n, 0],
    [2 ** 31 + 0.5, 2n ** 31n, 500_000_000],
    [0, 0n, 0],
    [0.999_999_999_999, 0n, 999_999_999],
  ])('valid for %d seconds', (seconds, attrValid, attrValidNanoseconds) => {
    const body = answer((to) => to.attributes(attributes(), seconds))
    expect(AttrOut.read(view(body), 0)).toMatchObject({ attrValid, attrValidNanoseconds })
  })

  test('statx', () => {
    soil()
    const body = answer((to) => to.statx(attributes(), 2.5))
    const time = (seconds: bigint, nanoseconds: number) => ({ seconds, nanoseconds, padding: undefined })
    expect(StatxOut.read(view(body), 0)).toEqual({
      attrValid: 2n,
      attrValidNanoseconds: 500_000_000,
      flags: 0,
      spare: undefined,
      mask: 0xfff,
      blockSize: 4096,
      attributes: 0n,
      nlink: 3,
      uid: 0xffff_fffe,
      gid: 1000,
      mode: 0o100644,
      ino: attr.ino,
      size: attr.size,
      blocks: attr.blocks,
      attributesMask: 0n,
      atime: time(-1n, 999_999_999),
      btime: time(-2n, 3),
      ctime: time(2n ** 34n, 2),
      mtime: time(-(2n ** 33n), 1),
      rdevMajor: 0x123,
      rdevMinor: 0xabcde,
      padding: undefined,
    })
    expect(hex(body.subarray(16, 32)) + hex(body.subarray(168))).toMatch(/^0+$/)
  })

  test('inode numbers as one number', () => {
    const of = Object.assign(new Attributes(), { ino: 2 ** 53 - 1 })
    expect([of.inoHi, of.inoLo]).toEqual([0x1f_ffff, 0xffff_ffff])
  })
})

test('opened, offset, room', () => {
  soil()
  expect(hex(answer((to) => to.opened(2 ** 53 - 1, 0x42)))).toBe('ffffffffffff1f00' + '4200000000000000')
  expect(hex(answer((to) => to.offset(2 ** 40)))).toBe('0000000000010000')
  soil()
  const room = {
    blocks: 2 ** 40,
    freeBlocks: 2 ** 39,
    availableBlocks: 2 ** 38,
    files: 2 ** 37,
    freeFiles: 2 ** 36,
    blockSize: 4096,
    nameLength: 512,
  }
  const body = answer((to) => to.room(room))
  expect(StatfsOut.read(view(body), 0)).toEqual({
    blocks: 2n ** 40n,
    freeBlocks: 2n ** 39n,
    availableBlocks: 2n ** 38n,
    files: 2n ** 37n,
    freeFiles: 2n ** 36n,
    blockSize: 4096,
    nameLength: 512,
    fragmentSize: 4096,
    padding: undefined,
  })
  expect(hex(body.subarray(52))).toBe('00'.repeat(28))
})

describe('data', () => {
  test('is written where it is sent from, as much of it as there is', () => {
    const body = answer((to) => {
      to.data(4096).set(text('some bytes'))
      return to.sendData(4)
    })
    expect(Buffer.from(body).toString()).toBe('some')
    expect(answer((to) => to.copy(new Uint8Array(0)))).toHaveLength(0)
  })

  test('more than there was room for', () => {
    const much = Uint8Array.from({ length: (1 << 20) + 1 }, (_, i) => i * 7)
    const before = reply.data(10)
    expect(
      Buffer.compare(
        answer((to) => to.copy(much)),
        much,
      ),
    ).toBe(0)
    expect(reply.data(10).buffer).not.toBe(before.buffer)
    expect(Buffer.from(answer((to) => to.copy(text('again')))).toString()).toBe('again')
  })

  test('of many sizes', () => {
    for (let size = 0; size < 300; size++) {
      const bytes = new Uint8Array(size).fill(size)
      expect(answer((to) => to.copy(bytes))).toEqual(bytes)
    }
    expect(reply.data(20)).toBe(reply.data(20))
  })
})

test('extended attributes: the length, the value, or ERANGE', () => {
  const value = text('value')
  soil()
  expect(hex(answer((to) => to.xattr(value, 0)))).toBe('0500000000000000')
  expect(answer((to) => to.xattr(value, 5))).toEqual(value)
  expect(answer((to) => to.xattr(value, 6))).toEqual(value)
  expect(answer((to) => to.xattr(value, 4), -34)).toHaveLength(0)
  expect(answer((to) => to.xattr(new Uint8Array(0), 100))).toHaveLength(0)
  expect(hex(answer((to) => to.xattr(new Uint8Array(0), 0)))).toBe('0000000000000000')
  const long = new Uint8Array(65536).fill(7)
  expect(answer((to) => to.xattr(long, 65536))).toEqual(long)
})

describe('names', () => {
  const name = (of: Reply, value: string, next = 1): boolean => of.addName(text(value), 0, 7, 8, 0, next)

  test('the bytes of a record', () => {
    soil()
    const body = answer((to) => {
      to.beginNames(4096)
      to.addName(text('f1'), 0, 7, 8, 0, 3)
      return to.sendNames()
    })
    expect(hex(body)).toBe('0700000000000000' + '0300000000000000' + '02000000' + '08000000' + '6631' + '000000000000')
  })

  test('inode numbers and offsets of 64 bits', () => {
    const body = answer((to) => {
      to.beginNames(4096)
      to.addName(text('abcdefgh'), 0x8000_0000, 1, 4, 0x7fff_ffff, 0xffff_ffff)
      return to.sendNames()
    })
    expect(Dirent.read(view(body), 0)).toEqual({
      ino: 0x8000_0000_0000_0001n,
      nextOffset: 0x7fff_ffff_ffff_ffffn,
      nameLength: 8,
      type: 4,
    })
    expect(body).toHaveLength(32)
  })

  test('are padded to 8 bytes, whatever was there', () => {
    for (let length = 1; length <= 17; length++) {
      soil()
      const body = answer((to) => {
        to.beginNames(4096)
        name(to, 'x'.repeat(length))
        name(to, 'y')
        return to.sendNames()
      })
      const first = (24 + length + 7) & ~7
      expect(body).toHaveLength(first + 32)
      expect(hex(body.subarray(24 + length, first))).toBe('00'.repeat(first - 24 - length))
      expect(hex(body.subarray(first))).toBe('070000000000000001000000000000000100000008000000' + '7900000000000000')
    }
  })

  test('only whole records, as many as there is room for', () => {
    for (const [size, count] of [
      [0, 0],
      [31, 0],
      [32, 1],
      [63, 1],
      [64, 2],
      [4096, 128],
    ] as const) {
      let added = 0
      const body = answer((to) => {
        to.beginNames(size)
        while (name(to, 'name', added + 1)) added++
        return to.sendNames()
      })
      expect([added, body.length]).toEqual([count, 32 * count])
    }
  })

  test('a smaller record after one that had no room', () => {
    const body = answer((to) => {
      to.beginNames(32)
      expect(name(to, 'x'.repeat(9))).toBe(false)
      expect(name(to, 'x'.repeat(8))).toBe(true)
      return to.sendNames()
    })
    expect(body).toHaveLength(32)
  })

  test('with what they lead to', () => {
    soil()
    const sizes: number[] = []
    const body = answer((to) => {
      to.beginNames(160 * 2 + 159)
      expect(to.addEntry(text('f'), entryOf(5), 0, 1)).toBe(true)
      expect(to.addEntry(text('eight888'), entryOf(0), 1, 2)).toBe(true)
      expect(to.addEntry(text('f'), entryOf(6), 0, 3)).toBe(false)
      sizes.push(1)
      return to.sendNames()
    })
    expect(body).toHaveLength(320)
    expect(EntryOut.read(view(body), 0)).toMatchObject({ node: 5n, attr })
    const dirent = { ino: attr.ino, nextOffset: 1n, nameLength: 1, type: 8 }
    expect(Dirent.read(view(body), 128)).toEqual(dirent)
    expect(hex(body.subarray(152, 160))).toBe('6600000000000000')
    expect(EntryOut.read(view(body), 160)).toMatchObject({ node: 0n })
    expect(Dirent.read(view(body), 288)).toEqual({ ...dirent, nextOffset: 0x1_0000_0002n, nameLength: 8 })
    expect(Buffer.from(body.subarray(312)).toString()).toBe('eight888')
  })

  test('more than a reply of the usual size holds', () => {
    let added = 0
    const body = answer((to) => {
      to.beginNames(1 << 20)
      while (to.addEntry(text('f'), entryOf(5), 0, added + 1)) added++
      return to.sendNames()
    })
    expect([added, body.length]).toEqual([6553, 6553 * 160])
    const expected = joined(body.subarray(0, 136), Uint8Array.of(0x99, 0x19), body.subarray(138, 160))
    expect(body.subarray(-160)).toEqual(expected)
  })

  test('none is the end of the directory', () => {
    expect(
      answer((to) => {
        to.beginNames(4096)
        return to.sendNames()
      }),
    ).toHaveLength(0)
  })
})
