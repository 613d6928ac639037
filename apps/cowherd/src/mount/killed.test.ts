/**
 * Programs at work on a mount that is killed in the middle: what they had been told is on stable storage is there. COWHERD_SOAK=1: again and
 * again, and Linux looks at the volumes.
 */

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fuseAvailable } from '@cowherd/fixtures'
import { referee } from '@cowherd/referee'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { cProgram, hasCompiler } from '../testing/c-programs.ts'
import { KeptVolumes } from '../testing/kept-volumes.ts'
import { until, type Running } from '../testing/mount-place.ts'
import { isSoak, LIMIT, RW, WorkPlace } from '../testing/work-place.ts'

const has = (program: string): boolean => spawnSync(program, ['--version']).status === 0

const volumes = new KeptVolumes([])
afterAll(() => volumes.close())

let place: WorkPlace
beforeEach(() => {
  place = new WorkPlace()
})
afterEach(() => place[Symbol.asyncDispose]())

describe.skipIf(!fuseAvailable() || !hasCompiler)('programs on a mount that is killed', () => {
  test('what was synced is there', LIMIT, async () => {
    let server = await place.mountNew(512)
    await place.inside('mkdir files')
    const used = async (): Promise<number> => Number(await place.inside('sync; df --output=used -B1 . | tail -n 1'))
    const program = cProgram('synced-files')
    const files = join(place.directory, 'files')
    const log = place.path('log')
    for (let round = 0; round < (isSoak ? 30 : 2); round++) {
      const before = await used()
      const worker = place.start(program, ['write', files, log])
      expect(await until(() => lines(log) > 20 + ((round * 37) % 100), 60_000)).toBe(true)
      await place.kill(server, [worker])
      if (round % 2 === 1) await place.judge()
      server = await place.mount(place.image, RW)
      expect(await place.run(program, ['check', files, log])).toEqual({ code: 0, out: '', err: '' })
      await place.inside('rm -r files && mkdir files')
      expect((await used()) - before).toBeLessThan(8 << 20) // the removed file that was open is gone
    }
    await place.inside('seq 1000 > files/last')
    await volumes.finish(place, 'synced')
  })

  test.skipIf(!has('sqlite3') || !has('stdbuf'))('SQLite: committed transactions are there', LIMIT, async () => {
    let server = await place.mountNew(512)
    const modes = ['wal', 'delete', 'truncate', 'persist']
    for (let round = 0; round < (isSoak ? 10 : 1); round++) {
      writeFileSync(place.path('input'), transactions(20_000))
      const workers = modes.map((mode) => {
        const line = `cat - "$o/input" | exec stdbuf -oL sqlite3 -bail "$m/${mode}.db"`
        const settings = `PRAGMA journal_mode=${mode};\nPRAGMA synchronous=FULL;\n`
        return place.start('sh', ['-c', line], { input: settings, env: { m: place.directory, o: place.folder } })
      })
      expect(await until(() => workers.every((each) => committed(each) >= 30), 100_000)).toBe(true)
      await place.kill(server, workers)
      server = await place.mount(place.image, RW)
      for (const [i, mode] of modes.entries()) {
        const worker = workers[i]
        const out = await place.inside('sqlite3 "$db" "PRAGMA integrity_check; SELECT count(*), max(n) FROM log;"', {
          db: `${mode}.db`,
        })
        const [verdict, counts = ''] = out.trimEnd().split('\n')
        const [count, last] = counts.split('|').map(Number)
        expect([mode, verdict, count]).toEqual([mode, 'ok', last])
        expect(last).toBeGreaterThanOrEqual(worker === undefined ? 0 : committed(worker))
      }
      await place.inside(`for db in *.db; do sqlite3 "$db" 'DELETE FROM log; VACUUM;'; done`)
    }
    await volumes.finish(place, 'sqlite')
  })
})

describe.skipIf(!fuseAvailable() || !hasCompiler || !isSoak || !referee.available())('Linux (soak)', () => {
  test('mounts what was killed, sees the same, and changes it', LIMIT, () => volumes.seenByLinux(place))
})

function transactions(count: number): string {
  const all = [
    'CREATE TABLE IF NOT EXISTS log(n INTEGER PRIMARY KEY); CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, data BLOB, mark TEXT);',
  ]
  all.push('CREATE INDEX IF NOT EXISTS marks ON t(mark);')
  for (let n = 1; n <= count; n++) {
    all.push(
      `BEGIN; INSERT OR REPLACE INTO t VALUES(${n % 500}, randomblob(${(n * 701) % 9000}), hex(randomblob(20)));`,
      `UPDATE t SET data = randomblob(1000), mark = hex(randomblob(9)) WHERE id % 50 = ${n % 50}; INSERT INTO log VALUES(${n}); COMMIT; SELECT ${n};`,
    )
  }
  return all.join('\n')
}

/** The last transaction that was said to be committed. */
function committed(worker: Running): number {
  const numbers = worker
    .said()
    .split('\n')
    .slice(0, -1)
    .filter((line) => /^\d+$/.test(line))
  return Number(numbers.at(-1) ?? 0)
}

function lines(file: string): number {
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0
}
