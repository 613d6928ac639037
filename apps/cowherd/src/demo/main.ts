/**
 * `npm run demo`: what a user does with cowherd. Files are rescued from two volumes that Linux made (`rescue.ts`), and a new volume is worked
 * with (`work.ts`). Where nothing can be mounted (no /dev/fuse, no fusermount3) that is said, and done without.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { rescue } from './rescue.ts'
import { Stage } from './stage.ts'
import { work } from './work.ts'

async function demo(): Promise<number> {
  const stage = new Stage(mkdtempSync(join(tmpdir(), 'cowherd-demo-')))
  try {
    let faults = 0
    for (const name of ['default', 'snapshots']) faults += await rescue(stage, name)
    faults += await work(stage, 'default')
    stage.line(
      faults === 0 ? '\nEverything came out as Linux shows it, and went in as programs saw it.' : `\n${faults} faults.`,
    )
    return faults === 0 ? 0 : 1
  } finally {
    rmSync(stage.folder, { recursive: true })
  }
}

process.exitCode = await demo()
