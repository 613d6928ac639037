/**
 * Getting files off a volume, whole processes: `cowherd get` of 1 GiB in mixed files beside `cp -a` of the same tree from a
 * loop-mounted ext4. Both write to a directory in memory (where there is /dev/shm), emptied before each run, and read from a warm page
 * cache: the disk's mood is not what is measured. Needs root for the mount.
 */

import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { measure, ofProcess } from '../measure.ts'
import { mountLoop } from '../mounts.ts'
import type { Row } from '../row.ts'
import { BENCH_DIRECTORY, ext4Of, mixedFiles, smallFiles, type Tree, volumeOf } from '../trees.ts'

const VOLUME_BYTES = 3 * 2 ** 30

export async function get(rounds: number): Promise<Row[]> {
  return [
    await row('get of 1 GiB in mixed files', mixedFiles(2 ** 30), rounds, 2 ** 30),
    await row('get of 20,000 small files', smallFiles(20_000), rounds),
  ]
}

async function row(what: string, tree: Tree, rounds: number, bytes?: number): Promise<Row> {
  const volume = volumeOf(tree, VOLUME_BYTES)
  const ext4 = ext4Of(tree, VOLUME_BYTES)
  const main = fileURLToPath(new URL('../../../../apps/cowherd/dist/bundle/main.js', import.meta.url))
  const target = join(existsSync('/dev/shm') ? '/dev/shm' : BENCH_DIRECTORY, 'cowherd-bench-out')
  const empty = () => rmSync(target, { recursive: true, force: true })
  const mounted = mountLoop(ext4)
  try {
    const contenders = [
      ofProcess('cowherd get', process.execPath, [main, 'get', '-a', '--threads', '1', volume, '/', target], empty),
      ofProcess('cp -a', 'cp', ['-a', mounted.directory, target], empty),
    ]
    const figures = await measure(contenders, rounds)
    return { what, figures, peer: 'cp -a', ...(bytes === undefined ? {} : { bytes }) }
  } finally {
    mounted.unmount()
    empty()
  }
}
