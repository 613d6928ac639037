/**
 * `list` of every btree, whole processes: ours and the real tool's, on a volume of 100,000 files. Output goes to nowhere, so that
 * neither waits for a reader. The real tool lists one btree in a run; ours can list all of them in one.
 */

import { fileURLToPath } from 'node:url'
import { BTREE_NAMES } from '@cowherd/db'
import { needPlace } from '@cowherd/referee'
import { type Contender, measure, ofProcess } from '../measure.ts'
import type { Row } from '../row.ts'
import { smallFiles, volumeOf } from '../trees.ts'

const FILES = 100_000
const VOLUME_BYTES = 3 * 2 ** 30
/** Rows of their own: the btrees with a key for each file. */
const LARGE = ['extents', 'inodes', 'dirents', 'backpointers', 'accounting']

export async function list(rounds: number): Promise<Row[]> {
  const volume = volumeOf(smallFiles(FILES), VOLUME_BYTES)
  const main = fileURLToPath(new URL('../../../../apps/cowherd/dist/bundle/main.js', import.meta.url))
  const { bcachefs } = needPlace()
  const ours = (btrees: readonly string[]) =>
    all('cowherd', btrees, (btree) => [process.execPath, [main, 'list', '-b', btree, volume]])
  const row = async (what: string, btrees: readonly string[], contenders: Contender[]): Promise<Row> => {
    const theirs = all('bcachefs-tools', btrees, (btree) => [bcachefs, ['list', '-b', btree, volume]])
    return { what, figures: await measure([...contenders, theirs], rounds), peer: 'bcachefs-tools' }
  }
  const atOnce = ofProcess('cowherd, in one run', process.execPath, [main, 'list', '-b', 'all', volume])
  const rows = [await row('list of all btrees', BTREE_NAMES, [atOnce, ours(BTREE_NAMES)])]
  for (const btree of LARGE) rows.push(await row(`list ${btree}`, [btree], [ours([btree])]))
  return rows
}

/** One process for each btree, one after another. */
function all(
  name: string,
  btrees: readonly string[],
  command: (btree: string) => [program: string, args: readonly string[]],
): Contender {
  const each = btrees.map((btree) => ofProcess(name, ...command(btree)))
  return {
    name,
    async sample() {
      let sum = 0
      for (const contender of each) sum += await contender.sample()
      return sum
    },
  }
}
