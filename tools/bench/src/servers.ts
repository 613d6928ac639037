/**
 * The filesystem servers that are measured: ours and its peers, all with one thread unless they are told otherwise, and with names and attributes that stay
 * valid for a day. One that this machine doesn't have is undefined, and that is said.
 */

import { fileURLToPath } from 'node:url'
import { compileExample } from './compile.ts'
import type { Server } from './mounts.ts'
import { must, printedBy, succeeds } from './run.ts'

const EXAMPLE = '/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c'
const DAY_SECONDS = 86_400

/** Whether a mount is only read. */
type Access = 'ro' | 'rw'

const COWHERD = fileURLToPath(new URL('../../../apps/cowherd/dist/bundle/main.js', import.meta.url))

/** `cowherd mount` of a volume, read by so many threads; to write there is one. */
export function cowherdMount(
  name: string,
  volume: string,
  { threads = 1, access = 'ro' }: { readonly threads?: number; readonly access?: Access } = {},
): Server | undefined {
  const commands = printedBy(process.execPath, [COWHERD, '--help'])
  if (!/^ +mount\b/m.test(commands)) return without(name, 'this build has no `cowherd mount`')
  const options = access === 'ro' ? `ro,threads=${threads}` : 'rw'
  return {
    name,
    shows: 'tree',
    command: (directory) => [process.execPath, COWHERD, 'mount', '-f', '-o', options, volume, directory],
  }
}

/** `cowherd format`, with what is usual. */
export function cowherdFormat(image: string): void {
  must(process.execPath, [COWHERD, 'format', '-q', image])
}

/** A filesystem with nothing behind it on our own loop: a tree as `smallFiles` and `largeFile` make it, of zeros. */
export function nullFilesystem(files: number, largeBytes: number): Server {
  const script = fileURLToPath(new URL('./peers/null-filesystem.js', import.meta.url))
  return {
    name: 'null filesystem',
    shows: 'made-up files',
    command: (directory) => [process.execPath, script, directory, String(files), String(largeBytes)],
  }
}

/** What can be done with names, in memory, on our own loop; of data only the size is kept. */
export function memoryFilesystem(): Server {
  const script = fileURLToPath(new URL('./peers/memory-filesystem.js', import.meta.url))
  return {
    ...{ name: 'names in memory', shows: 'tree', access: 'rw' },
    command: (directory) => [process.execPath, script, directory],
  }
}

/**
 * libfuse's low-level example, which shows a directory of another filesystem. It keeps a descriptor for each file that was seen. Where it is
 * written to, the kernel keeps for a while what is written, as it does for ours.
 */
export function passthrough(source: () => string, access: Access = 'ro'): Server | undefined {
  const program = compileExample(EXAMPLE, 'fuse3')
  if (program === undefined) return without('passthrough_ll', 'no C compiler, or no package libfuse3-dev')
  const kept = `${access === 'ro' ? 'ro' : 'rw,writeback'},timeout=${DAY_SECONDS},cache=always`
  return {
    name: 'passthrough_ll',
    shows: 'tree',
    command: (directory) => {
      const options = `${kept},source=${source()}`
      return ['sh', '-c', MANY_DESCRIPTORS, program, '-s', '-f', '-o', options, directory]
    },
  }
}

/** Gives the program the most descriptors that are allowed. */
const MANY_DESCRIPTORS = 'ulimit -n $(ulimit -Hn) && exec "$0" "$@"'

/** How many descriptors a process may have here. */
export function descriptorLimit(): number {
  const limit = printedBy('sh', ['-c', 'ulimit -Hn']).trim()
  return limit === 'unlimited' ? Infinity : Number(limit)
}

/** The ext4 of e2fsprogs, over libfuse 2's path interface. */
export function fuse2fs(image: string, access: Access = 'ro'): Server | undefined {
  if (!succeeds('sh', ['-c', 'command -v fuse2fs'])) return without('fuse2fs', 'no package fuse2fs')
  const timeouts = ['entry', 'attr', 'negative'].map((each) => `${each}_timeout=${DAY_SECONDS}`)
  const options = [access, 'no_default_opts', 'kernel_cache', 'use_ino', ...timeouts].join(',') // the default is no attr_timeout
  return {
    name: 'fuse2fs',
    shows: 'tree',
    command: (directory) => ['fuse2fs', '-s', '-f', '-o', options, image, directory],
  }
}

/** Says why a contender is left out. */
export function without(name: string, why: string): undefined {
  process.stderr.write(`left out: ${name} (${why})\n`)
}
