/**
 * Mounted volumes: whole programs that work on `cowherd mount -o ro`, beside the same programs on libfuse's passthrough_ll (over a
 * loop-mounted ext4 with the same tree), on fuse2fs (of the same ext4 image), and on a filesystem with nothing behind it, on our own
 * FUSE library: the ceiling. What they serve from is in the page cache of the machine, and stays there: the disk's mood is
 * not what is measured. Needs root.
 *
 * Several programs at once are measured on cowherd alone: with one thread that serves, and with two.
 *
 * Caches of the mount itself are in one of three states:
 *     new mount      the server has just started, the kernel knows nothing
 *     cold           the server has run for a while, the kernel has forgotten everything
 *     repeated       the kernel remembers what it saw the last time
 */

import { join } from 'node:path'
import { compileC } from '../compile.ts'
import { type Contender, measure, ofPrinted, ofProcess } from '../measure.ts'
import { mountLoop, type MountPoint, mountPoint, readAheadKiB, type Server } from '../mounts.ts'
import type { Row } from '../row.ts'
import { run } from '../run.ts'
import { cowherdMount, descriptorLimit, fuse2fs, nullFilesystem, passthrough } from '../servers.ts'
import { ext4Of, largeFile, smallFiles, type Tree, treeDirectory, volumeOf } from '../trees.ts'

const VOLUME_BYTES = 3 * 2 ** 30
const FILES = 20_000
const LARGE_BYTES = 2 ** 30
const READS = 20_000
const READ_BYTES = 4096
const PEER = 'passthrough_ll'
/** Of ours among themselves. */
const ONE_THREAD = '1 thread'
const TWO_THREADS = '2 threads'

export async function mount(rounds: number): Promise<Row[]> {
  const files = Math.min(FILES, mostFiles())
  const small = smallFiles(files)
  const large = largeFile(LARGE_BYTES)
  const oursOfSmall = () => [cowherdMount('cowherd', volumeOf(small, VOLUME_BYTES)), nullFilesystem(files, 0)]
  const oursOfLarge = () => [
    cowherdMount('cowherd, crc32c', volumeOf(large, VOLUME_BYTES)),
    cowherdMount('cowherd, no checksums', volumeOf(large, VOLUME_BYTES, 'none')),
    nullFilesystem(0, LARGE_BYTES),
  ]
  return [
    ...(await onMounts(small, oursOfSmall, (points) => treeRows(points, rounds, files))),
    ...(await onMounts(large, oursOfLarge, (points) => fileRows(points, rounds))),
    ...(await onOurs(small, (points) => parallelTreeRows(points, rounds, files))),
    ...(await onOurs(large, (points) => parallelFileRows(points, rounds))),
  ]
}

/** Two programs that work on a half of the small files each. */
async function parallelTreeRows(points: readonly MountPoint[], rounds: number, count: number): Promise<Row[]> {
  const onHalves = (command: (paths: string) => string) => (point: MountPoint) => {
    const line = `cd "$0" && { ${command('*[02468]')} & ${command('*[13579]')}; wait; } > /dev/zero`
    return twice(point, line, point.dropCaches)
  }
  const find = onHalves((paths) => `find ${paths} -ls`)
  const tar = onHalves((paths) => `tar -c -f - ${paths}`)
  const files = `${count.toLocaleString('en')} files`
  return [
    await row(`find -ls of ${files} by two, cold`, points, rounds, find),
    await row(`tar of ${files} by two, cold`, points, rounds, tar),
  ]
}

/** Two programs that read a half of the large file each. */
async function parallelFileRows(points: readonly MountPoint[], rounds: number): Promise<Row[]> {
  const half = LARGE_BYTES / 2 ** 21
  const part = (skip: number) => `dd if="$0/file" of=/dev/null bs=1M status=none skip=${skip} count=${half}`
  const read = (point: MountPoint) => twice(point, `${part(0)} & ${part(half)}; wait`, point.dropCaches)
  return [await row('read of 1 GiB by two, cold', points, rounds, read, LARGE_BYTES)]
}

/** A line of shell that does something twice at once, with the directory of the mount as `$0`. */
function twice(point: MountPoint, line: string, before: () => Promise<void>): Contender {
  return ofProcess(point.server.name, 'sh', ['-c', line, point.directory], before)
}

/** `find` and `tar` of the small files. */
async function treeRows(points: readonly MountPoint[], rounds: number, count: number): Promise<Row[]> {
  const files = `${count.toLocaleString('en')} files`
  const find = (point: MountPoint, before?: () => Promise<void>) =>
    ofProcess(point.server.name, 'find', [point.directory, '-ls'], before)
  // GNU tar reads no files when it sees that it writes to /dev/null.
  const tar = (point: MountPoint, before: () => Promise<void>) =>
    ofProcess(point.server.name, 'tar', ['-c', '-f', '/dev/zero', '-C', point.directory, '.'], before)
  return [
    await row(`find -ls of ${files}, new mount`, points, rounds, (point) => find(point, point.renew)),
    await row(`find -ls of ${files}, cold`, points, rounds, (point) => find(point, point.dropCaches)),
    await row(`find -ls of ${files}, repeated`, points, rounds, (point) => find(point)),
    await row(`tar of ${files}, new mount`, points, rounds, (point) => tar(point, point.renew)),
    await row(`tar of ${files}, cold`, points, rounds, (point) => tar(point, point.dropCaches)),
  ]
}

