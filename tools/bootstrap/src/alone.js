/** One process at a time: a lock file that names its holder, so that what a killed process left behind is seen and taken. */

import fs from 'node:fs'

/**
 * Runs `work` while holding the lock file `lock`, waiting for another process's turn to end first.
 *
 * @param {string} lock path of the lock file; its folder exists
 * @param {() => void} work
 */
export function alone(lock, work) {
  while (!taken(lock)) {
    if (!holderLives(lock)) fs.rmSync(lock, { force: true })
    else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100)
  }
  try {
    work()
  } finally {
    fs.rmSync(lock, { force: true })
  }
}

/** @param {string} lock */
function taken(lock) {
  // Written aside and linked into place: the lock never exists without its holder's number in it.
  const draft = `${lock}.${process.pid}`
  fs.writeFileSync(draft, `${process.pid}\n`)
  try {
    fs.linkSync(draft, lock)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  } finally {
    fs.rmSync(draft, { force: true })
  }
}

/** @param {string} lock */
function holderLives(lock) {
  let holder
  try {
    holder = Number(fs.readFileSync(lock, 'utf8'))
  } catch {
    return false // given back meanwhile
  }
  try {
    process.kill(holder, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
