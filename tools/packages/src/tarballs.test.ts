/**
 * What is published is packed, looked into, and installed from the tarballs into an empty folder, where a strict program that imports all
 * of it is type-checked and run. pnpm installs it, because there a package finds only what it names as its dependencies.
 */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from './run.ts'
import { faultsOf, packAll, pnpm, tarballOf } from './tarball.ts'
import { manifestIn, publishedPackages, root } from './workspace.ts'

const packages = publishedPackages()
const libraries = packages.flatMap(({ manifest }) => (manifest.exports === undefined ? [] : [manifest.name]))

const folder = mkdtempSync(join(tmpdir(), 'cowherd-tarballs-'))
const tarballs = join(folder, 'tarballs')
const project = join(folder, 'project')

beforeAll(() => {
  mkdirSync(tarballs)
  packAll(packages, tarballs)
})
afterAll(() => rmSync(folder, { recursive: true }))

describe.each(packages)('$manifest.name', (each) => {
  it('has in its tarball what it needs, and nothing else', () => {
    const { name, version } = each.manifest
    const unpacked = join(folder, 'unpacked', name)
    mkdirSync(unpacked, { recursive: true })
    run('tar', ['-xzf', join(tarballs, tarballOf(each)), '--strip-components=1', '-C', unpacked], folder)
    expect(manifestIn(unpacked)).toMatchObject({ name, version })
    expect(faultsOf(unpacked, each)).toEqual([])
  })
})

describe('in an empty folder', () => {
  beforeAll(() => {
    mkdirSync(project)
    const files = Object.fromEntries(
      packages.map((each) => [each.manifest.name, `file:../tarballs/${tarballOf(each)}`]),
    )
    writeJson('package.json', {
      private: true,
      type: 'module',
      dependencies: files,
      devDependencies: { '@types/node': versionOf('@types/node') },
      pnpm: { overrides: files }, // or it would look for them at the registry
    })
    writeFileSync(join(project, 'main.ts'), programText())
    // What the workspace has installed is in pnpm's store; what it doesn't know of that, it asks the registry.
    run(pnpm(), ['install', '--ignore-workspace', '--prefer-offline', '--ignore-scripts'], project)
  })

  it('type-checks: strictly, declarations included', () => {
    writeJson('tsconfig.json', {
      compilerOptions: {
        target: 'es2023',
        lib: ['es2024'],
        module: 'nodenext',
        strict: true,
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        skipLibCheck: false,
        types: ['node'],
      },
      include: ['main.ts'],
    })
    run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', '.'], project)
  })

  it('runs', () => {
    const text = run(process.execPath, ['main.js'], project)
    expect(JSON.parse(text)).toEqual(libraries.map((name) => [name, true]))
  })

  it('has the command line', () => {
    expect(run(join(project, 'node_modules/.bin/cowherd'), ['--help'], project)).toMatch(/^Usage: cowherd/)
  })
})

/** Imports each package, and says of each whether it has anything in it. */
function programText(): string {
  const imports = libraries.map((name, i) => `import * as package${i} from '${name}'`)
  const entries = libraries.map((name, i) => `  ['${name}', Object.keys(package${i}).length > 0],`)
  return [...imports, 'const all: readonly (readonly [string, boolean])[] = [', ...entries, ']']
    .concat('console.log(JSON.stringify(all))', '')
    .join('\n')
}

/** The version of a package that the workspace has installed. */
function versionOf(name: string): string {
  return manifestIn(join(root, 'node_modules', name)).version
}

function writeJson(name: string, value: unknown): void {
  writeFileSync(join(project, name), JSON.stringify(value))
}
