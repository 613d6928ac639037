/** New volumes for tests of commands that write to them, and what is to be said of them afterwards. */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { referee } from '@cowherd/referee'
import { expect } from 'vitest'
import { parseManifest, type ManifestRow } from '../copy/local-tree.ts'
import { cowherd, type RunOptions } from './command-line.ts'

let volumes = 0

/** Makes a volume on an image in `folder`. Returns its path. */
export async function newVolume(
  folder: string,
  words: readonly string[] = [],
  options: RunOptions = {},
): Promise<string> {
  const path = join(folder, `volume-${volumes++}.img`)
  const size = words.some((word) => word.startsWith('--fs_size')) ? [] : ['--fs_size=256M']
  expect(await cowherd(['format', '-q', ...size, ...words, path], options)).toMatchObject({ code: 0, err: '' })
  expect(existsSync(path)).toBe(true)
  return path
}

/** What the volume holds. */
export async function rowsOf(volume: string, options: RunOptions = {}): Promise<ManifestRow[]> {
  const { code, out, err } = await cowherd(['manifest', volume], options)
  expect([code, err]).toEqual([0, ''])
  return parseManifest(out)
}

/** Fails if the real fsck, where it is installed, finds anything to say. */
export async function expectFaultless(...devices: string[]): Promise<void> {
  if (!referee.available()) return
  const { code, complaints, stdout, stderr } = await referee.fsck(devices)
  expect(code === 0 && complaints.length === 0 ? '' : stdout + stderr).toBe('')
}
