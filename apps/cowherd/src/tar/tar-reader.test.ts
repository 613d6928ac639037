import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, ftruncateSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { aclText, parseAclText } from './acl-text.ts'
import { parsePaxRecords, parsePaxTime, PaxRecords, paxTime } from './pax-records.ts'
import { TarReader, type ReadEntry } from './tar-reader.ts'
import { TarError } from './tar-source.ts'
import { TarWriter, type TarEntry } from './tar-writer.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (content: Uint8Array): string => new TextDecoder().decode(content)
const MIB = 1 << 20

const folder = mkdtempSync(join(tmpdir(), 'cowherd-tar-'))
afterAll(() => rmSync(folder, { recursive: true }))

type Written = TarEntry & { data?: Uint8Array }

function archive(entries: readonly Written[]): Uint8Array {
  const chunks: Uint8Array[] = []
  const tar = new TarWriter((chunk) => chunks.push(chunk.slice()))
  for (const { data, ...entry } of entries) {
    tar.begin(entry)
    if (data !== undefined) tar.data(data)
  }
  tar.finish()
  return Buffer.concat(chunks)
}

/** Gives out `content` in pieces of so many bytes. */
function pieces(content: Uint8Array, size: number): () => Promise<Uint8Array> {
  let at = 0
  return () => {
    const piece = content.subarray(at, at + size)
    at += piece.length
    return Promise.resolve(piece)
  }
}

interface Read extends ReadEntry {
  /** All of it, with its holes. */
  readonly data: Uint8Array
  /** Bytes that came from the archive. */
  readonly stored: number
}

async function read(content: Uint8Array, size = 10_240): Promise<Read[]> {
  const tar = new TarReader(pieces(content, size))
  const entries: Read[] = []
  for (let entry = await tar.next(); entry !== undefined; entry = await tar.next()) {
    const data = new Uint8Array(Math.min(entry.size, 32 * MIB))
    let stored = 0
    for (let piece = await tar.data(); piece !== undefined; piece = await tar.data()) {
      data.set(piece.bytes, piece.offset)
      stored += piece.bytes.length
    }
    entries.push({ ...entry, data, stored })
  }
  return entries
}

const plain = { mode: 0o644, uid: 0, gid: 0, mtimeSeconds: 0, mtimeNanoseconds: 0 } as const
const EVERYTHING: readonly Written[] = [
  { ...plain, path: bytes('d'), type: 'directory', mode: 0o1777, uid: 1000, gid: 100 },
  { ...plain, path: bytes('d/file'), type: 'file', size: 5, data: bytes('hello'), mode: 0o4755 },
  { ...plain, path: bytes('d/hard'), type: 'hard link', target: bytes('d/file') },
  { ...plain, path: bytes('d/soft'), type: 'symbolic link', target: bytes('t'.repeat(150)), mode: 0o777 },
  { ...plain, path: bytes('d/null'), type: 'character device', major: 1, minor: 3 },
  { ...plain, path: bytes('d/disk'), type: 'block device', major: 259, minor: 70000 },
  { ...plain, path: bytes('d/fifo'), type: 'fifo' },
  { ...plain, path: bytes('empty'), type: 'file', size: 0, uid: 3_000_000, gid: 4_294_967_294 },
  {
    ...plain,
    path: bytes(`${'x'.repeat(120)}/${'y'.repeat(200)}`),
    type: 'file',
    size: 512,
    data: new Uint8Array(512),
  },
  { ...plain, path: bytes('grün'), type: 'file', size: 0, mtimeSeconds: -2, mtimeNanoseconds: 999_999_999 },
  { ...plain, path: Uint8Array.of(0x62, 0xff, 0x62), type: 'file', size: 0, mtimeSeconds: 9_000_000_000 },
  {
    ...plain,
    path: bytes('attributed'),
    type: 'file',
    size: 3,
    data: bytes('abc'),
    xattrs: [
      { name: 'user.a=b%c', value: Uint8Array.of(0, 10, 255) },
      { name: 'user.empty', value: new Uint8Array(0) },
    ],
  },
  {
    ...plain,
    path: bytes('sparse'),
    type: 'file',
    size: 3 * MIB,
    segments: [
      { offset: 4096, length: 512 },
      { offset: MIB, length: 1024 },
    ],
    data: new Uint8Array(1536).fill(7),
  },
]

function digest(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex')
}

