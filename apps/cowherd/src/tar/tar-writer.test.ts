import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { aclText } from './acl-text.ts'
import { PaxRecords, paxTime } from './pax-records.ts'
import { TarWriter, type TarEntry } from './tar-writer.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const plain = { mode: 0o644, uid: 0, gid: 0, mtimeSeconds: 0, mtimeNanoseconds: 0 } as const

const folder = mkdtempSync(join(tmpdir(), 'cowherd-tar-'))
afterAll(() => rmSync(folder, { recursive: true }))

function archive(entries: readonly (TarEntry & { data?: Uint8Array })[]): Uint8Array {
  const chunks: Uint8Array[] = []
  const tar = new TarWriter((chunk) => chunks.push(chunk.slice()))
  for (const { data, ...entry } of entries) {
    tar.begin(entry)
    if (data !== undefined) tar.data(data)
  }
  tar.finish()
  return Buffer.concat(chunks)
}

/** Runs GNU tar on the archive. */
function tar(content: Uint8Array, ...options: string[]): { out: string; err: string; status: number | null } {
  const { stdout, stderr, status } = spawnSync('tar', ['-f', '-', ...options], {
    input: content,
    cwd: folder,
    env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
  })
  return { out: stdout.toString('latin1'), err: stderr.toString(), status }
}

const gnu = /GNU tar/.test(spawnSync('tar', ['--version']).stdout?.toString() ?? '')

