/** The newest modification time below some folders: how a build knows whether it is out of date. */

import fs from 'node:fs'
import path from 'node:path'

/** Not sources: what a build, a package manager or a test run leaves, and the tests themselves. */
const SKIPPED = new Set(['node_modules', 'dist', '.turbo', 'coverage'])
const TEST = /\.(test|bench)\.ts$/

/**
 * The newest modification time, in ms, of files and folders in and below `places` (a folder's time tells of files that
 * went). A place that doesn't exist counts for nothing.
 *
 * @param {readonly string[]} places
 * @returns {number}
 */
export function newestOf(places) {
  let newest = 0
  /** @type {string[]} */
  const folders = []
  for (const place of places) {
    const stat = fs.statSync(place, { throwIfNoEntry: false })
    if (stat === undefined) continue
    newest = Math.max(newest, stat.mtimeMs)
    if (stat.isDirectory()) folders.push(place)
  }
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
      if (SKIPPED.has(entry.name) || TEST.test(entry.name)) continue
      const name = path.join(folder, entry.name)
      newest = Math.max(newest, fs.statSync(name, { throwIfNoEntry: false })?.mtimeMs ?? 0)
      if (entry.isDirectory()) folders.push(name)
    }
  }
  return newest
}
