/**
 * Mounted volumes that are written: programs that work on `cowherd mount`, beside the same programs on libfuse's passthrough_ll over a loop-mounted
 * ext4, on fuse2fs, and on the kernel's own ext4 and btrfs on a loop device, which nobody in userspace will reach. A filesystem that keeps
 * names in memory, and data nowhere, on our own FUSE library, is the ceiling. Needs root.
 *
 * Each round makes new filesystems, and goes through three courses with each: names, one large file, a tree of sources.
 */

import { join } from 'node:path'
import { compileC } from '../compile.ts'
import { measureCourse, type Stand, type Step } from '../course.ts'
import type { Row } from '../row.ts'
import { run, succeeds } from '../run.ts'
import { descriptorLimit } from '../servers.ts'
import { btrfsStand, cowherdStand, ext4Stand, fuse2fsStand, memoryStand, passthroughStand, PLACE } from '../stands.ts'
import { archiveOf, sourceTree } from '../trees.ts'

const PEER = 'passthrough_ll'
const BLOCK = 4096

/** How much of everything is done. */
interface Amounts {
  readonly imageBytes: number
  readonly names: number
  readonly fileBytes: number
  readonly reads: number
  readonly writes: number
  readonly syncs: number
  readonly sources: number
}

const WHOLE: Amounts = {
  ...{ imageBytes: 3 * 2 ** 30, names: 20_000, fileBytes: 2 ** 30 },
  ...{ reads: 20_000, writes: 20_000, syncs: 2000, sources: 8000 },
}
const QUICK: Amounts = {
  ...{ imageBytes: 2 ** 30, names: 5000, fileBytes: 2 ** 28 },
  ...{ reads: 5000, writes: 5000, syncs: 500, sources: 2000 },
}
/** A round takes minutes. */
const ROUNDS_SHARE = 3

export async function mountWrite(rounds: number, isQuick: boolean): Promise<Row[]> {
  const amounts = isQuick ? QUICK : WHOLE
  const courses = [nameSteps(amounts), fileSteps(amounts), sourceSteps(amounts)]
  const rows: Row[] = []
  for (const [course, steps] of courses.entries()) {
    const stands = standsFor(amounts, course < 2)
    const peer = stands.some(({ name }) => name === PEER) ? PEER : 'ext4'
    if (steps.length > 0) rows.push(...(await measureCourse(stands, steps, Math.ceil(rounds / ROUNDS_SHARE), peer)))
  }
  return rows.map((row, i) => (i === 0 ? { ...row, note: PLACE } : row))
}

/** `isHollow`: nobody looks at the data, so one that has none goes along. */
function standsFor({ imageBytes }: Amounts, isHollow: boolean): Stand[] {
  const stands = [
    cowherdStand(imageBytes),
    isHollow ? memoryStand() : undefined,
    passthroughStand(imageBytes),
    fuse2fsStand(imageBytes),
    ext4Stand(imageBytes),
    btrfsStand(imageBytes),
  ]
  return stands.filter((each) => each !== undefined)
}

function nameSteps(amounts: Amounts): Step[] {
  const program = compileC('file-names')
  if (program === undefined) return []
  const files = Math.min(amounts.names, mostFiles())
  const step = (how: string, what: string, isCold = false): Step => ({
    what: `${what} of ${files.toLocaleString('en')} files`,
    isCold,
    times: files,
    work: async (directory) => Number(await run(program, [how, directory, String(files)])),
  })
  return [
    step('create', 'create'),
    step('stat', 'stat, new mount,', true),
    step('rename', 'rename'),
    step('unlink', 'unlink'),
  ]
}

function fileSteps({ fileBytes, reads, writes, syncs }: Amounts): Step[] {
  const [program, reader] = [compileC('file-writes'), compileC('random-reads')]
  if (program === undefined || reader === undefined) return []
  const printed = async (command: string, ...args: (string | number)[]): Promise<number> =>
    Number(await run(command, args.map(String)))
  const file = (directory: string): string => join(directory, 'file')
  const size = `${fileBytes / 2 ** 20} MiB`
  return [
    {
      what: `write of ${size} and fsync`,
      bytes: fileBytes,
      work: (directory) => printed(program, 'fill', file(directory), fileBytes),
    },
    {
      what: `read of ${size}, new mount`,
      bytes: fileBytes,
      isCold: true,
      work: (directory) => printed(program, 'scan', file(directory), fileBytes),
    },
    {
      what: 'random read of 4 KiB, new mount',
      bytes: BLOCK,
      times: reads,
      isCold: true,
      work: (directory) => printed(reader, 'buffered', file(directory), reads),
    },
    {
      what: 'random read of 4 KiB, O_DIRECT',
      bytes: BLOCK,
      times: reads,
      work: (directory) => printed(reader, 'direct', file(directory), reads),
    },
    {
      what: 'random write of 4 KiB, fsync at the end',
      bytes: BLOCK,
      times: writes,
      work: (directory) => printed(program, 'random', file(directory), writes),
    },
    {
      what: 'random write of 4 KiB, O_DIRECT',
      bytes: BLOCK,
      times: writes,
      unable: [PEER], // it hands memory on that is not aligned
      work: (directory) => printed(program, 'direct', file(directory), writes),
    },
    {
      what: 'write of 4 KiB and fsync',
      bytes: BLOCK,
      times: syncs,
      work: (directory) => printed(program, 'synced', join(directory, 'synced'), syncs),
    },
  ]
}

function sourceSteps({ sources }: Amounts): Step[] {
  if (!succeeds('git', ['--version'])) return []
  const archive = archiveOf(sourceTree(sources))
  const inTree = (line: string) => async (directory: string) => {
    const start = process.hrtime.bigint()
    await run('sh', ['-c', line, directory, archive], 'ignore')
    return Number(process.hrtime.bigint() - start)
  }
  const files = `${sources.toLocaleString('en')} sources`
  return [
    { what: `untar of ${files}`, work: inTree('mkdir "$0/tree" && exec tar -C "$0/tree" -xf "$1"') },
    { what: `git status of ${files}, the first`, work: inTree('exec git -C "$0/tree" status') },
    { what: `git status of ${files}, new mount`, isCold: true, work: inTree('exec git -C "$0/tree" status') },
    { what: `rm -rf of ${files}`, work: inTree('exec rm -rf "$0/tree"') },
  ]
}

/** How many files passthrough_ll can show here: it has a descriptor for each, and for each directory of 1,000. */
function mostFiles(): number {
  return Math.floor((descriptorLimit() - 100) / 1001) * 1000
}
