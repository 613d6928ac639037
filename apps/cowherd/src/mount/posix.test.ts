/**
 * The suite of POSIX conformance on our own mounts, as root and with other users let in, and as one of them: all of it holds. Afterwards the volume is in order,
 * and empty. COWHERD_SOAK=1: mounted in all the ways that may make a difference.
 */

import { join } from 'node:path'
import { fuseAvailable } from '@cowherd/fixtures'
import { faultsOf, posixAvailable, runPosix, tableOf, type PosixRun } from '@cowherd/posix'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { isSoak, WorkPlace } from '../testing/work-place.ts'

/** How many cases hold at least: not so many are skipped. */
const HOLDING_AS_ROOT = 440
const HOLDING_AS_USER = 250
const USER = 60_001
const LIMIT_MS = 1_800_000 // a busy machine is no failure

let place: WorkPlace
beforeEach(() => {
  place = new WorkPlace()
})
afterEach(() => place[Symbol.asyncDispose]())

const WAYS: [name: string, options: string, format: string[]][] = [['with rights checked', 'rw,allow_other', []]]
if (isSoak) {
  const times = 'attr_timeout=0,entry_timeout=0,negative_timeout=0'
  WAYS.push(
    ['with nothing kept back', 'rw,allow_other,writethrough', []],
    ['with nothing remembered', `rw,allow_other,${times}`, []],
    ['with next to no cache', 'rw,allow_other,cache_size=1', ['--btree_node_size=64k']],
    ['with several threads asked for', 'rw,allow_other,threads=4', []],
    ['compressed', 'rw,allow_other', ['--compression=lz4', '--block_size=512']],
    ['encrypted', 'rw,allow_other', ['--encrypted', '--no_passphrase']],
  )
}

/** It holds but for what is known to differ, and no more was skipped than has to be. */
function expectConformance(run: PosixRun, filesystem: string): void {
  expect(faultsOf(run), tableOf(run)).toEqual([])
  expect(run.filesystem).toBe(filesystem)
  const holding = run.results.filter(({ outcome }) => outcome === 'ok').length
  expect(holding, tableOf(run)).toBeGreaterThan(HOLDING_AS_ROOT)
}

const unavailable = posixAvailable()
if (unavailable !== undefined) console.warn(`skipped: ${unavailable}`)

describe.skipIf(unavailable !== undefined || !fuseAvailable())('a mount conforms', () => {
  test.runIf(isSoak)('to an ordinary user too, in a directory of theirs (soak)', { timeout: LIMIT_MS }, async () => {
    await place.format(256)
    await place.run('chmod', ['755', place.folder])
    await place.mount(place.image, ['-o', 'rw,allow_other'])
    await place.inside(`mkdir own && chown ${USER}:${USER} own`)
    const run = await runPosix(join(place.directory, 'own'), { timeoutMs: LIMIT_MS / 2, user: USER })
    expect(faultsOf(run), tableOf(run)).toEqual([])
    expect(run.results.filter(({ outcome }) => outcome === 'ok').length, tableOf(run)).toBeGreaterThan(HOLDING_AS_USER)
    expect(await place.inside('ls -A own')).toBe('')
    await place.unmount()
    await place.judge()
  })

  test.each(WAYS)('%s', { timeout: LIMIT_MS }, async (_name, options, format) => {
    await place.format(256, format)
    await place.run('chmod', ['755', place.folder]) // for other users
    await place.mount(place.image, ['-o', options])
    expectConformance(await runPosix(place.directory, { timeoutMs: LIMIT_MS / 2 }), 'fuse.cowherd')
    expect(await place.inside('ls')).toBe('lost+found\n')
    await place.unmount()
    await place.judge()
  })
})
