/** What the tests of damage share: opening volumes that lie in memory, and telling what is in them. */

import { createHash } from 'node:crypto'
import { keyText, openVolume, POS_MIN, type OpenOptions, type Volume } from '@cowherd/db'
import { fsKeyTypes, openFileSystem, walk } from '@cowherd/fs'
import type { BlockDevice } from '@cowherd/shim'
import { fuzzCodecs } from './codecs.ts'

export interface Opened {
  readonly volume: Volume
  /** What the user was told, so far. */
  readonly notes: string[]
}

export function open(devices: readonly BlockDevice[], options: Partial<OpenOptions> = {}): Opened {
  const notes: string[] = []
  const volume = openVolume(devices, {
    codecs: fuzzCodecs,
    keyTypes: fsKeyTypes,
    note: (message) => notes.push(message),
    passphrase: () => new TextEncoder().encode('cowherd'),
    ...options,
  })
  return { volume, notes }
}

/** All keys of a btree as text, values included. */
export function listed(volume: Volume, btree: number): string[] {
  const cursor = volume.cursor(btree)
  const lines: string[] = []
  for (let found = cursor.seek(POS_MIN); found; found = cursor.next()) {
    lines.push(keyText(cursor.key, volume.keyTypes, volume.shape))
  }
  return lines
}

/** All btrees of a volume as text, by id. */
export function listedAll(volume: Volume): Map<number, string[]> {
  return new Map(volume.btreeIds.map((btree) => [btree, listed(volume, btree)]))
}

/** Each file of the volume with a digest of its data and attributes, or the error that reading it ended with. */
export function filesOf(volume: Volume): Map<string, string> {
  const fs = openFileSystem(volume)
  const files = new Map<string, string>()
  const text = new TextDecoder()
  walk(fs, {
    visit: ({ path, ref, inode }) => {
      const name = text.decode(path)
      try {
        const hash = createHash('sha256')
        hash.update(`${inode.mode} ${inode.size} ${inode.linkCount} `)
        fs.forEachAttribute(ref, (attribute, value) => hash.update(attribute).update(value))
        if (inode.isSymlink) hash.update(fs.readlink(ref))
        if (inode.isRegular) hash.update(contentOf(fs.open(ref, name)))
        files.set(name, hash.digest('hex'))
      } catch (error) {
        files.set(name, String(error))
      }
    },
    fail: (path, error) => files.set(text.decode(path), String(error)),
  })
  return files
}

function contentOf(file: { size: number; read(offset: number, target: Uint8Array): number }): Uint8Array {
  const content = new Uint8Array(Math.min(file.size, 64 << 20))
  for (let at = 0; at < content.length;) {
    const done = file.read(at, content.subarray(at))
    if (done === 0) throw new Error(`nothing read at ${at}`)
    at += done
  }
  return content
}
