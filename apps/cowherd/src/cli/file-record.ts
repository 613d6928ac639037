/** What the commands tell of a file in JSON: the same fields everywhere. */

import type { FileSystemReader, Inode, NodeRef } from '@cowherd/fs'
import { hex } from './json.ts'
import { modeText, typeText, utf8 } from './text.ts'

/** Describes the file `ref` at `path`. */
export function fileRecord(fs: FileSystemReader, path: Uint8Array, ref: Readonly<NodeRef>, inode: Inode): object {
  return {
    ...nameFields('path', path),
    type: typeText(inode.mode),
    mode: (inode.mode & 0o7777).toString(8).padStart(4, '0'),
    permissions: modeText(inode.mode),
    uid: inode.uid,
    gid: inode.gid,
    links: inode.linkCount,
    size: inode.size,
    blocks: inode.sectors,
    inode: inode.number,
    subvolume: ref.subvolume,
    ...(inode.isDevice ? { device: { major: inode.deviceMajor, minor: inode.deviceMinor } } : {}),
    ...(inode.isSymlink ? nameFields('target', fs.readlink(ref)) : {}),
    atime: isoTime(inode.atimeSeconds, inode.atimeNanoseconds),
    mtime: isoTime(inode.mtimeSeconds, inode.mtimeNanoseconds),
    ctime: isoTime(inode.ctimeSeconds, inode.ctimeNanoseconds),
    birth: isoTime(inode.otimeSeconds, inode.otimeNanoseconds),
  }
}

/** `{ path: text }`; a name that isn't UTF-8 comes with its bytes in hex beside it. */
export function nameFields(key: string, name: Uint8Array): Record<string, string> {
  const text = utf8(name)
  if (text !== undefined) return { [key]: text }
  return { [key]: new TextDecoder().decode(name), [`${key}Bytes`]: hex(name) }
}

/** `2024-01-31T12:34:56.123456789Z` */
export function isoTime(seconds: number, nanoseconds: number): string {
  const date = new Date(seconds * 1000)
  if (Number.isNaN(date.getTime())) return `${seconds}.${nanoseconds.toString().padStart(9, '0')} s`
  return date.toISOString().replace('.000Z', `.${nanoseconds.toString().padStart(9, '0')}Z`)
}
