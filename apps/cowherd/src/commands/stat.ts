/** `cowherd stat`: everything that is known of a file. */

import type { Command } from 'commander'
import { BtreeId, bpos, KEY_POS_AT, type Volume } from '@cowherd/db'
import type { FileSystem, FileSystemReader, Inode } from '@cowherd/fs'
import type { Context } from '../cli/context.ts'
import { fileRecord, nameFields } from '../cli/file-record.ts'
import { examples } from '../cli/help.ts'
import { hex, jsonText } from '../cli/json.ts'
import { modeText, nanosecondText, printable, sizeText, typeText, utf8 } from '../cli/text.ts'
import { takesVolume, type VolumeFlags } from '../cli/volume-options.ts'
import { failureText, findFile, pathText, type NamedFile } from '../cli/volume-path.ts'
import { aclText } from '../tar/acl-text.ts'

interface Flags extends VolumeFlags {
  readonly extents?: boolean
  readonly json?: boolean
}

export function registerStat(program: Command, context: Context): void {
  const command = takesVolume(program.command('stat').description('print all attributes of files'))
    .argument('<paths...>', 'paths in the volume')
    .option('--extents', 'with the keys that say where the data is')
    .option('--json', 'print as JSON: an array, one element a path')
    .action(async (volume: string, paths: string[], flags: Flags) => {
      const forExtents = flags.extents === true ? await openForExtents(context, volume, flags) : undefined
      const fs = forExtents?.fs ?? (await context.openFileSystem(volume, flags))
      const records: object[] = []
      for (const path of paths) {
        try {
          const file = findFile(fs, path, { followLast: false })
          const details = detailsOf(fs, file, forExtents)
          if (flags.json === true) records.push(jsonRecord(fs, details))
          else for (const line of lines(fs, details)) context.out.line(line)
        } catch (error) {
          context.fail(failureText(path, error))
        }
      }
      if (flags.json === true) context.out.line(jsonText(records, 2))
    })
  examples(command, ['cowherd stat disk.img /etc/passwd', 'cowherd stat --extents --json disk.img /var/lib/db'])
}

/** The keys are looked at in the volume itself, which a mount would not show. */
interface ForExtents {
  readonly volume: Volume
  readonly fs: FileSystem
}

async function openForExtents(context: Context, volume: string, flags: VolumeFlags): Promise<ForExtents> {
  const opened = await context.openVolume(volume, flags)
  const { openFileSystem } = await import('@cowherd/fs')
  return { volume: opened, fs: openFileSystem(opened) }
}

interface Details {
  readonly file: NamedFile
  readonly inode: Inode
  readonly xattrs: readonly { readonly name: Uint8Array; readonly value: Uint8Array }[]
  readonly options: readonly { readonly name: string; readonly value: string }[]
  readonly extents: readonly ExtentRow[] | undefined
}

/** A key of the extents btree: a range of the file, and what lies there. */
interface ExtentRow {
  readonly offset: number
  readonly length: number
  readonly type: string
  readonly value: string
}

function detailsOf(fs: FileSystemReader, file: NamedFile, forExtents: ForExtents | undefined): Details {
  const inode = fs.newInode()
  fs.getattr(file.ref, inode)
  const options: { name: string; value: string }[] = []
  fs.forEachOptionAttribute(file.ref, (name, value) => options.push({ name, value }))
  const extents = forExtents === undefined ? undefined : extentRows(forExtents, file)
  return { file, inode, xattrs: fs.listAttributes(file.ref), options, extents }
}

function extentRows({ fs, volume }: ForExtents, { ref }: NamedFile): ExtentRow[] {
  const subvolume = fs.listSubvolumes().find(({ id }) => id === ref.subvolume)
  if (subvolume === undefined) return []
  const rows: ExtentRow[] = []
  const cursor = volume.snapshotCursor(BtreeId.extents, subvolume.snapshot)
  const { key } = cursor
  const start = bpos((BigInt(ref.inodeHi) << 32n) | BigInt(ref.inodeLo), 0n)
  for (let found = cursor.seek(start); found; found = cursor.next()) {
    if (key.words[KEY_POS_AT + 3] !== ref.inodeLo || key.words[KEY_POS_AT + 4] !== ref.inodeHi) break
    const type = volume.keyTypes.get(key.type)
    rows.push({
      offset: key.start * 512,
      length: key.size * 512,
      type: type?.name ?? `unknown type ${key.type}`,
      value: type?.print?.(key, volume.shape) ?? '',
    })
  }
  return rows
}

function jsonRecord(fs: FileSystemReader, { file, inode, xattrs, options, extents }: Details): object {
  return {
    ...fileRecord(fs, file.path, file.ref, inode),
    ...(isFromVolume(inode) ? { generation: inode.generation, flags: inode.flags } : {}),
    xattrs: xattrs.map(({ name, value }) => ({ ...nameFields('name', name), value })),
    options: Object.fromEntries(options.map(({ name, value }) => [name, value])),
    ...(extents === undefined ? {} : { extents }),
  }
}

function lines(fs: FileSystemReader, { file, inode, xattrs, options, extents }: Details): string[] {
  const { ref, path } = file
  const target = inode.isSymlink ? ` -> ${printable(fs.readlink(ref))}` : ''
  const device = inode.isDevice ? `  device ${inode.deviceMajor}:${inode.deviceMinor}` : ''
  const { mode, size, sectors, uid, gid, linkCount } = inode
  const snapshot = isFromVolume(inode) ? `  snapshot: ${inode.snapshot}` : ''
  const large = size >= 1024 ? ` (${sizeText(size)})` : ''
  return [
    `  file: ${pathText(path)}${target}`,
    `  type: ${typeText(mode)}${device}`,
    `  size: ${size}${large}  blocks: ${sectors}`,
    ` inode: ${inode.number}  subvolume: ${ref.subvolume}${snapshot}  links: ${linkCount}`,
    `  mode: ${(mode & 0o7777).toString(8).padStart(4, '0')} (${modeText(mode)})  uid: ${uid}  gid: ${gid}`,
    `access: ${nanosecondText(inode.atimeSeconds, inode.atimeNanoseconds)}`,
    `modify: ${nanosecondText(inode.mtimeSeconds, inode.mtimeNanoseconds)}`,
    `change: ${nanosecondText(inode.ctimeSeconds, inode.ctimeNanoseconds)}`,
    ` birth: ${nanosecondText(inode.otimeSeconds, inode.otimeNanoseconds)}`,
    ...xattrs.map(({ name, value }) => ` xattr: ${printable(name)} = ${valueText(name, value)}`),
    ...options.map(({ name, value }) => `option: ${name} = ${printable(value)}`),
    ...(extents ?? []).map(({ offset, length, type, value }) =>
      `extent: ${offset}..${offset + length} ${type} ${printable(value)}`.trimEnd(),
    ),
  ]
}

/** Otherwise a mount has shown it, which tells nothing of snapshots and flags; on a volume no inode has the snapshot 0. */
function isFromVolume({ snapshot }: Inode): boolean {
  return snapshot !== 0
}

/** An attribute's value: an ACL in words, text in quotes, anything else in hex. */
function valueText(name: Uint8Array, value: Uint8Array): string {
  const acl = utf8(name)?.startsWith('system.posix_acl_') === true ? aclText(value) : undefined
  if (acl !== undefined) return acl.trimEnd().replaceAll('\n', ',')
  const text = utf8(value)
  return text !== undefined && printable(text) === text ? JSON.stringify(text) : `0x${hex(value)}`
}
