/** `cowherd find`: the paths of everything below a directory, chosen by name and type. */

import type { Command } from 'commander'
import { walk, type FileSystemReader } from '@cowherd/fs'
import type { Context } from '../cli/context.ts'
import { CommandError, ExitCode } from '../cli/exit-code.ts'
import { fileRecord } from '../cli/file-record.ts'
import { globPattern } from '../cli/glob.ts'
import { examples } from '../cli/help.ts'
import { JsonArray } from '../cli/json.ts'
import { takesVolume, type VolumeFlags } from '../cli/volume-options.ts'
import { baseName, failureText, findFile, joinPaths } from '../cli/volume-path.ts'

interface Flags extends VolumeFlags {
  readonly name?: string
  readonly iname?: string
  readonly type?: string
  readonly maxdepth?: string
  readonly print0?: boolean
  readonly json?: boolean
}

export function registerFind(program: Command, context: Context): void {
  const command = takesVolume(program.command('find').description('print the paths below a directory'))
    .argument('[path]', 'path in the volume; the root if left out', '/')
    .option('--name <pattern>', 'only names that match: *, ?, [...]; for all of the name')
    .option('--iname <pattern>', 'the same, whatever the case')
    .option('--type <letters>', 'only these types: f, d, l, p, s, b, c; several joined by commas')
    .option('--maxdepth <levels>', 'go down this many levels at most')
    .option('--print0', 'end each path with a NUL instead of a new line')
    .option('--json', 'print as JSON, with all attributes')
    .action(async (volume: string, path: string, flags: Flags) => {
      const wanted = wantedBy(flags)
      const fs = await context.openFileSystem(volume, flags)
      find(context, fs, path, flags, wanted)
    })
  const remark = 'The options may have one dash too, as those of find(1).'
  examples(command, ["cowherd find disk.img /home -name '*.jpg'", 'cowherd find disk.img -type f -print0'], remark)
}

interface Wanted {
  readonly depthMax: number
  isWanted(name: Uint8Array, mode: number): boolean
}

const TYPES: ReadonlyMap<string, number> = new Map([
  ['p', 1],
  ['c', 2],
  ['d', 4],
  ['b', 6],
  ['f', 8],
  ['l', 10],
  ['s', 12],
])

function wantedBy({ name, iname, type, maxdepth }: Flags): Wanted {
  const patterns = [
    ...(name === undefined ? [] : [globPattern(name)]),
    ...(iname === undefined ? [] : [globPattern(iname, { ignoreCase: true })]),
  ]
  const types = type?.split(',').map((letter) => {
    const number = TYPES.get(letter)
    if (number === undefined) throw new CommandError(ExitCode.usage, `-type ${type}: the types are f, d, l, p, s, b, c`)
    return number
  })
  const depthMax = maxdepth === undefined ? Infinity : Number(maxdepth)
  if (!(depthMax >= 0)) throw new CommandError(ExitCode.usage, `-maxdepth ${maxdepth}: not a number of levels`)
  const decoder = new TextDecoder()
  return {
    depthMax,
    isWanted(name, mode) {
      if (types !== undefined && !types.includes((mode >> 12) & 15)) return false
      if (patterns.length === 0) return true
      const text = decoder.decode(name)
      return patterns.every((pattern) => pattern.test(text))
    },
  }
}

const ROOT = Uint8Array.of(0x2f)

function find(context: Context, fs: FileSystemReader, path: string, flags: Flags, wanted: Wanted): void {
  const { out } = context
  const start = findFile(fs, path, { followLast: false })
  // paths begin as they were given, like those of find(1)
  const isAbsolute = path.startsWith('/')
  const end = flags.print0 === true ? '\0' : '\n'
  const json = flags.json === true ? new JsonArray(out) : undefined
  walk(
    fs,
    {
      visit(entry) {
        const { inode, depth } = entry
        const whole = joinPaths(start.path, entry.path)
        const name = depth === 0 ? (whole.length === 0 ? ROOT : baseName(whole)) : entry.name
        if (wanted.isWanted(name, inode.mode)) {
          if (json !== undefined) {
            json.add(fileRecord(fs, whole, entry.ref, inode))
          } else {
            if (isAbsolute || whole.length === 0) out.write('/')
            out.write(flags.print0 === true ? whole : context.shown(whole))
            out.write(end)
          }
        }
        return depth < wanted.depthMax
      },
      fail: (below, error) => context.fail(failureText(joinPaths(start.path, below), error)),
    },
    start.ref,
  )
  json?.end()
}