describe.skipIf(!gnu)('GNU tar reads', () => {
  test('every type, with long, foreign and broken names', () => {
    const deep = `${'directory/'.repeat(12)}${'n'.repeat(99)}`
    const long = `${'x'.repeat(120)}/${'y'.repeat(200)}`
    const content = archive([
      { ...plain, path: bytes('d'), type: 'directory', mode: 0o1777, uid: 1000, gid: 100 },
      { ...plain, path: bytes('d/file'), type: 'file', size: 5, data: bytes('hello'), mode: 0o4755 },
      { ...plain, path: bytes('d/hard'), type: 'hard link', target: bytes('d/file') },
      { ...plain, path: bytes('d/soft'), type: 'symbolic link', target: bytes('t'.repeat(150)), mode: 0o777 },
      { ...plain, path: bytes('d/null'), type: 'character device', major: 1, minor: 3 },
      { ...plain, path: bytes('d/disk'), type: 'block device', major: 259, minor: 70000 },
      { ...plain, path: bytes('d/fifo'), type: 'fifo' },
      { ...plain, path: bytes('empty'), type: 'file', size: 0, uid: 3_000_000, gid: 4_294_967_294 },
      { ...plain, path: bytes(deep), type: 'file', size: 0 },
      { ...plain, path: bytes(long), type: 'file', size: 512, data: new Uint8Array(512) },
      { ...plain, path: bytes('grün'), type: 'file', size: 0 },
      { ...plain, path: Uint8Array.of(0x62, 0xff, 0x62), type: 'file', size: 0 },
    ])
    expect(content.length % 10240).toBe(0)
    const { out, err, status } = tar(content, '-tv', '--numeric-owner', '--quoting-style=escape')
    // POSIX' keyword for names that aren't UTF-8: GNU tar warns of it, and does what it asks for anyway
    expect([err.trim(), status]).toEqual(["tar: Ignoring unknown extended header keyword 'hdrcharset'", 0])
    const rows = out.split('\n').map((line) => line.replaceAll(/ +/g, ' ').replace(' 1970-01-01 00:00', ''))
    expect(rows).toEqual([
      'drwxrwxrwt 1000/100 0 d/',
      '-rwsr-xr-x 0/0 5 d/file',
      'hrw-r--r-- 0/0 0 d/hard link to d/file',
      `lrwxrwxrwx 0/0 0 d/soft -> ${'t'.repeat(150)}`,
      'crw-r--r-- 0/0 1,3 d/null',
      'brw-r--r-- 0/0 259,70000 d/disk',
      'prw-r--r-- 0/0 0 d/fifo',
      '-rw-r--r-- 3000000/4294967294 0 empty',
      `-rw-r--r-- 0/0 0 ${deep}`,
      `-rw-r--r-- 0/0 512 ${long}`,
      '-rw-r--r-- 0/0 0 gr\\303\\274n',
      '-rw-r--r-- 0/0 0 b\\377b',
      '',
    ])
  })

  test('times to the nanosecond, from before 1970 to after 2242', () => {
    // (fractions before 1970 are left out here: GNU tar 1.34 misreads even its own)
    const times = [
      [1_700_000_000, 123_456_789],
      [-2, 0],
      [9_000_000_000, 1],
      [0, 0],
    ] as const
    const content = archive(
      times.map(([mtimeSeconds, mtimeNanoseconds], i) => ({
        ...plain,
        path: bytes(`t${i}`),
        type: 'file',
        size: 0,
        mtimeSeconds,
        mtimeNanoseconds,
      })),
    )
    const { out, err } = tar(content, '-tv', '--full-time')
    expect(err).toBe('')
    expect([...out.matchAll(/(\d+-\S+ \S+) +t\d/g)].map((match) => match[1])).toEqual([
      '2023-11-14 22:13:20.123456789',
      '1969-12-31 23:59:58',
      '2255-03-14 16:00:00.000000001',
      '1970-01-01 00:00:00',
    ])
  })

  test('holes, and sizes in full', () => {
    const holes = (name: string, size: number, segments: [number, string][]): TarEntry & { data: Uint8Array } => ({
      ...plain,
      path: bytes(name),
      type: 'file',
      size,
      segments: segments.map(([offset, text]) => ({ offset, length: text.length })),
      data: bytes(segments.map(([, text]) => text).join('')),
    })
    const size = 2 ** 40
    const content = archive([
      holes('all-hole', 1_000_000, []),
      holes('holes', 1_000_004, [
        [4096, 'f'.repeat(512)],
        [1_000_000, 'last'],
      ]),
      holes('large', size, [[size - 4, 'last']]),
      holes('hole-behind', 10_000_000, [[0, 'x'.repeat(600)]]),
      { ...plain, path: bytes('after'), type: 'file', size: 3, data: bytes('end') },
    ])
    const listed = tar(content, '-tv').out.replaceAll(/ +/g, ' ')
    expect([...listed.matchAll(/0\/0 (\d+) \S+ \S+ (\S+)/g)].map((match) => [match[1], match[2]])).toEqual([
      ['1000000', 'all-hole'],
      ['1000004', 'holes'],
      [`${size}`, 'large'],
      ['10000000', 'hole-behind'],
      ['3', 'after'],
    ])
    expect(tar(content, '-x', 'all-hole', 'holes', 'hole-behind', 'after').err).toBe('')
    const read = (name: string): Buffer => readFileSync(join(folder, name))
    expect(read('all-hole').every((byte) => byte === 0)).toBe(true)
    expect([read('holes').indexOf('f'), read('holes').lastIndexOf('f')]).toEqual([4096, 4607])
    expect(read('holes').subarray(-6).toString('latin1')).toBe('\0\0last')
    expect(read('hole-behind').lastIndexOf('x')).toBe(599)
    expect(read('after').toString()).toBe('end')
    expect(() =>
      archive([
        holes('odd', 9000, [
          [0, 'a'],
          [4096, 'b'],
        ]),
      ]),
    ).toThrow(RangeError)
  })

  test('extended attributes and ACLs', () => {
    const acl = Uint8Array.from(
      [2, 0, 0, 0, 1, 0, 6, 0, -1, 2, 0, 4, 0, 1000, 4, 0, 4, 0, -1, 16, 0, 6, 0, -1, 32, 0, 0, 0, -1].flatMap((n) =>
        n === -1 ? [255, 255, 255, 255] : n === 1000 ? [0xe8, 3, 0, 0] : [n],
      ),
    )
    const content = archive([
      {
        ...plain,
        path: bytes('x'),
        type: 'file',
        size: 0,
        mode: 0o660,
        xattrs: [
          { name: 'user.plain', value: bytes('value') },
          { name: 'user.a=b%c', value: Uint8Array.of(0, 10, 255) },
          { name: 'user.empty', value: new Uint8Array(0) },
          { name: 'system.posix_acl_access', value: acl },
        ],
      },
    ])
    const { out, err } = tar(content, '-tvv', '--xattrs', '--xattrs-include=*', '--acls')
    expect(err).toBe('')
    expect(out.replaceAll(/ +/g, ' ').trimEnd().split('\n').slice(1).sort()).toEqual([
      ' a: user::rw-,user:1000:r--,group::r--,mask::rw-,other::---',
      ' x: 0 user.empty',
      ' x: 3 user.a=b%c',
      ' x: 5 user.plain',
    ])
    const xattrs = spawnSync('setfattr', ['-n', 'user.try', '-v', '1', folder]).status === 0
    if (!xattrs) return
    expect(tar(content, '-x', '--xattrs', '--acls').err).toBe('')
    const shown = spawnSync('getfattr', ['-e', 'hex', '-d', 'x'], { cwd: folder }).stdout.toString()
    expect(shown).toContain('user.a\\075b%c=0x000aff')
    expect(shown).toContain('user.plain=0x76616c7565')
    expect(spawnSync('getfacl', ['-cn', 'x'], { cwd: folder }).stdout.toString()).toContain('user:1000:r--')
  })
})