/** What was written, as it is to be read. */
function expected({ xattrs = [], data, segments, ...entry }: Written): object {
  const content = new Uint8Array(entry.size ?? 0)
  let at = 0
  for (const { offset, length } of segments ?? [{ offset: 0, length: content.length }]) {
    content.set(data?.subarray(at, at + length) ?? [], offset)
    at += length
  }
  return {
    path: entry.path,
    type: entry.type,
    mode: entry.mode,
    uid: entry.uid,
    gid: entry.gid,
    mtime: { seconds: entry.mtimeSeconds, nanoseconds: entry.mtimeNanoseconds },
    target: entry.target ?? new Uint8Array(0),
    major: entry.major ?? 0,
    minor: entry.minor ?? 0,
    size: content.length,
    attributes: xattrs.map(({ name, value }) => ({ name: bytes(name), value })),
    content: digest(content),
  }
}

function comparable({ path, type, mode, uid, gid, mtime, target, major, minor, size, attributes, data }: Read): object {
  const plainPath = path.at(-1) === 0x2f ? path.slice(0, -1) : path.slice()
  const plainAttributes = attributes.map(({ name, value }) => ({
    name: Uint8Array.from(name),
    value: Uint8Array.from(value),
  }))
  const head = { path: Uint8Array.from(plainPath), type, mode, uid, gid, mtime, target: Uint8Array.from(target) }
  return { ...head, major, minor, size, attributes: plainAttributes, content: digest(data) }
}

describe('what TarWriter wrote', () => {
  test.each([1, 13, 511, 512, 10_240, 1 << 30])('in pieces of %i bytes', async (size) => {
    const entries = await read(archive(EVERYTHING), size)
    expect(entries.map(comparable)).toEqual(EVERYTHING.map(expected))
    expect(entries.find(({ path }) => text(path) === 'sparse')?.stored).toBe(1536)
  })

  test('entries whose data nobody wants are passed over', async () => {
    const tar = new TarReader(pieces(archive(EVERYTHING), 1000))
    let count = 0
    while ((await tar.next()) !== undefined) count++
    expect([count, tar.hasEnd]).toEqual([EVERYTHING.length, true])
  })
})

const gnu = /GNU tar/.test(spawnSync('tar', ['--version']).stdout?.toString() ?? '')

