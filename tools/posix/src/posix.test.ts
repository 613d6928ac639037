/**
 * The suite judged by filesystems of Linux, which are taken to be right: the one that temporary files lie on, that of /var/tmp
 * (on disk, most often), and a tmpfs. What they are known to do otherwise is in deviations.ts.
 */

import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { faultsOf, posixAvailable, runPosix, tableOf } from './index.ts'

const PLACES = [os.tmpdir(), '/var/tmp', '/dev/shm']
/** How many cases hold at least where all the filesystem's calls are there. */
const HOLDING_AS_ROOT = 420
const HOLDING = 350
const LIMIT_MS = 900_000 // a busy machine is no failure

/** One directory of each filesystem. */
function directories(): string[] {
  const devices = new Set<number>()
  return PLACES.filter((place) => {
    const device = fs.statSync(place, { throwIfNoEntry: false })?.dev
    if (device === undefined || devices.has(device)) return false
    devices.add(device)
    return true
  })
}

const unavailable = posixAvailable()
if (unavailable !== undefined) console.warn(`skipped: ${unavailable}`)

describe.skipIf(unavailable !== undefined)('Linux itself', () => {
  test.each(directories())('passes on %s', { timeout: LIMIT_MS }, async (place) => {
    const folder = fs.mkdtempSync(path.join(place, 'cowherd-posix-test-'))
    try {
      const run = await runPosix(folder)
      expect(faultsOf(run), tableOf(run)).toEqual([])
      if (['ext4', 'tmpfs', 'xfs', 'btrfs'].includes(run.filesystem)) {
        const holding = run.results.filter(({ outcome }) => outcome === 'ok').length
        expect(holding).toBeGreaterThan(run.root ? HOLDING_AS_ROOT : HOLDING)
      }
      expect(fs.readdirSync(folder)).toEqual([])
    } finally {
      fs.rmSync(folder, { recursive: true, force: true })
    }
  })
})
