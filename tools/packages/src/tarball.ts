/** Tarballs as they would be published: how they are made, and what must and must not be in them. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { run } from './run.ts'
import { root, type Manifest, type Package } from './workspace.ts'

/** What everybody who installs a package must find in it. */
const REQUIRED = ['package.json', 'README.md', 'LICENSE']
/** The only things besides: what runs, and where it comes from. */
const ROOMS = ['dist', 'src']
/** What is only for making it. */
const UNWANTED = /\.(test|bench)\.|(^|\/)(test|tests|testing|fixtures|node_modules)\/|\.tsbuildinfo$|(^|\/)\./
/** Files whose text is looked at. */
const TEXT = /\.(ts|js|mjs|cjs|map|json|md)$|LICENSE$/

/** Packs the packages into a folder. */
export function packAll(packages: readonly Package[], folder: string): void {
  const filters = packages.flatMap(({ manifest }) => ['--filter', manifest.name])
  run(pnpm(), ['--recursive', ...filters, 'pack', '--pack-destination', folder], root)
}

/** The program that packs and installs. */
export function pnpm(): string {
  return join(root, 'node_modules/.bin/pnpm')
}

/** File name of a package's tarball. */
export function tarballOf({ manifest: { name, version } }: Package): string {
  return `${name.replace('@', '').replace('/', '-')}-${version}.tgz`
}

/** What is wrong with the files of a package that was unpacked in `folder`, one sentence each. */
export function faultsOf(folder: string, { manifest, folder: home }: Package): string[] {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
  const isThere = (path: string): boolean => files.includes(path)
  return [
    ...[...REQUIRED, ...doorsOf(manifest)].filter((path) => !isThere(path)).map((path) => `${path} is missing`),
    ...files.filter((path) => UNWANTED.test(path)).map((path) => `${path} is nobody's business`),
    ...files
      .filter((path) => !REQUIRED.includes(path) && !ROOMS.some((room) => path.startsWith(`${room}/`)))
      .map((path) => `${path} is neither in ${ROOMS.join(' nor in ')}`),
    ...files.filter((path) => TEXT.test(path)).flatMap((path) => faultsInText(folder, path, home)),
  ]
}

/** What package.json promises: entry points, their declarations, programs. */
function doorsOf({ exports, bin = {} }: Manifest): string[] {
  const paths = Object.values(bin)
  const collect = (value: unknown): void => {
    if (typeof value === 'string') paths.push(value)
    else if (typeof value === 'object' && value !== null) Object.values(value).forEach(collect)
  }
  collect(exports)
  return paths.map((path) => path.replace(/^\.\//, ''))
}

function faultsInText(folder: string, path: string, home: string): string[] {
  const text = readFileSync(join(folder, path), 'utf8')
  const faults = [root, homedir()]
    .filter((place) => place !== '/' && text.includes(`${place}/`))
    .map((place) => `${path} knows ${place}`)
  if (path === 'package.json' && text.includes('workspace:')) faults.push(`${path} refers to the workspace`)
  if (path.endsWith('.map')) faults.push(...strangersIn(folder, path, text, home))
  return faults
}

/**
 * Sources that a source map refers to, and that the package left out. (A file without any source at all is what an older build left in
 * this folder; there is none in a fresh clone, from which is published.)
 */
function strangersIn(folder: string, path: string, text: string, home: string): string[] {
  const { sources, sourcesContent = [] } = JSON.parse(text) as { sources: string[]; sourcesContent?: unknown[] }
  return sources
    .map((source, i) => ({ source: join(dirname(path), source), hasText: typeof sourcesContent[i] === 'string' }))
    .filter(({ source, hasText }) => !hasText && !existsSync(join(folder, source)) && existsSync(join(home, source)))
    .map(({ source }) => `${path} refers to ${source}, which is missing`)
}
