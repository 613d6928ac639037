/** A local tree with files of all kinds, and what there is of it to compare: for copies into volumes and out of them. */

import {
  chmodSync,
  chownSync,
  closeSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Native } from '@cowherd/shim'
import { localTree, type ManifestRow } from '../copy/local-tree.ts'

const root = process.getuid?.() === 0
const MIB = 1 << 20

/** An access list in Linux' form, of entries [tag, permissions, id]. */
export function accessList(...entries: readonly [tag: number, permissions: number, id?: number][]): Uint8Array {
  const bytes = new Uint8Array(4 + 8 * entries.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, 2, true)
  entries.forEach(([tag, permissions, id = 0xffffffff], i) => {
    view.setUint16(4 + 8 * i, tag, true)
    view.setUint16(6 + 8 * i, permissions, true)
    view.setUint32(8 + 8 * i, id, true)
  })
  return bytes
}

export const USER_LIST = accessList([1, 6], [2, 4, 1000], [4, 4], [0x10, 6], [0x20, 0])
export const DEFAULT_LIST = accessList([1, 7], [4, 5], [8, 5, 33], [0x10, 5], [0x20, 5])

/** Fills an empty directory with one file of each kind, as far as this user may make it; extended attributes as far as there is `native`. */
export function fillSampleTree(folder: string, native: Native | undefined): void {
  const at = (...names: string[]): string => join(folder, ...names)
  const times = (path: string, mtimeSeconds: number, mtimeNanoseconds: number): void =>
    native?.setTimes(Buffer.from(path), { atimeSeconds: 5, atimeNanoseconds: 6, mtimeSeconds, mtimeNanoseconds })
  mkdirSync(at('deep/er/still'), { recursive: true })
  mkdirSync(at('empty'))
  writeFileSync(at('nothing'), '')
  writeFileSync(at('few'), 'hello\n')
  writeFileSync(at('block'), Buffer.alloc(4096, 'block'))
  writeFileSync(at('more'), noise(70_001))
  writeFileSync(at('much'), noise(3 * MIB + 17))
  writeFileSync(at('zeros'), Buffer.alloc(MIB))
  writeSparse(at('sparse'))
  linkSync(at('more'), at('deep', 'more-again'))
  linkSync(at('more'), at('deep/er', 'and-again'))
  symlinkSync('../few', at('deep', 'link'))
  symlinkSync('x'.repeat(3000), at('deep', 'long-link'))
  writeFileSync(at('deep', 'ñame'), 'in UTF-8')
  writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.of(0x62, 0xff, 0x62)]), 'not in UTF-8')
  writeFileSync(at('n'.repeat(255)), 'long')
  for (let i = 0; i < 40; i++) writeFileSync(at('deep/er/still', `file-${i}`), `${i}\n`.repeat(i * i))
  chmodSync(at('few'), 0o4751)
  chmodSync(at('deep'), 0o2750)
  chmodSync(at('empty'), 0o1777)
  if (native !== undefined) {
    for (const type of [0o010000, 0o140000]) native.mknod(Buffer.from(at(`node-${type}`)), type | 0o640, 0, 0)
    native.setXattr(Buffer.from(at('few')), 'user.empty', new Uint8Array(0))
    native.setXattr(Buffer.from(at('few')), 'user.much', Buffer.alloc(1500, 'much'))
    native.setXattr(Buffer.from(at('deep')), 'user.of=a%directory', Buffer.from('yes'))
  }
  if (root && native !== undefined) {
    native.mknod(Buffer.from(at('null')), 0o020666, 1, 3)
    native.mknod(Buffer.from(at('disk')), 0o060600, 259, 0xfffff)
    native.setXattr(Buffer.from(at('more')), 'trusted.x', Buffer.from('trust'))
    native.setXattr(Buffer.from(at('more')), 'system.posix_acl_access', USER_LIST)
    native.setXattr(Buffer.from(at('deep/er')), 'system.posix_acl_default', DEFAULT_LIST)
    chownSync(at('much'), 12, 345678)
    chownSync(at('empty'), 3_000_000, 4)
    chmodSync(at('empty'), 0o1777)
  }
  times(at('few'), 1_234_567_890, 123_456_789)
  times(at('more'), -3, 999_999_999)
  times(at('deep', 'link'), 4_000_000_000, 1)
  times(at('deep/er'), 1_000_000_000, 1)
  times(at('deep'), 77, 7)
  times(folder, 1_111_111_111, 222_222_222)
}

/** Data at its beginning, in the middle and in part of a block, and a hole at its end. */
function writeSparse(path: string): void {
  const fd = openSync(path, 'w')
  writeSync(fd, noise(8192), 0, 8192, 0)
  writeSync(fd, noise(5000), 0, 5000, 3 * MIB)
  writeSync(fd, noise(100), 0, 100, 7 * MIB + 1000)
  ftruncateSync(fd, 20 * MIB + 5)
  closeSync(fd)
}

/** Bytes that compress little, always the same for one size. */
export function noise(size: number): Buffer {
  const bytes = Buffer.alloc(size)
  let state = size + 1
  for (let i = 0; i < size; i++) {
    state = Math.imul(state, 1664525) + 1013904223
    bytes[i] = state >>> 24
  }
  return bytes
}

/** Rows of a manifest, of which is left out what a filesystem decides by itself: links of directories, blocks. */
export function comparable(rows: readonly ManifestRow[]): object[] {
  return rows
    .filter(({ path }) => path !== 'lost+found')
    .map((row) => ({ ...row, links: row.type === 'd' ? '' : row.links, blocks: '' }))
    .sort((a, b) => (a.path < b.path ? -1 : 1))
}

/** The rows of a local tree, with extended attributes if there is `native`. */
export function localRows(folder: string, native: Native | undefined): ManifestRow[] {
  const attributes = new Map<string, string>()
  const visit = (file: Buffer, path: string): void => {
    if (native !== undefined) attributes.set(path, attributesText(file, native))
    if (!lstatSync(file).isDirectory()) return
    for (const name of readdirSync(file, { encoding: 'buffer' })) {
      visit(Buffer.concat([file, Buffer.from('/'), name]), path === '.' ? encoded(name) : `${path}/${encoded(name)}`)
    }
  }
  visit(Buffer.from(folder), '.')
  return localTree(folder).map((row) => ({ ...row, xattrs: attributes.get(row.path) ?? '-' }))
}

function attributesText(file: Buffer, native: Native): string {
  const texts = native.listXattrs(file).map((name) => {
    const value = native.getXattr(file, name) ?? new Uint8Array(0)
    return `${encoded(name)}=${Buffer.from(value).toString('hex')}`
  })
  return texts.length === 0 ? '-' : texts.sort().join(',')
}

/** As manifests have names. */
function encoded(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) =>
    byte < 33 || byte > 126 || byte === 0x25 || byte === 0x2c
      ? `%${byte.toString(16).padStart(2, '0')}`
      : String.fromCharCode(byte),
  ).join('')
}
