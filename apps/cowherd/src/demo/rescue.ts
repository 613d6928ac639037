/**
 * The first part of the demo: volumes that Linux made are shown, copied out and mounted; every file of the copy, and of the mount, is
 * compared with what Linux showed of it.
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { loadNative } from '@cowherd/shim'
import { localTree, parseManifest, type ManifestRow } from '../copy/local-tree.ts'
import { compare } from './comparison.ts'
import type { Stage } from './stage.ts'

const VOLUMES = new URL('../../../../test/fixtures/volumes/', import.meta.url)
const SHOWN_LINES = 14
const hasNative = loadNative() !== undefined
const canMakeNodes = hasNative && process.getuid?.() === 0

/** Rescues the files of a golden volume to the folder `name`. Returns the number of differences. */
export async function rescue(stage: Stage, name: string): Promise<number> {
  const image = join(stage.folder, `${name}.img`)
  writeFileSync(image, gunzipSync(readFileSync(new URL(`${name}.img.gz`, VOLUMES))))
  await stage.show(['show-super', image], SHOWN_LINES)
  await stage.show(['ls', '-l', image, ...(name === 'default' ? ['/', '/tree'] : [])], 30)
  await stage.show(['get', image, '/', join(stage.folder, name)])
  const faults = compareWithLinux(stage, name, join(stage.folder, name), 'copy')
  return faults + mountAndCompare(stage, name, image)
}

/** Mounts the image, compares what the mount shows, and unmounts. */
function mountAndCompare(stage: Stage, name: string, image: string): number {
  const directory = join(stage.folder, 'mnt')
  mkdirSync(directory, { recursive: true })
  if (!stage.showCowherd('mount', '-o', 'ro', image, directory)) {
    stage.line('(Nothing can be mounted here; what `cowherd ls` listed above is the same.)')
    return process.env['COWHERD_REQUIRE_FUSE'] === '1' ? 1 : 0
  }
  try {
    stage.showProgram(['ls', '-l', directory])
    return compareWithLinux(stage, name, directory, 'mount')
  } finally {
    stage.showCowherd('umount', directory)
  }
}

function compareWithLinux(stage: Stage, name: string, directory: string, kind: 'copy' | 'mount'): number {
  const mayBeMissing = ({ type }: ManifestRow): boolean =>
    ('bc'.includes(type) && kind === 'copy' && !canMakeNodes) || (kind === 'copy' && !hasNative && 'ps'.includes(type))
  return compare(stage, {
    title: `${name}, ${kind}`,
    judge: 'Linux',
    expected: parseManifest(readFileSync(new URL(`${name}.manifest.tsv`, VOLUMES), 'utf8')),
    found: localTree(directory),
    mayBeMissing,
  })
}
