/** The packages agree with the house rules, with their TypeScript projects and with one another. */

import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { layers } from './layers.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))

interface Manifest {
  readonly name: string
  readonly license?: string
  readonly private?: boolean
  readonly engines?: Readonly<Record<string, string>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
}

interface Project {
  readonly references?: readonly { readonly path: string }[]
}

function read<T>(...names: string[]): T {
  return JSON.parse(fs.readFileSync(path.join(root, ...names), 'utf8')) as T
}

const folders = ['packages', 'apps', 'tools'].flatMap((kind) =>
  fs
    .readdirSync(path.join(root, kind))
    .map((name) => `${kind}/${name}`)
    .filter((folder) => fs.existsSync(path.join(root, folder, 'package.json'))),
)
const manifests = new Map(folders.map((folder) => [folder, read<Manifest>(folder, 'package.json')]))
const folderOf = new Map([...manifests].map(([folder, { name }]) => [name, folder]))

describe.each([...manifests])('%s', (folder, manifest) => {
  const project = fs.existsSync(path.join(root, folder, 'tsconfig.json')) ? read<Project>(folder, 'tsconfig.json') : {}
  const references = (project.references ?? []).map((reference) => path.posix.join(folder, reference.path))

  test('is named, licensed and limited as the others', () => {
    const name = path.basename(folder)
    expect(manifest.name).toBe(folder.startsWith('apps/') ? name : `@cowherd/${name}`)
    expect(manifest).toMatchObject({ license: 'GPL-2.0-or-later', engines: { node: '>=20.19' } })
    expect(manifest.private ?? false).toBe(folder.startsWith('tools/'))
  })

  test('names packages of the workspace as workspace:^', () => {
    for (const [name, range] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })) {
      if (folderOf.has(name)) expect(range, name).toBe('workspace:^')
    }
  })

  test('depends on packages below it only', () => {
    if (!folder.startsWith('packages/')) return
    const below = layers[path.basename(folder)] ?? []
    const depends = Object.keys(manifest.dependencies ?? {}).filter((name) => folderOf.has(name))
    expect(below.map((name) => `@cowherd/${name}`)).toEqual(expect.arrayContaining(depends))
  })

  test('is built behind what it depends on', () => {
    const shipped = Object.keys(manifest.dependencies ?? {}).flatMap((name) => folderOf.get(name) ?? [])
    if (project.references !== undefined) expect(references).toEqual(expect.arrayContaining(shipped))
  })
})

test('one version of pnpm is pinned', () => {
  const { packageManager, devDependencies } = read<Manifest & { packageManager: string }>('package.json')
  expect(packageManager).toBe(`pnpm@${devDependencies?.['pnpm']}`)
})

test('every TypeScript project is part of the whole build', () => {
  const built = (read<Project>('tsconfig.json').references ?? []).map((reference) => reference.path)
  const projects = folders.filter((folder) => fs.existsSync(path.join(root, folder, 'tsconfig.json')))
  expect([...built].sort()).toEqual([...projects].sort())
})
