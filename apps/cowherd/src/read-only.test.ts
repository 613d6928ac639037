/** Reading writes nothing: after every command the images are, byte for byte and to the nanosecond, what they were. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { copyOf, fixture, fixtureNames } from '@cowherd/fixtures'
import { expect, test } from 'vitest'
import { cowherd } from './testing/command-line.ts'
import { imageState } from './testing/image-state.ts'

test.each(fixtureNames())('%s stays as it was', async (name) => {
  const folder = mkdtempSync(join(tmpdir(), 'cowherd-read-only-'))
  try {
    const golden = fixture(name)
    const images = copyOf(golden, folder)
    const before = images.map(imageState)
    const volume = images.join(':')
    const env: Record<string, string> = golden.passphrase === undefined ? {} : { COWHERD_PASSPHRASE: golden.passphrase }
    const commands = [
      ['show-super', '-l', volume],
      ['manifest', volume],
      ['list', '-b', 'all', volume],
      ['list-journal', '-a', volume],
      ['get', '-a', volume, '/', join(folder, 'out')],
    ]
    for (const argv of commands) expect([0, 1], argv[0]).toContain((await cowherd(argv, { env })).code)
    expect(images.map(imageState)).toEqual(before)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
