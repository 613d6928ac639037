/** `format`, whole processes: ours and the real tool's, over an image that is sparse and grows with nothing but metadata. */

import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { needPlace } from '@cowherd/referee'
import { forgiven, measure, ofProcess } from '../measure.ts'
import type { Row } from '../row.ts'

const SIZES = [
  { what: 'format of 1 GiB', bytes: 2 ** 30 },
  { what: 'format of 1 TiB', bytes: 2 ** 40 },
] as const

export async function format(rounds: number): Promise<Row[]> {
  const main = fileURLToPath(new URL('../../../../apps/cowherd/dist/bundle/main.js', import.meta.url))
  const { bcachefs } = needPlace()
  const folder = mkdtempSync(join(tmpdir(), 'cowherd-bench-format-'))
  const rows: Row[] = []
  for (const { what, bytes } of SIZES) {
    const image = join(folder, 'image')
    writeFileSync(image, '')
    truncateSync(image, bytes)
    const contenders = [
      ofProcess('cowherd', process.execPath, [main, 'format', '-q', '-f', image]),
      forgiven(ofProcess('bcachefs-tools', bcachefs, ['format', '-q', '-f', image])),
    ]
    rows.push({ what, figures: await measure(contenders, rounds), peer: 'bcachefs-tools' })
    rmSync(image)
  }
  rmSync(folder, { recursive: true })
  return rows
}
