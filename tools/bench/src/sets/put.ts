/**
 * Getting a tree into a volume, whole processes: `format --source`, `put` and `untar` beside the real tool's `format --source`. The tree lies in a warm page
 * cache; the image in memory (where there is /dev/shm), so that the disk's mood is not what is measured, and for one row on a disk, where it counts too
 * how what has to reach the disk does so.
 */

import { closeSync, existsSync, openSync, rmSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { needPlace } from '@cowherd/referee'
import { measure, ofProcess, type Contender } from '../measure.ts'
import type { Row } from '../row.ts'
import { must } from '../run.ts'
import { BENCH_DIRECTORY, mixedFiles, smallFiles, treeDirectory, type Tree } from '../trees.ts'

const VOLUME_BYTES = 3 * 2 ** 30
const MEMORY = existsSync('/dev/shm') ? '/dev/shm' : BENCH_DIRECTORY
/** The real tool stumbles now and then as it ends, the volume all written (docs/how-to/referees.md): by SIGABRT or SIGSEGV. */
const FORGIVING = '"$@"; code=$?; [ $code = 134 ] || [ $code = 139 ] || exit $code'

export async function put(rounds: number): Promise<Row[]> {
  return [
    await row('1 GiB in mixed files into a volume', mixedFiles(2 ** 30), rounds, MEMORY, 2 ** 30),
    await row('20,000 small files into a volume', smallFiles(20_000), rounds, MEMORY),
    await row('1 GiB in mixed files, on a disk', mixedFiles(2 ** 30), rounds, BENCH_DIRECTORY, 2 ** 30),
  ]
}

async function row(what: string, tree: Tree, rounds: number, folder: string, bytes?: number): Promise<Row> {
  const main = fileURLToPath(new URL('../../../../apps/cowherd/dist/bundle/main.js', import.meta.url))
  const { bcachefs } = needPlace()
  const source = treeDirectory(tree)
  const [image, empty, archive] = ['image', 'empty', 'tar'].map((name) => join(folder, `cowherd-bench-put.${name}`))
  const blank = (): void => {
    rmSync(image, { force: true })
    closeSync(openSync(image, 'w'))
    truncateSync(image, VOLUME_BYTES)
    must('sync', [])
  }
  const formatted = (): void => {
    rmSync(image, { force: true })
    must('cp', ['--sparse=always', empty, image])
    must('sync', [])
  }
  const cowherd = (name: string, words: readonly string[], before: () => void): Contender =>
    ofProcess(`cowherd ${name}`, process.execPath, [main, ...words], before)
  try {
    blank()
    must(process.execPath, [main, 'format', '-q', image])
    must('cp', ['--sparse=always', image, empty])
    must('tar', ['-C', source, '-cf', archive, '.'])
    const untar = `exec "$0" "$1" untar "$2" < "$3"`
    const format = ['format', '-q', `--source=${source}`, image]
    const contenders = [
      cowherd('format --source', format, blank),
      cowherd('put', ['put', '-a', image, `${source}/.`, '/'], formatted),
      ofProcess('cowherd untar', 'sh', ['-c', untar, process.execPath, main, image, archive], formatted),
      ofProcess('bcachefs-tools', 'sh', ['-c', FORGIVING, 'sh', bcachefs, ...format], blank),
    ]
    const figures = await measure(contenders, rounds)
    return { what, figures, peer: 'bcachefs-tools', ...(bytes === undefined ? {} : { bytes }) }
  } finally {
    for (const path of [image, empty, archive]) rmSync(path, { force: true })
  }
}
