/** What we write is what Linux reads, and what Linux makes of it is what we read: one machine, all kinds of data. */

import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { referee } from '@cowherd/referee'
import { describe, expect, test } from 'vitest'
import { FileRig, type Setting } from '../testing/file-rig.ts'
import { RandomFileChanges } from '../testing/random-file-changes.ts'

const SETTINGS: Readonly<Record<string, Setting>> = {
  plain: {},
  lz4: { blockBytes: 512, options: { compression: { type: 'lz4', level: 0 } } },
  gzip: { options: { compression: { type: 'gzip', level: 0 }, dataChecksum: 'xxhash' } },
  encrypted: { encrypted: true, options: { wideMacs: true, compression: { type: 'lz4', level: 0 } } },
  bare: { options: { dataChecksum: 'none' } },
}
/** Linux changes the first file, and copies the second. */
const LINUX = `
set -e
mount -t bcachefs /disk/$1 $MNT
cd $MNT
md5sum file*
dd if=/dev/urandom of="file 0" bs=1000 count=30 seek=7 conv=notrunc 2>/dev/null
truncate -s 300001 "file 1"
cat "file 2" > "copy"
sync
echo then
md5sum file* copy
cd /
umount $MNT
`

const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex')

describe.skipIf(!referee.available())('Linux', () => {
  test('reads it, changes it, and we go on', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cowherd-linux-'))
    try {
      const rigs = Object.entries(SETTINGS).map(([name, setting], i) => {
        const rig = new FileRig(setting)
        rig.makeFiles(5)
        const changes = new RandomFileChanges(rig, 77, i)
        changes.some(120)
        rig.compare()
        rig.db.close()
        const path = join(folder, name)
        writeFileSync(path, rig.disks[0])
        return { name, rig, path, changes }
      })
      const { jobs } = await referee.vm({
        disks: Object.fromEntries(rigs.map(({ name, path }) => [name, path])),
        jobs: rigs.map(({ name }) => ({ name, script: `set -- ${name}\n${LINUX}` })),
      })
      for (const { name, rig, path, changes } of rigs) {
        const { code, output, kernelLog } = jobs[name]
        expect(code, output + kernelLog).toBe(0)
        const [before, after] = output.split('then\n')
        rig.twins.forEach(({ bytes }, i) => expect(before).toContain(`${md5(bytes)}  file ${i}\n`))

        rig.disks[0].set(readFileSync(path))
        rig.reopenAsIs()
        rig.twins.forEach((twin, i) => {
          const file = rig.fs.open(twin.ref)
          twin.bytes = new Uint8Array(file.size)
          file.readFully(0, twin.bytes)
          expect(after).toContain(`${md5(twin.bytes)}  file ${i}\n`)
        })
        changes.some(60)
        rig.compare()
        rig.db.close()
        expect(rig.faults(), name).toEqual([])
        expect(await rig.complaints(), name).toEqual([])
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  }, 600_000)
})