test('Python reads it too', () => {
  const file = join(folder, 'for-python.tar')
  const target = { ...plain, path: bytes('holes'), type: 'file', size: 10_000 } as const
  writeFileSync(
    file,
    archive([
      {
        ...target,
        segments: [{ offset: 9_000, length: 3 }],
        data: bytes('abc'),
        mtimeSeconds: 1,
        mtimeNanoseconds: 500_000_000,
      },
    ]),
  )
  const script = `import tarfile
t = tarfile.open('${file}'); m = t.getmember('holes'); print(m.size, m.mtime, t.extractfile(m).read()[8999:9004])`
  const { stdout, status } = spawnSync('python3', ['-c', script])
  if (status === null) return // no Python here
  expect(stdout.toString()).toBe(`10000 1.5 b'\\x00abc\\x00'\n`)
})

test('data that could not be read becomes zeros, too much is refused', () => {
  const chunks: Uint8Array[] = []
  const writer = new TarWriter((chunk) => chunks.push(chunk.slice()))
  writer.begin({ ...plain, path: bytes('short'), type: 'file', size: 1000 })
  writer.data(new Uint8Array(300).fill(1))
  expect(() => writer.data(new Uint8Array(701))).toThrow(RangeError)
  expect(writer.endEntry()).toBe(700)
  writer.finish()
  expect(Buffer.concat(chunks).length).toBe(10240)
})

test('records count themselves', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1200 }), (value) => {
      const records = new PaxRecords()
      records.add('k', value)
      const content = records.bytes()
      expect(Number(new TextDecoder().decode(content).split(' ')[0])).toBe(content.length)
    }),
  )
  for (let size = 0; size < 12_000; size++) {
    const records = new PaxRecords()
    records.add('key', new Uint8Array(size))
    if (!Buffer.from(records.bytes()).toString('latin1').startsWith(`${records.size} key=`)) throw new Error(`${size}`)
  }
})

test('times', () => {
  const texts = new Map([
    ['0', paxTime(0, 0)],
    ['0.000000001', paxTime(0, 1)],
    ['1', paxTime(1, 0)],
    ['1.5', paxTime(1, 500_000_000)],
    ['-0.000000001', paxTime(-1, 999_999_999)],
    ['-1', paxTime(-1, 0)],
    ['-1.5', paxTime(-2, 500_000_000)],
  ])
  for (const [expected, text] of texts) expect(text).toBe(expected)
})

test('malformed ACLs are none', () => {
  for (const bad of [[], [1, 0, 0, 0], [2, 0, 0, 0, 1], [2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]]) {
    expect(aclText(Uint8Array.from(bad))).toBeUndefined()
  }
  expect(aclText(Uint8Array.of(2, 0, 0, 0))).toBe('')
})
