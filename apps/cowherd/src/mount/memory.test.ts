/** The memory of a mount is bounded, however long it serves. */

import { readFileSync } from 'node:fs'
import { fuseAvailable } from '@cowherd/fixtures'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { MountPlace, until } from '../testing/mount-place.ts'

let place: MountPlace
beforeEach(() => {
  place = new MountPlace()
})
afterEach(() => place[Symbol.asyncDispose]())

const SOAK = process.env['COWHERD_SOAK'] === '1'
const LOOKUPS = SOAK ? 1_000_000 : 50_000
const WARM_UP = 20_000
const GROWTH_BYTES_MAX = 30 << 20

/** Looks names up, in each round one that exists and one that does not. */
const LOOK = `
const { statSync } = require('node:fs')
const [folder, rounds] = process.argv.slice(1)
for (let i = 0; i < Number(rounds); i++) {
  statSync(folder + '/file-' + String(i % 300).padStart(5, '0'))
  if (statSync(folder + '/absent-' + i, { throwIfNoEntry: false }) !== undefined) throw new Error('it is there')
}
`

describe.skipIf(!fuseAvailable())('memory', () => {
  test(`${LOOKUPS} lookups`, { timeout: SOAK ? 600_000 : 120_000 }, async () => {
    const options = 'ro,attr_timeout=0,entry_timeout=0,negative_timeout=0'
    const server = await place.mount(place.volume('default'), ['-o', options])
    const look = async (lookups: number): Promise<void> => {
      expect(await place.run(process.execPath, ['-e', LOOK, place.path('m', 'many'), `${lookups / 2}`])).toEqual({
        code: 0,
        out: '',
        err: '',
      })
    }
    await look(WARM_UP)
    const before = residentBytes(server)
    for (let done = 0; done < LOOKUPS; done += 50_000) await look(50_000)
    const { operations } = await place.inspect()
    expect(operations.find(({ operation }) => operation === 'lookup')?.count).toBeGreaterThan(LOOKUPS)
    // garbage may lie there for a moment
    await until(() => residentBytes(server) - before < GROWTH_BYTES_MAX, 2000)
    expect(residentBytes(server) - before).toBeLessThan(GROWTH_BYTES_MAX)
  })
})

function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024
}
