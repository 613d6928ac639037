/**
 * What a tree of the local filesystem looks like, in the terms of a manifest (see commands/manifest.ts): to compare a copy with
 * what Linux showed of the original.
 */

import { createHash } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  type BigIntStats,
} from 'node:fs'
import { deviceNumber } from '@cowherd/shim'

/** One row of a manifest. */
export interface ManifestRow {
  readonly path: string
  readonly type: string
  readonly mode: string
  readonly uid: string
  readonly gid: string
  readonly links: string
  readonly size: string
  readonly mtimeNs: string
  readonly device: string
  /** sha256 of a file, target of a link, else `-`. */
  readonly content: string
  readonly xattrs: string
  readonly blocks: string
}

/** The columns of a manifest by name, in their order. */
export const COLUMNS = [
  'path',
  'type',
  'mode',
  'uid',
  'gid',
  'links',
  'size',
  'mtimeNs',
  'device',
  'content',
  'xattrs',
  'blocks',
] as const

/** The rows of a manifest's text. */
export function parseManifest(text: string): ManifestRow[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const cells = line.split('\t')
      return Object.fromEntries(COLUMNS.map((name, i) => [name, cells[i] ?? ''])) as Record<
        (typeof COLUMNS)[number],
        string
      >
    })
}

/** The rows of everything below `folder`, which itself is `.`. Extended attributes are left out (`-`): Node can't read them. */
export function localTree(folder: string): ManifestRow[] {
  const rows: ManifestRow[] = []
  const visit = (file: Buffer, path: string): void => {
    const stat = lstatSync(file, { bigint: true })
    rows.push(rowOf(file, path, stat))
    if (!stat.isDirectory()) return
    const names = readdirSync(file, { encoding: 'buffer' }).sort((a, b) => a.compare(b))
    for (const name of names) {
      visit(Buffer.concat([file, SLASH, name]), path === '.' ? encoded(name) : `${path}/${encoded(name)}`)
    }
  }
  visit(Buffer.from(folder), '.')
  return rows
}

const SLASH = Buffer.from('/')

function rowOf(file: Buffer, path: string, stat: BigIntStats): ManifestRow {
  const type = typeLetter(stat)
  return {
    path,
    type,
    mode: (Number(stat.mode) & 0o7777).toString(8),
    uid: `${stat.uid}`,
    gid: `${stat.gid}`,
    links: `${stat.nlink}`,
    size: type === 'd' ? '0' : `${stat.size}`,
    mtimeNs: `${stat.mtimeNs}`,
    device: type === 'b' || type === 'c' ? deviceNumber(Number(stat.rdev)) : '0:0',
    content: type === 'f' ? sha256(file) : type === 'l' ? encoded(readlinkSync(file, { encoding: 'buffer' })) : '-',
    xattrs: '-',
    blocks: `${stat.blocks}`,
  }
}

function typeLetter(stat: BigIntStats): string {
  if (stat.isFile()) return 'f'
  if (stat.isDirectory()) return 'd'
  if (stat.isSymbolicLink()) return 'l'
  if (stat.isFIFO()) return 'p'
  if (stat.isSocket()) return 's'
  return stat.isBlockDevice() ? 'b' : 'c'
}

function sha256(file: Buffer): string {
  const hash = createHash('sha256')
  const piece = Buffer.alloc(1 << 20)
  const fd = openToRead(file)
  try {
    for (let length = readSync(fd, piece); length > 0; length = readSync(fd, piece)) {
      hash.update(piece.subarray(0, length))
    }
  } finally {
    closeSync(fd)
  }
  return hash.digest('hex')
}

/** Opens a file of ours for reading, also one whose mode forbids it. */
function openToRead(file: Buffer): number {
  try {
    return openSync(file, 'r')
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EACCES')) throw error
    const { mode } = lstatSync(file)
    chmodSync(file, 0o600)
    try {
      return openSync(file, 'r')
    } finally {
      chmodSync(file, mode & 0o7777)
    }
  }
}

/** Bytes outside ASCII 33 to 126, `%` and `,` as `%xx`. */
function encoded(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) =>
    byte < 33 || byte > 126 || byte === 0x25 || byte === 0x2c
      ? `%${byte.toString(16).padStart(2, '0')}`
      : String.fromCharCode(byte),
  ).join('')
}
