/**
 * `cowherd manifest`: one line for each file, with everything that can be told of it on one line. Two trees are equal if
 * their manifests are.
 *
 * Columns, separated by tabs: path (`.` is the start), type (f d l p s b c), mode (octal), uid, gid, number of links, size
 * (0 for directories), time of modification in nanoseconds, device number (major:minor), sha256 of the content or target of
 * the link or `-`, extended attributes (`name=hex` joined by commas, by name; `-` if none), blocks of 512 bytes.
 * Bytes outside ASCII 33 to 126, `%` and `,` are written `%xx`. Depth first, names in the order of their bytes.
 */

import type { Command } from 'commander'
import { FileType, TreeWalk, type FileSystemReader, type Inode, type NodeRef } from '@cowherd/fs'
import type { Context } from '../cli/context.ts'
import { examples } from '../cli/help.ts'
import { Interruption } from '../cli/interruption.ts'
import { JsonArray } from '../cli/json.ts'
import { sharing, type ReadingFlags } from '../cli/reading.ts'
import { takesThreads, takesVolume } from '../cli/volume-options.ts'
import { findFile } from '../cli/volume-path.ts'
import { COLUMNS } from '../copy/local-tree.ts'
import { DigestTask, encoded, type DigestItem, type DigestResult } from '../parallel/digest-task.ts'
import { OrderedWork, type OrderedWorkOptions } from '../parallel/ordered-work.ts'

export function registerManifest(program: Command, context: Context): void {
  const command = takesThreads(
    takesVolume(program.command('manifest').description('print one line for each file, with all there is to tell')),
  )
    .argument('[path]', 'path in the volume; the root if left out', '/')
    .option('--json', 'print the same columns as JSON, an object for each file')
    .action(async (volume: string, path: string, flags: ManifestFlags) => {
      const reading = await context.openReading(volume, flags)
      const { fs } = reading
      const start = findFile(fs, path, { followLast: false })
      const json = flags.json === true ? new JsonArray(context.out) : undefined
      const report: ManifestReport = {
        file(columns) {
          if (json === undefined) context.out.line(columns.join('\t'))
          else json.add(Object.fromEntries(COLUMNS.map((name, i) => [name, columns[i]])))
        },
        fail: (text) => context.fail(text),
      }
      const work = new OrderedWork({
        task: new DigestTask(fs),
        interruption: context.interruption,
        note: (text) => context.note(text),
        fail: report.fail,
        ...sharing(reading, { name: 'digest', settings: undefined }),
      })
      reading.notes.to = (text) => work.noteHere(text)
      try {
        await writeManifest(fs, report, start.ref, work)
      } finally {
        await work.end()
      }
      json?.end()
    })
  const remark = [
    'Columns, separated by tabs: path, type, mode, uid, gid, links, size, time of modification in ns, device number,',
    'sha256 or target of the link, extended attributes (name=hex), blocks of 512 bytes. EIO stands for a file that',
    'can not be read.',
  ]
  examples(command, ['cowherd manifest disk.img > disk.tsv', 'cowherd manifest disk.img /home'], remark.join('\n'))
}

interface ManifestFlags extends ReadingFlags {
  readonly json?: boolean
}

/** Takes the files of a manifest, and what could not be read. */
export interface ManifestReport {
  /** `columns` are those of `COLUMNS`. */
  readonly file: (columns: readonly (string | number)[]) => void
  readonly fail: (text: string) => void
}

/** Writes the manifest of the tree at `start`. `work` reads the files; one thread if absent. */
export async function writeManifest(
  fs: FileSystemReader,
  report: ManifestReport,
  start: Readonly<NodeRef> = fs.root,
  work: DigestWork = new OrderedWork({ ...ALONE, task: new DigestTask(fs), fail: report.fail }),
): Promise<void> {
  const walk = new TreeWalk(
    fs,
    {
      visit: ({ path, ref, inode }) => {
        const type = typeLetter(inode)
        const name = encoded(path)
        const columns = columnsOf(inode, type, name)
        const { subvolume, inodeHi, inodeLo } = ref
        const bytes = type === 'f' ? Math.min(inode.size, 512 * inode.sectors) : 0
        work.add([type, name, subvolume, inodeHi, inodeLo], bytes, ([content, attributes]) => {
          columns[CONTENT] = content
          columns[ATTRIBUTES] = attributes
          report.file(columns)
        })
      },
      fail: (path, error) => work.then(() => report.fail(`${encoded(path)}: ${error.message}`)),
    },
    start,
  )
  while (walk.step()) if (work.isFull) await work.advance()
  await work.finish()
}

type DigestWork = OrderedWork<DigestItem, DigestResult>

const ALONE: Pick<OrderedWorkOptions<DigestItem, DigestResult>, 'interruption' | 'note'> = {
  interruption: new Interruption(),
  note: () => undefined,
}

const CONTENT = COLUMNS.indexOf('content')
const ATTRIBUTES = COLUMNS.indexOf('xattrs')

/** All that is known of a file before it is read. */
function columnsOf(inode: Inode, type: string, name: string): (string | number)[] {
  return [
    name === '' ? '.' : name,
    type,
    (inode.mode & 0o7777).toString(8),
    inode.uid,
    inode.gid,
    inode.linkCount,
    type === 'd' ? 0 : inode.size,
    nanoseconds(inode),
    `${inode.deviceMajor}:${inode.deviceMinor}`,
    '-',
    '-',
    inode.sectors,
  ]
}

function typeLetter(inode: Inode): string {
  switch (inode.mode & FileType.mask) {
    case FileType.regular:
      return 'f'
    case FileType.directory:
      return 'd'
    case FileType.symlink:
      return 'l'
    case FileType.fifo:
      return 'p'
    case FileType.socket:
      return 's'
    case FileType.block:
      return 'b'
    default:
      return 'c'
  }
}

function nanoseconds(inode: Inode): string {
  return (BigInt(inode.mtimeSeconds) * 1_000_000_000n + BigInt(inode.mtimeNanoseconds)).toString()
}
