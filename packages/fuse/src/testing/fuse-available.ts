/**
 * Whether tests can mount: Linux with /dev/fuse, root, and the right to mount. And whether they can show how an ordinary
 * user mounts.
 */

import { spawnSync } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'

/**
 * Whether tests can mount, for `describe.skipIf(!fuseAvailable())`. If not, says so once on standard error; with
 * COWHERD_REQUIRE_FUSE=1 it throws instead, so that nothing is skipped where FUSE must be.
 */
export function fuseAvailable(): boolean {
  return available('mounts', findObstacle)
}

/** The same for tests that become an ordinary user: these take fusermount3 as well. */
export function userMountsAvailable(): boolean {
  return available('mounts', findObstacle) && available('mounts by ordinary users', findObstacleOfUsers)
}

/** What stands in the way, by what it stands in the way of; undefined for nothing. */
const found = new Map<string, string | undefined>()

function available(what: string, find: () => string | undefined): boolean {
  const first = !found.has(what)
  if (first) found.set(what, find())
  const obstacle = found.get(what)
  if (obstacle === undefined) return true
  if (process.env['COWHERD_REQUIRE_FUSE'] === '1') throw new Error(`${what} can't be tested: ${obstacle}`)
  if (first) process.stderr.write(`skipping tests of ${what}: ${obstacle}\n`)
  return false
}

const CAP_SYS_ADMIN = 21n

function findObstacle(): string | undefined {
  if (process.platform !== 'linux') return 'this is not Linux'
  if (process.geteuid?.() !== 0) return 'they take root'
  try {
    closeSync(openSync('/dev/fuse', 'r+'))
  } catch (error) {
    return `/dev/fuse can't be opened (${error instanceof Error ? error.message : 'unknown error'})`
  }
  const capabilities = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'
  if (((BigInt(`0x${capabilities}`) >> CAP_SYS_ADMIN) & 1n) === 0n) return 'no right to mount (CAP_SYS_ADMIN)'
  return undefined
}

function findObstacleOfUsers(): string | undefined {
  const { error } = spawnSync('fusermount3', ['-V'], { stdio: 'ignore' })
  return error === undefined ? undefined : 'fusermount3 is missing (Debian: package fuse3)'
}
