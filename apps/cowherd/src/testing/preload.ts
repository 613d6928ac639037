/**
 * Faults for the built program: a module that Node loads before it, in each of its threads, which makes the next call fail. The program
 * itself has no hook for that. Only the program of many modules takes it.
 */

import { writeFileSync } from 'node:fs'
import { modularProgram } from './built.ts'
import type { StartOptions } from './mount-place.ts'

/** Writes the module to `file`. Returns how a program is started that loads it. */
export function preload(file: string, source: string): StartOptions {
  writeFileSync(file, source)
  return { program: modularProgram(), env: { NODE_OPTIONS: `--import=file://${file}` } }
}

/** FileSystem.readlink has a bug. */
export function bugInReadlink(): string {
  return `
    const fs = await import('${packageOf('fs')}')
    fs.FileSystem.prototype.readlink = () => { throw new TypeError('provoked') }
  `
}

/** FileSystem.lookup of the name `many` never returns. */
export function stuckInLookup(): string {
  return `
    const { FileSystem } = await import('${packageOf('fs')}')
    const { lookup } = FileSystem.prototype
    FileSystem.prototype.lookup = function (directory, name, target) {
      if (String.fromCharCode(...name) === 'many') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
      return lookup.call(this, directory, name, target)
    }
  `
}

/** The main thread throws at SIGWINCH what nobody catches. */
export const BUG_IN_MAIN_THREAD = `
  import { isMainThread } from 'node:worker_threads'
  if (isMainThread) process.on('SIGWINCH', () => { throw new TypeError('provoked') })
`

function packageOf(name: string): string {
  return new URL(`../../../packages/${name}/dist/index.js`, `file://${modularProgram()}`).href
}
