/** `cowherd ls`: what is in a directory. Every name is shown, those with a dot too; sorted by their bytes. */

import type { Command } from 'commander'
import { NodeRef, walk, type FileSystemReader, type Inode } from '@cowherd/fs'
import type { Context } from '../cli/context.ts'
import { fileRecord } from '../cli/file-record.ts'
import { examples } from '../cli/help.ts'
import { JsonArray } from '../cli/json.ts'
import { minuteText, modeText } from '../cli/text.ts'
import { takesVolume, type VolumeFlags } from '../cli/volume-options.ts'
import { failureText, findFile, joinPaths, type NamedFile } from '../cli/volume-path.ts'

interface Flags extends VolumeFlags {
  readonly long?: boolean
  readonly recursive?: boolean
  readonly directory?: boolean
  readonly json?: boolean
}

export function registerLs(program: Command, context: Context): void {
  const command = takesVolume(program.command('ls').description('list directories'))
    .argument('[paths...]', 'paths in the volume; the root if left out')
    .option('-l, --long', 'with mode, links, owner, group, size and time')
    .option('-R, --recursive', 'with everything below')
    .option('-d, --directory', 'directories themselves, not what is in them')
    .option('--json', 'print as JSON')
    .action(async (volume: string, paths: string[], flags: Flags) => {
      const fs = await context.openFileSystem(volume, flags)
      list(context, fs, paths.length === 0 ? ['/'] : paths, flags)
    })
  examples(command, ['cowherd ls -l disk.img /home', 'cowherd ls -lR /dev/sdb1:/dev/sdc1'])
}

function list(context: Context, fs: FileSystemReader, paths: readonly string[], flags: Flags): void {
  const json = flags.json === true ? new JsonArray(context.out) : undefined
  const rows =
    json !== undefined ? new JsonRows(fs, json) : flags.long ? new LongRows(context, fs) : new NameRows(context)
  const directories: NamedFile[] = []
  const inode = fs.newInode()
  let isFirst = true
  for (const text of paths) {
    try {
      // a link named on the command line is followed, unless its own row is asked for
      const followLast = flags.long !== true && flags.directory !== true
      const file = findFile(fs, text, { followLast })
      fs.getattr(file.ref, inode)
      if (inode.isDirectory && flags.directory !== true) {
        directories.push(file)
        continue
      }
      rows.add(file.path.length === 0 ? SLASH : file.path, file, inode)
      isFirst = false
    } catch (error) {
      context.fail(failureText(text, error))
    }
  }
  rows.end()

  const isHeaded = json === undefined && (paths.length > 1 || flags.recursive === true)
  const listed = new Set<string>()
  const pending = directories.reverse()
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    const id = directory.ref.toString()
    if (flags.recursive === true && listed.has(id)) continue // named twice, or part of a circle
    listed.add(id)
    if (isHeaded) {
      context.out.write(isFirst ? '/' : '\n/')
      context.out.write(context.shown(directory.path))
      context.out.write(':\n')
    }
    isFirst = false
    const below = listDirectory(context, fs, directory, rows)
    if (flags.recursive === true) pending.push(...below.reverse())
  }
  json?.end()
}

/** Adds a row for everything in a directory. Returns the directories among it. */
function listDirectory(context: Context, fs: FileSystemReader, directory: NamedFile, rows: Rows): NamedFile[] {
  const below: NamedFile[] = []
  try {
    walk(
      fs,
      {
        visit({ depth, name: shown, ref, inode }) {
          if (depth === 0) return true
          const name = shown.slice() // rows are kept for a while
          const file = { ref: new NodeRef().copy(ref), path: joinPaths(directory.path, name) }
          if (inode.isDirectory) below.push(file)
          rows.add(name, file, inode)
          return false
        },
        fail: (name, error) => context.fail(failureText(joinPaths(directory.path, name), error)),
      },
      directory.ref,
    )
  } catch (error) {
    context.fail(failureText(directory.path, error))
  }
  rows.end()
  return below
}

