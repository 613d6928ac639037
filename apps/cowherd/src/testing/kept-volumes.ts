/**
 * Volumes that programs have worked on, kept until the end of a test file. Then Linux mounts all of them, in one machine, sees the same, and
 * changes them; and what it changed is seen here.
 */

import { copyFileSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { referee } from '@cowherd/referee'
import { expect } from 'vitest'
import { isSoak, linesOf, RW, withoutBlocks, type WorkPlace } from './work-place.ts'

interface Kept {
  readonly image: string
  /** What it holds. */
  readonly rows: readonly string[]
}

export class KeptVolumes {
  private readonly folder = mkdtempSync(join(tmpdir(), 'cowherd-kept-'))
  private readonly kept = new Map<string, Kept>()
  private readonly sample: readonly string[]

  /** `sample`: the names of those that Linux looks at in CI. */
  constructor(sample: readonly string[]) {
    this.sample = sample
  }

  /** Ends the work in a place: the volume is in order, and holds the same when it is mounted again. It is kept under a name. */
  async finish(place: WorkPlace, name: string): Promise<void> {
    const before = withoutBlocks(await place.rows())
    await place.unmount()
    await place.judge()
    await place.mount(place.image)
    const rows = await place.rows()
    expect(withoutBlocks(rows)).toEqual(before)
    await place.unmount()
    if (!isSoak && !this.sample.includes(name)) return
    const image = join(this.folder, name)
    renameSync(place.image, image)
    this.kept.set(name, { image, rows })
  }

  /** Linux sees what there was, and changes it; all of that is there when a place mounts it. */
  async seenByLinux(place: WorkPlace): Promise<void> {
    const names = [...this.kept.keys()]
    const { jobs } = await referee.vm({
      disks: Object.fromEntries([...this.kept].map(([name, { image }]) => [name, image])),
      jobs: names.map((name) => ({ name, script: scriptFor(name), seconds: isSoak ? 900 : 120 })),
    })
    for (const [name, { image, rows }] of this.kept) {
      const job = jobs[name]
      if (job === undefined) return expect.unreachable()
      const log = /error|WARN|BUG/i.exec(job.kernelLog)?.[0]
      expect({ name, code: job.code, output: job.output, log }).toEqual({ name, code: 0, output: '', log: undefined })
      expect(linesOf(job.file('before'))).toEqual(rows)
      copyFileSync(image, place.image)
      await place.judge()
      await place.mount(place.image, RW)
      expect(await place.rows()).toEqual(linesOf(job.file('after')))
      await place.inside('mv linux/copy ours; echo more >> linux/text; rm -r linux')
      await place.unmount()
      await place.judge()
    }
  }

  close(): void {
    rmSync(this.folder, { recursive: true })
  }
}

function scriptFor(name: string): string {
  return `set -e; mount -t bcachefs /disk/${name} $MNT; manifest $MNT > before; mkdir $MNT/linux; seq 1000 > $MNT/linux/text
    head -c 3000000 /dev/urandom > $MNT/linux/data; cp $MNT/linux/data $MNT/linux/copy; ln $MNT/linux/text $MNT/linux/hard
    sync; umount $MNT; mount -t bcachefs /disk/${name} $MNT; manifest $MNT > after`
}
