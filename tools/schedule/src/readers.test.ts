/**
 * Many threads read one volume, through a node cache so small that nodes are given up all the time: each sees what one thread alone
 * sees. Real threads, not scheduled. COWHERD_SOAK=1: every golden volume, many times.
 */

import { openVolume } from '@cowherd/db'
import { fixture, fixtureNames } from '@cowherd/fixtures'
import { nativeCodecs, ThreadRegistry } from '@cowherd/shim'
import { openStore } from '@cowherd/store'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { beforeAll, expect, test } from 'vitest'
import { bundle } from './index.ts'
import { look, type ReaderData, type Sight } from './scenarios/readers.ts'

const isSoak = process.env['COWHERD_SOAK'] === '1'
const VOLUMES = isSoak ? fixtureNames() : ['small-nodes', 'unclean', 'encrypted', 'replicas']
const ROUNDS = isSoak ? 50 : 2
const CACHE_SIZES = [0, 1 << 20]

const registry = ThreadRegistry.create()
registry.enter()

let text = ''
beforeAll(async () => {
  text = await bundle(fileURLToPath(new URL('./scenarios/readers.ts', import.meta.url)), 'source.run()')
})

test.each(VOLUMES.flatMap((name) => CACHE_SIZES.map((cacheBytes) => ({ name, cacheBytes }))))(
  '$name, a cache of $cacheBytes bytes: four threads see what one sees',
  { timeout: 3600_000 },
  async ({ name, cacheBytes }) => {
    const { devices, passphrase } = fixture(name)
    const open = (shared: boolean, bytes: number) =>
      openVolume(
        devices.map((path) => openStore(path, { lock: false })),
        {
          codecs: nativeCodecs(),
          cacheBytes: bytes,
          shared,
          passphrase: () => (passphrase === undefined ? undefined : Buffer.from(passphrase)),
        },
      )
    const alone = open(false, 64 << 20)
    const expected = look(alone, 1)
    alone.close()

    const volume = open(true, cacheBytes)
    const workers = [1, 2, 3].map((seed) => {
      const id = registry.reserve()
      const workerData: ReaderData = {
        registry: registry.place,
        id,
        devices,
        shared: volume.share(),
        seed,
        rounds: ROUNDS,
      }
      const worker = new Worker(text, { eval: true, workerData })
      registry.watch(worker, id)
      return worker
    })
    const sights = workers.map(
      (worker) =>
        new Promise<Sight[]>((resolve, reject) => {
          worker.once('message', resolve)
          worker.once('error', reject)
          worker.once('exit', (code) => reject(new Error(`the thread ended with ${code}`)))
        }),
    )
    const all = Promise.all(sights)
    for (let round = 0; round < ROUNDS; round++) expect(look(volume, 4 + round)).toEqual(expected)
    for (const each of (await all).flat()) expect(each).toEqual(expected)
    if (name === 'small-nodes' && cacheBytes === 0) expect(volume.cacheState.evictions).toBeGreaterThan(20)
    volume.close()
  },
)