describe.skipIf(!gnu)('what GNU tar wrote', () => {
  const LONG = `${'l'.repeat(90)}/${'m'.repeat(180)}/${'n'.repeat(250)}`
  const source = join(folder, 'source')
  mkdirSync(join(source, LONG, '..'), { recursive: true })
  writeFileSync(join(source, LONG), 'long')
  const fd = openSync(join(source, 'sparse'), 'w')
  for (let i = 0; i < 40; i++) writeSync(fd, `segment ${i}`, i * 200_000 + 65_536 * 2)
  ftruncateSync(fd, 20 * MIB)
  closeSync(fd)
  writeFileSync(join(source, 'file'), 'content')
  const numbers = ['--owner=:3000000', '--group=:4000000', '--mtime=1960-01-02 03:04:05 UTC']

  test.each([
    ['v7', ['--exclude=l*']],
    ['oldgnu', []],
    ['gnu', []],
    ['ustar', ['--exclude=l*']],
    ['posix', []],
    ['gnu', ['-S']],
    ['posix', ['-S', '--sparse-version=0.0']],
    ['posix', ['-S', '--sparse-version=0.1']],
    ['posix', ['-S', '--sparse-version=1.0']],
  ])('format %s %s', async (format, options) => {
    const isSmall = format === 'v7' || format === 'ustar'
    const owners = isSmall ? ['--owner=:7', '--group=:8', '--mtime=@5'] : numbers
    const { stdout, stderr, status } = spawnSync(
      'tar',
      [`--format=${format}`, ...options, ...owners, '-C', source, '-c', '.'],
      { maxBuffer: 64 * MIB },
    )
    expect([stderr.toString(), status]).toEqual(['', 0])
    const entries = new Map((await read(stdout)).map((entry) => [text(entry.path).replace(/^\.\//, ''), entry]))
    const file = entries.get('file')
    expect(file).toMatchObject({ type: 'file', data: bytes('content'), uid: isSmall ? 7 : 3_000_000 })
    expect(file?.mtime.seconds).toBe(isSmall ? 5 : Date.parse('1960-01-02T03:04:05Z') / 1000)
    if (!isSmall) expect(entries.get(LONG)).toMatchObject({ type: 'file', data: bytes('long'), gid: 4_000_000 })
    const sparse = entries.get('sparse')
    const wanted = new Uint8Array(20 * MIB)
    for (let i = 0; i < 40; i++) wanted.set(bytes(`segment ${i}`), i * 200_000 + 65_536 * 2)
    expect(sparse?.size).toBe(wanted.length)
    expect(Buffer.compare(sparse?.data ?? new Uint8Array(0), wanted)).toBe(0)
    if (options.includes('-S')) expect(sparse?.stored).toBeLessThan(MIB)
  })

  test('two archives, one behind the other with zeros between, are one with --concatenate', async () => {
    const [first, second] = ['file', 'sparse'].map((name) => {
      const path = join(folder, `${name}.tar`)
      spawnSync('tar', ['-S', '--format=posix', '-C', source, '-cf', path, name])
      return path
    })
    spawnSync('tar', ['--concatenate', '-f', first, second])
    const { readFileSync } = await import('node:fs')
    expect((await read(readFileSync(first))).map(({ path }) => text(path))).toEqual(['file', 'sparse'])
  })
})

/** A header block by hand. */
function header(fields: { name?: string; type?: string; size?: number; magic?: string; prefix?: string }): Uint8Array {
  const block = Buffer.alloc(512)
  block.write(fields.name ?? 'name', 0)
  block.write('0000644\0' + '0000001\0' + '0000002\0', 100)
  block.write(`${(fields.size ?? 0).toString(8).padStart(11, '0')}\0` + '00000000005\0', 124)
  block.write(fields.type ?? '0', 156)
  block.write(fields.magic ?? 'ustar\x0000', 257)
  block.write(fields.prefix ?? '', 345)
  block.fill(0x20, 148, 156)
  let sum = 0
  for (const byte of block) sum += byte
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}

function paxHeader(...records: [keyword: string, value: string | Uint8Array][]): Uint8Array {
  const pax = new PaxRecords()
  for (const [keyword, value] of records) pax.add(keyword, value)
  const content = Buffer.alloc(Math.ceil(pax.size / 512) * 512)
  content.set(pax.bytes())
  return Buffer.concat([header({ type: 'x', size: pax.size }), content])
}

const END = new Uint8Array(1024)

describe('what other programs write', () => {
  test('prefixes of ustar and of star', async () => {
    const star = Buffer.from(header({ name: 'n', prefix: 'p' }))
    star.write('00000000007\0', 476)
    star.write('tar\0', 508)
    star.fill(0x20, 148, 156)
    star.write(
      `${star
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
      148,
    )
    const entries = await read(Buffer.concat([header({ name: 'a', prefix: 'b' }), star, END]))
    expect(entries.map(({ path, atime }) => [text(path), atime?.seconds])).toEqual([
      ['b/a', undefined],
      ['p/n', 7],
    ])
  })

  test('attributes of libarchive, ACLs, labels of SELinux, what no volume has', async () => {
    const content = Buffer.concat([
      paxHeader(
        ['LIBARCHIVE.xattr.user.a%20b', Buffer.from('value').toString('base64')],
        ['LIBARCHIVE.xattr.user.c', Buffer.from('other').toString('base64')],
        ['SCHILY.xattr.user.c', 'wins'],
        ['SCHILY.acl.access', 'user::rw-,group::r--,other::---'],
        ['SCHILY.fflags', 'nodump'],
        ['RHT.security.selinux', 'label'],
        ['atime', '12.5'],
      ),
      header({}),
      END,
    ])
    const [entry] = await read(content)
    expect(entry.attributes.map(({ name, value }) => [text(name), text(value)])).toEqual([
      ['user.a b', 'value'],
      ['user.c', 'wins'],
      ['security.selinux', 'label\0'],
    ])
    expect(entry).toMatchObject({
      accessLists: [{ name: 'system.posix_acl_access', text: 'user::rw-,group::r--,other::---' }],
      others: ['file flags'],
      atime: { seconds: 12, nanoseconds: 500_000_000 },
    })
  })

  test('global records, which an entry may take back', async () => {
    const global = Buffer.from(paxHeader(['mtime', '77'], ['uid', '5']))
    global.write('g', 156)
    global.fill(0x20, 148, 156)
    const sum = global.subarray(0, 512).reduce((total, byte) => total + byte, 0)
    global.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
    const content = Buffer.concat([global, header({}), paxHeader(['uid', '']), header({}), END])
    expect((await read(content)).map(({ mtime, uid }) => [mtime.seconds, uid])).toEqual([
      [77, 5],
      [77, 1],
    ])
  })

  test('an old directory, a label, a type that nobody knows, a size on a hard link', async () => {
    const content = Buffer.concat([
      header({ name: 'old/', magic: '' }),
      header({ type: 'V', name: 'label' }),
      header({ type: 'Z', size: 5 }),
      new Uint8Array(512),
      header({ type: '1', size: 5 }),
      header({ name: 'last' }),
      END,
    ])
    expect((await read(content)).map(({ type }) => type)).toEqual(['directory', 'unknown', 'hard link', 'file'])
  })

  test('no end mark, or half of one', async () => {
    for (const end of [new Uint8Array(0), new Uint8Array(512)]) {
      const tar = new TarReader(pieces(Buffer.concat([header({}), end]), 100))
      expect(await tar.next()).toBeDefined()
      expect(await tar.next()).toBeUndefined()
      expect(tar.hasEnd).toBe(end.length > 0)
    }
  })
})

describe('what is no archive, or a damaged one', () => {
  test.each<[string, Uint8Array, string]>([
    ['nothing', new Uint8Array(0), 'the archive is empty'],
    ['text', Buffer.from('no archive'.repeat(100)), 'this is no tar archive'],
    ['gzip', Uint8Array.of(0x1f, 0x8b, 8, 0), 'zcat ARCHIVE | cowherd untar'],
    ['a part of a header', header({}).subarray(0, 300), 'damaged at byte 300: it ends too early'],
    ['a wrong checksum', Buffer.concat([header({}), Buffer.alloc(512, 'x')]), 'at byte 512: a header with a wrong'],
    ['missing data', header({ size: 1000 }), 'at byte 512: it ends too early'],
    [
      'malformed records',
      Buffer.concat([header({ type: 'x', size: 5 }), Buffer.alloc(512, '9')]),
      'malformed extended',
    ],
    ['a malformed number', Buffer.concat([paxHeader(['size', '-5']), header({})]), 'malformed number'],
    ['too large records', header({ type: 'x', size: 1 << 30 }), 'a header of 1073741824 bytes'],
    [
      'a map that is too long',
      Buffer.concat([
        paxHeader(['GNU.sparse.major', '1'], ['GNU.sparse.minor', '0'], ['GNU.sparse.realsize', '100']),
        header({ size: 512 }),
        Buffer.from('99999999999\n'.padEnd(512, '\0')),
      ]),
      'the map of a sparse file has 99999999999 entries',
    ],
    [
      'a map that overlaps',
      Buffer.concat([
        paxHeader(['GNU.sparse.map', '0,10,5,10'], ['GNU.sparse.size', '100']),
        header({ size: 20 }),
        new Uint8Array(512),
      ]),
      'the map of a sparse file is malformed',
    ],
  ])('%s', async (_name, content, message) => {
    const failure = await read(content).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(TarError)
    expect(String(failure)).toContain(message)
  })

  test('damage anywhere ends in a TarError, or is read as something else', async () => {
    const sound = Buffer.from(archive(EVERYTHING))
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(sound.length - 1), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 20 }),
        fc.nat(sound.length),
        async (changes, cut) => {
          const content = Buffer.from(sound)
          for (const [at, byte] of changes) content[at] = byte
          const failure = await read(content.subarray(0, cut)).catch((error: unknown) => error)
          if (!Array.isArray(failure)) expect(failure).toBeInstanceOf(TarError)
        },
      ),
      { numRuns: 300 },
    )
  })
})

test('records and times come back as they were', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.stringMatching(/^[a-zA-Z.]+$/), fc.uint8Array())), (records) => {
      const pax = new PaxRecords()
      for (const [keyword, value] of records) pax.add(keyword, value)
      const back = parsePaxRecords(pax.bytes())?.map(({ keyword, value }) => [keyword, Uint8Array.from(value)])
      expect(back).toEqual(records)
    }),
  )
  fc.assert(
    fc.property(fc.integer({ min: -1e12, max: 1e12 }), fc.nat(999_999_999), (seconds, nanoseconds) => {
      expect(parsePaxTime(paxTime(seconds, nanoseconds))).toEqual({ seconds, nanoseconds })
    }),
  )
  expect([parsePaxTime('1.'), parsePaxTime('x'), parsePaxTime('')]).toEqual([
    { seconds: 1, nanoseconds: 0 },
    undefined,
    undefined,
  ])
})

test('ACLs come back as they were, with names and in short too', () => {
  const idOf = (kind: string, name: string): number | undefined => (name === 'me' && kind === 'user' ? 1000 : undefined)
  const attribute = parseAclText('user::rwx\nuser:me:r-x\ngroup::---\nmask::r-x\nother::--x\n', idOf)
  if (typeof attribute === 'string') throw new Error(attribute)
  expect(aclText(attribute)).toBe('user::rwx\nuser:1000:r-x\ngroup::---\nmask::r-x\nother::--x\n')
  expect(parseAclText('u::rwx,o::--x,g::---,u:1000:r-x,m::r-x # comment', idOf)).toEqual(attribute)
  expect(parseAclText('user::rwx,user:you:r-x:1000,group::---,mask::r-x,other::--x', idOf)).toEqual(attribute)
  expect(parseAclText('user:you:r-x', idOf)).toBe('unknown names')
  for (const malformed of ['', 'user', 'mask:5:rwx', 'nobody::rwx', 'user::q']) {
    expect(parseAclText(malformed, idOf)).toBe('malformed')
  }
})
