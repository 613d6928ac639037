/** Volumes that several threads serve: everybody sees the same, however many look at it and however little is cached. */

import { readFileSync, writeFileSync } from 'node:fs'
import { fixture, fuseAvailable } from '@cowherd/fixtures'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { MountPlace, NOTHING, until } from '../testing/mount-place.ts'

let place: MountPlace
beforeEach(() => {
  place = new MountPlace()
})
afterEach(() => place[Symbol.asyncDispose]())

const SOAK = process.env['COWHERD_SOAK'] === '1'
const WALKERS = 16
const ROUNDS = SOAK ? 100 : 1

/** Volumes, how the names of files end that are read, and the size of the cache. */
const VOLUMES: [name: string, end: string, cacheSize: string][] = [
  ['small-nodes', '7', '512K'], // nodes that find room in the cache, and drive each other out
]
// nodes of which the cache takes none: all is read again and again
if (SOAK) VOLUMES.push(['snapshots', '', '1'], ['default', '', '1'])

/** The checksums of a volume's regular files whose names end so, as Linux saw them: lines as of sha256sum(1). */
function checksumsOf(name: string, end: string): string[] {
  return readFileSync(fixture(name).manifest, 'utf8')
    .split('\n')
    .map((line) => line.split('\t'))
    .filter(([path = '', type]) => type === 'f' && path.endsWith(end))
    .map(([path = '', ...columns]) => `${columns.find((column) => /^[0-9a-f]{64}$/.test(column))}  ./${decoded(path)}`)
    .sort()
}

/** A path of a manifest as it is read from a program's output. */
function decoded(path: string): string {
  const bytes = path.replace(/%([0-9a-f]{2})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 16)))
  return Buffer.from(bytes, 'latin1').toString()
}

describe.skipIf(!fuseAvailable())('four threads, and next to no cache', () => {
  test.each(VOLUMES)(
    `${WALKERS} walk through %s at once`,
    { timeout: SOAK ? 3_600_000 : 120_000 },
    async (name, end, cacheSize) => {
      const options = `ro,threads=4,cache_size=${cacheSize},attr_timeout=0,entry_timeout=0,negative_timeout=0`
      const server = await place.mount(place.volume(name), ['-o', options])
      const expected = checksumsOf(name, end)
      expect(expected.length).toBeGreaterThan(100)
      for (let round = 0; round < ROUNDS; round++) {
        writeFileSync('/proc/sys/vm/drop_caches', '3\n')
        const walks = Array.from({ length: WALKERS }, () =>
          place.shell(`cd "$m" && find . -type f -name '*${end}' -print0 | xargs -0 sha256sum`),
        )
        for (const { code, out, err } of await Promise.all(walks)) {
          expect({ code, err }).toEqual({ code: 0, err: '' })
          expect(out.trimEnd().split('\n').sort()).toEqual(expected)
        }
      }
      const { engine, openRequests } = await place.inspect()
      expect(openRequests).toEqual([])
      expect(engine.nodeCache.evictions > 0).toBe(name === 'small-nodes')
      expect(engine.threads).toHaveLength(4)
      for (const { answered } of engine.threads) expect(answered).toBeGreaterThan(0)
      const forgotten = await until(async () => {
        writeFileSync('/proc/sys/vm/drop_caches', '2\n')
        const { count, lookups } = (await place.inspect()).engine.nodes
        return count === 1 && lookups === 0
      }, 20_000)
      expect(forgotten).toBe(true)
      expect(await place.cowherd(['umount', place.directory])).toEqual({ code: 0, out: '', err: '' })
      expect(await place.left(server)).toEqual(NOTHING)
    },
  )
})

describe.skipIf(!fuseAvailable())('debugging', () => {
  test('tells of each thread', async () => {
    await place.mount(place.volume('default'), ['-o', 'ro,threads=2'])
    await place.shell('ls -lR "$m"; cat "$m/tree/big" "$m/tree/mid"')
    const { code, out } = await place.cowherd(['debug', place.directory])
    expect(code).toBe(0)
    expect(out).toMatch(/^threads: 2, answered: \d+ \d+$/m)
    const { engine, operations } = await place.inspect()
    const answered = engine.threads.reduce((sum, thread) => sum + thread.answered, 0)
    expect(answered).toBe(operations.reduce((sum, { count }) => sum + count, 0))
    expect(engine.openHandles.files).toBe(engine.threads.reduce((sum, { openHandles }) => sum + openHandles.files, 0))
  })
})