const SLASH = Uint8Array.of(0x2f)

/** Where the rows of a listing go. */
interface Rows {
  /** Adds a file, shown under `name`. */
  add(name: Uint8Array, file: NamedFile, inode: Inode): void
  /** Ends a block of rows that belong together. */
  end(): void
}

class JsonRows implements Rows {
  readonly #fs: FileSystemReader
  readonly #array: JsonArray

  constructor(fs: FileSystemReader, array: JsonArray) {
    this.#fs = fs
    this.#array = array
  }

  add(_name: Uint8Array, { ref, path }: NamedFile, inode: Inode): void {
    this.#array.add(fileRecord(this.#fs, path, ref, inode))
  }

  end(): void {
    // the array ends with the listing
  }
}

class NameRows implements Rows {
  readonly #context: Context

  constructor(context: Context) {
    this.#context = context
  }

  add(name: Uint8Array, _file: NamedFile, inode: Inode): void {
    writeName(this.#context, name, inode)
    this.#context.out.write('\n')
  }

  end(): void {
    // rows stand for themselves
  }
}

/** Rows are aligned in blocks of so many: a directory may have millions. */
const ROWS_ALIGNED = 1000

interface LongRow {
  readonly columns: readonly string[]
  readonly write: () => void
}

/** The columns of `ls -l`: mode, links, owner, group, size or device, time, name, target. */
class LongRows implements Rows {
  readonly #context: Context
  readonly #fs: FileSystemReader
  #rows: LongRow[] = []

  constructor(context: Context, fs: FileSystemReader) {
    this.#context = context
    this.#fs = fs
  }

  add(name: Uint8Array, { ref, path }: NamedFile, inode: Inode): void {
    const { mode, uid, gid, linkCount, size, deviceMajor, deviceMinor } = inode
    const sizeText = inode.isDevice ? `${deviceMajor}, ${deviceMinor}` : `${size}`
    const time = minuteText(inode.mtimeSeconds)
    const target = inode.isSymlink ? this.#target(ref, path) : undefined
    this.#rows.push({
      columns: [modeText(mode), `${linkCount}`, `${uid}`, `${gid}`, sizeText, time],
      write: () => {
        writeName(this.#context, name, { mode })
        if (target === undefined) return
        this.#context.out.write(' -> ')
        this.#context.out.write(this.#context.shown(target))
      },
    })
    if (this.#rows.length === ROWS_ALIGNED) this.end()
  }

  end(): void {
    const { out } = this.#context
    const widths = [0, 0, 0, 0, 0, 0]
    for (const { columns } of this.#rows) {
      columns.forEach((column, i) => (widths[i] = Math.max(widths[i] ?? 0, column.length)))
    }
    for (const { columns, write } of this.#rows) {
      for (const [i, column] of columns.entries()) out.write(`${column.padStart(widths[i] ?? 0)} `)
      write()
      out.write('\n')
    }
    this.#rows = []
  }

  #target(ref: Readonly<NodeRef>, path: Uint8Array): Uint8Array | undefined {
    try {
      return this.#fs.readlink(ref)
    } catch (error) {
      this.#context.fail(failureText(path, error))
      return undefined
    }
  }
}

/** Writes a name in the colour of its kind. */
function writeName(context: Context, name: Uint8Array, { mode }: { mode: number }): void {
  const shown = context.shown(name)
  context.out.write(typeof shown === 'string' ? colored(context, shown, mode) : shown)
}

function colored(context: Context, name: string, mode: number): string {
  switch (mode >> 12) {
    case 4:
      return context.styled('blue', name)
    case 10:
      return context.styled('cyan', name)
    case 1:
    case 2:
    case 6:
      return context.styled('yellow', name)
    case 12:
      return context.styled('magenta', name)
    default:
      return (mode & 0o111) !== 0 ? context.styled('green', name) : name
  }
}
