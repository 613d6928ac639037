/** The packages of the workspace that are published, those first that others need. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The project's root folder, without a slash at its end. */
export const root = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '')

/** What is needed of a package.json. */
export interface Manifest {
  readonly name: string
  readonly version: string
  readonly private?: boolean
  readonly dependencies?: Readonly<Record<string, string>>
  readonly exports?: unknown
  readonly bin?: Readonly<Record<string, string>>
}

/** A package of the workspace. */
export interface Package {
  readonly folder: string
  readonly manifest: Manifest
}

/** The published packages, each behind those that it depends on. Throws Error if they depend on each other in a circle. */
export function publishedPackages(): Package[] {
  const waiting = ['packages', 'apps'].flatMap(packagesIn).filter(({ manifest }) => manifest.private !== true)
  const names = new Set(waiting.map(({ manifest }) => manifest.name))
  const ordered: Package[] = []
  const isReady = ({ manifest: { dependencies = {} } }: Package): boolean =>
    Object.keys(dependencies).every((name) => !names.has(name) || ordered.some((done) => done.manifest.name === name))
  while (waiting.length > 0) {
    const ready = waiting.findIndex(isReady)
    if (ready < 0) throw new Error(`a circle among ${waiting.map(({ manifest }) => manifest.name).join(', ')}`)
    ordered.push(...waiting.splice(ready, 1))
  }
  return ordered
}

export function manifestIn(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest
}

function packagesIn(rooms: string): Package[] {
  return readdirSync(join(root, rooms))
    .map((name) => join(root, rooms, name))
    .filter((folder) => existsSync(join(folder, 'package.json')))
    .map((folder) => ({ folder, manifest: manifestIn(folder) }))
}
