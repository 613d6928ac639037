/** The program as a process of its own, for what can't be seen inside a test: signals, pipes, terminals. */

import { fileURLToPath } from 'node:url'
import { ensureBuilt } from '@cowherd/bootstrap'

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url))

let isBuilt = false

/** Path of the program as it is installed, built first where it is not up to date. */
export function builtProgram(): string {
  return built('bundle/main.js')
}

/** Path of the same program of many modules, which a fault can be put into; it takes twice as long to start. */
export function modularProgram(): string {
  return built('main.js')
}

function built(name: string): string {
  if (!isBuilt) ensureBuilt(ROOT, 'apps/cowherd', ['packages', 'apps/cowherd'])
  isBuilt = true
  return `${ROOT}apps/cowherd/dist/${name}`
}
