/** A cpio archive in the `newc` form, which the kernel unpacks as its first root directory. Source: cpio(5). */

export interface Entry {
  /** Path without a leading slash. */
  readonly path: string
  /** Type and permissions, as in stat(2). */
  readonly mode: number
  /** Content of a file, target of a symbolic link, nothing for a directory. */
  readonly content?: Uint8Array
}

/** The archive of these entries; each must come behind its directory. */
export function cpio(entries: readonly Entry[]): Buffer {
  const all: Entry[] = [...entries, { path: 'TRAILER!!!', mode: 0 }]
  return Buffer.concat(all.flatMap((entry, index) => record(entry, index + 1)))
}

/** Directory, executable file, plain file, symbolic link. */
export const directory = (path: string): Entry => ({ path, mode: 0o040755 })
export const program = (path: string, content: Uint8Array): Entry => ({ path, mode: 0o100755, content })
export const file = (path: string, content: Uint8Array): Entry => ({ path, mode: 0o100644, content })
export const script = (path: string, text: string): Entry => program(path, Buffer.from(text))

function record({ path, mode, content }: Entry, inode: number): Buffer[] {
  const name = Buffer.from(`${path}\0`)
  const size = content?.length ?? 0
  // inode, mode, uid, gid, links, mtime, size, device and rdev (major, minor), length of the name, checksum (unused)
  const numbers = [inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name.length, 0]
  const header = Buffer.from('070701' + numbers.map((number) => number.toString(16).padStart(8, '0')).join(''))
  return [padded(Buffer.concat([header, name])), padded(Buffer.from(content ?? []))]
}

/** Parts begin at multiples of 4. */
function padded(part: Buffer): Buffer {
  return Buffer.concat([part, Buffer.alloc((4 - (part.length % 4)) % 4)])
}
