/**
 * The second part of the demo: a new volume is worked with. It is made, mounted, a tree is copied in and changed by ordinary programs, and
 * unmounted; then every file is as those programs saw it, and the real tool, if there is one, finds nothing wrong.
 */

import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { needPlace, referee } from '@cowherd/referee'
import { localTree, type ManifestRow } from '../copy/local-tree.ts'
import { compare } from './comparison.ts'
import type { Stage } from './stage.ts'

const CHANGES = [
  'mkdir mnt/letters',
  'echo "Dear cow," > mnt/letters/draft',
  'mv mnt/letters/draft mnt/letters/first',
  'ln mnt/letters/first mnt/letters/copy',
  'ln -s letters/first mnt/newest',
  'echo "Moo." >> mnt/letters/copy',
  'rm -r mnt/rescued/many',
]
/** Runs of the real tool until one ends: it crashes now and then. */
const RUNS_MAX = 3

/** Works with a new volume, into which the folder `source` is copied. Returns the number of differences and complaints. */
export async function work(stage: Stage, source: string): Promise<number> {
  const image = join(stage.folder, 'new.img')
  const directory = join(stage.folder, 'mnt')
  mkdirSync(directory, { recursive: true })
  await stage.show(['format', '-q', '--fs_size=256M', '--fs_label=demo', image])
  const seen = stage.showCowherd('mount', image, directory)
    ? changeMounted(stage, directory, source)
    : await changeUnmounted(stage, image, source)
  await stage.show(['ls', '-lR', image, '/letters'])
  let faults = 0
  if (seen !== undefined) {
    const copy = join(stage.folder, 'again')
    await stage.show(['get', image, '/', copy])
    faults += compare(stage, {
      ...{ title: 'new.img, after it was unmounted', judge: 'the mount' },
      ...{ expected: seen, found: localTree(copy) },
    })
  }
  return faults + checkWithRealTool(stage, image)
}

/** Returns what programs saw in the end. */
function changeMounted(stage: Stage, directory: string, source: string): ManifestRow[] {
  try {
    for (const command of [`cp -a ${source} mnt/rescued`, ...CHANGES]) {
      if (!stage.showProgram(['sh', '-c', command], command)) throw new Error(`${command} failed`)
    }
    stage.showProgram(['ls', '-l', 'mnt', 'mnt/letters'])
    stage.showProgram(['df', '-h', 'mnt'])
    return localTree(directory)
  } finally {
    stage.showCowherd('umount', directory)
  }
}

/** The same without a mount, as far as it goes. */
async function changeUnmounted(stage: Stage, image: string, source: string): Promise<undefined> {
  stage.line('(Nothing can be mounted here; cowherd changes volumes without a mount, too.)')
  await stage.show(['put', '-a', image, join(stage.folder, source), '/rescued'])
  await stage.show(['mkdir', image, '/letters'])
  await stage.show(['mv', image, '/rescued', '/letters/rescued'])
  return undefined
}

/** Returns 1 if the real tool has complaints. */
function checkWithRealTool(stage: Stage, image: string): number {
  const tool = referee.available() ? needPlace().bcachefs : 'bcachefs'
  const run = (...words: readonly string[]) => spawnSync(tool, [...words, image], { encoding: 'utf8' })
  if (run('version').error !== undefined) {
    stage.line(
      '\n(The real bcachefs is not installed here: `npm run referee -- setup` does that, for this demo and the tests.)',
    )
    return 0
  }
  stage.line('\n$ bcachefs fsck -n new.img          # the real tool')
  for (let runs = 1; ; runs++) {
    const { status, stdout, stderr } = run('fsck', '-n')
    if (status === null && runs < RUNS_MAX) continue
    for (const line of `${stdout}${stderr}`.trimEnd().split('\n')) if (!line.includes('modprobe')) stage.line(line)
    return status === 0 ? 0 : 1
  }
}
