/**
 * Reading whole trees with two threads beside one, whole processes: `manifest` and `get` of 1 GiB in mixed files, of 20,000 small ones, and
 * of one large file. Volumes lie in a warm page cache, and copies go to memory (where there is /dev/shm), as in the set `get`. Two whole
 * processes that each do the work with one thread show what the machine's second processor is worth.
 */

import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Contender, measure, ofProcess } from '../measure.ts'
import type { Row } from '../row.ts'
import { run } from '../run.ts'
import { BENCH_DIRECTORY, largeFile, mixedFiles, smallFiles, type Tree, volumeOf } from '../trees.ts'

const VOLUME_BYTES = 3 * 2 ** 30
const LARGE_BYTES = 2 ** 30
const MAIN = fileURLToPath(new URL('../../../../apps/cowherd/dist/bundle/main.js', import.meta.url))
const TARGET = join(existsSync('/dev/shm') ? '/dev/shm' : BENCH_DIRECTORY, 'cowherd-bench-threads')

export async function threads(rounds: number): Promise<Row[]> {
  const trees: [what: string, tree: Tree, bytes?: number][] = [
    ['1 GiB in mixed files', mixedFiles(2 ** 30), 2 ** 30],
    ['20,000 small files', smallFiles(20_000)],
    ['one file of 1 GiB', largeFile(LARGE_BYTES), LARGE_BYTES],
  ]
  const rows: Row[] = []
  for (const [what, tree, bytes] of trees) {
    const volume = volumeOf(tree, VOLUME_BYTES)
    const manifest = (number: number) => [MAIN, 'manifest', '--threads', `${number}`, volume]
    const get = (number: number, target = TARGET) => [MAIN, 'get', '-a', '--threads', `${number}`, volume, '/', target]
    rows.push(await row(`manifest of ${what}`, [manifest, manifest], rounds, bytes))
    rows.push(await row(`get of ${what}`, [get, (number) => get(number, `${TARGET}-2`)], rounds, bytes))
  }
  return rows
}

/** `commands`: the command line for a number of threads, and one that may run at the same time. */
async function row(
  what: string,
  commands: readonly [(threads: number) => string[], (threads: number) => string[]],
  rounds: number,
  bytes?: number,
): Promise<Row> {
  const empty = (): void => {
    for (const target of [TARGET, `${TARGET}-2`]) rmSync(target, { recursive: true, force: true })
  }
  const ofThreads = (number: number, name: string): Contender =>
    ofProcess(name, process.execPath, commands[0](number), empty)
  const twice: Contender = {
    name: 'two processes, per piece of work',
    async sample() {
      empty()
      const start = process.hrtime.bigint()
      await Promise.all(commands.map((command) => run(process.execPath, command(1), 'ignore')))
      return Number(process.hrtime.bigint() - start) / 2
    },
  }
  try {
    const figures = await measure([ofThreads(2, '2 threads'), ofThreads(1, '1 thread'), twice], rounds)
    return { what, figures, peer: '1 thread', ...(bytes === undefined ? {} : { bytes }) }
  } finally {
    empty()
  }
}