/** Sequential and random reads of the large file. */
async function fileRows(points: readonly MountPoint[], rounds: number): Promise<Row[]> {
  const file = (point: MountPoint) => join(point.directory, 'file')
  const dropAll = async () => {
    for (const point of points) await point.dropCaches() // of the others too: memory is for what they serve from
  }
  const dd = (point: MountPoint) =>
    ofProcess(point.server.name, 'dd', [`if=${file(point)}`, 'of=/dev/null', 'bs=1M', 'status=none'], dropAll)
  const rows = [
    {
      ...(await row('read of 1 GiB, cold', points, rounds, dd, LARGE_BYTES)),
      note: `the kernel reads ahead ${points.map(readAheadText).join(', ')}`,
    },
  ]
  const program = compileC('random-reads')
  if (program === undefined) return rows
  const random = (how: string, point: MountPoint, before?: () => Promise<void>) =>
    ofPrinted(point.server.name, program, [how, file(point), String(READS)], before)
  const direct = (point: MountPoint) => random('direct', point)
  const buffered = (point: MountPoint) => random('buffered', point, point.dropCaches)
  return [
    ...rows,
    await row('random read of 4 KiB, O_DIRECT', points, rounds, direct, READ_BYTES),
    await row('random read of 4 KiB, cold', points, rounds, buffered, READ_BYTES),
  ]
}

function readAheadText({ server, directory }: MountPoint): string {
  return `${readAheadKiB(directory) ?? '?'} KiB for ${server.name}`
}

async function row(
  what: string,
  points: readonly MountPoint[],
  rounds: number,
  contender: (point: MountPoint) => Contender,
  bytes?: number,
): Promise<Row> {
  const names = points.map(({ server }) => server.name)
  const peer = [PEER, ONE_THREAD].find((each) => names.includes(each)) ?? names[names.length - 1]
  const figures = await measure(points.map(contender), rounds)
  return { what, figures, peer, ...(bytes === undefined ? {} : { bytes }) }
}

/** Mounts ours and the peers with the tree, checks what they show, and unmounts them when the rows are measured. */
async function onMounts(
  tree: Tree,
  ours: () => (Server | undefined)[],
  rows: (points: readonly MountPoint[]) => Promise<Row[]>,
): Promise<Row[]> {
  const image = ext4Of(tree, VOLUME_BYTES)
  const ext4 = mountLoop(image)
  try {
    return await onServers(tree, [...ours(), passthrough(() => ext4.directory), fuse2fs(image)], rows)
  } finally {
    ext4.unmount()
  }
}

/** The same with cowherd alone, served by one thread and by two. */
async function onOurs(tree: Tree, rows: (points: readonly MountPoint[]) => Promise<Row[]>): Promise<Row[]> {
  const volume = volumeOf(tree, VOLUME_BYTES)
  return onServers(tree, [cowherdMount(TWO_THREADS, volume, { threads: 2 }), cowherdMount(ONE_THREAD, volume)], rows)
}

async function onServers(
  tree: Tree,
  servers: readonly (Server | undefined)[],
  rows: (points: readonly MountPoint[]) => Promise<Row[]>,
): Promise<Row[]> {
  const points = servers.filter((each) => each !== undefined).map(mountPoint)
  try {
    for (const point of points) await mountAndCheck(point, tree)
    return points.length === 0 ? [] : await rows(points)
  } finally {
    for (const point of points) await point.unmount()
  }
}

async function mountAndCheck(point: MountPoint, tree: Tree): Promise<void> {
  await point.renew()
  const [shown, there] = [await contentsOf(point.directory), await contentsOf(treeDirectory(tree))]
  if (shown.files !== there.files) throw new Error(`${point.server.name} shows ${shown.files} files of ${there.files}`)
  if (point.server.shows === 'tree' && shown.hash !== there.hash)
    throw new Error(`${point.server.name}: wrong contents`)
}

/** How many files a directory has, and a hash of the contents of all of them in the order of their paths. */
async function contentsOf(directory: string): Promise<{ files: number; hash: string }> {
  const files = await run('find', [directory, '-type', 'f', '-printf', 'x'])
  const cat = 'cd "$0" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 cat | sha256sum'
  return { files: files.length, hash: await run('sh', ['-c', cat, directory]) }
}

/** How many small files passthrough_ll can show here: it has a descriptor for each, and for each directory of 500. */
function mostFiles(): number {
  return Math.floor((descriptorLimit() - 100) / 501) * 500
}
