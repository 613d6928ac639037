/**
 * Packages of other Debian releases, downloaded by this machine's apt (which checks their signatures) without touching
 * its own sources or state, and unpacked, not installed.
 */

import fs from 'node:fs'
import path from 'node:path'
import { must, run, RefereeError } from '../run.ts'

/** One release, seen by itself. */
export interface Suite {
  readonly name: string
  /** Options that make apt see this release alone. */
  readonly options: readonly string[]
}

/** Fetches the index of a release. `folder` keeps apt's state of it. */
export async function openSuite(name: string, folder: string): Promise<Suite> {
  const lists = path.join(folder, name)
  fs.mkdirSync(path.join(lists, 'partial'), { recursive: true })
  fs.mkdirSync(path.join(folder, 'archives', 'partial'), { recursive: true })
  const sources = path.join(folder, `${name}.list`)
  fs.writeFileSync(sources, `deb ${await mirror()} ${name} main\n`)
  const settings = {
    'Dir::Etc::sourcelist': sources,
    'Dir::Etc::sourceparts': '-',
    'Dir::State::Lists': lists,
    'Dir::Cache::archives': path.join(folder, 'archives'),
    'Dir::Cache::pkgcache': '',
    'Dir::Cache::srcpkgcache': '',
    'APT::Sandbox::User': 'root',
    'Acquire::Retries': '3',
  }
  const options = Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`])
  await must('apt-get', [...options, '-qq', 'update'])
  return { name, options }
}

/** The newest version of a package that the release has and that starts with `prefix`. */
export async function versionOf(suite: Suite, packageName: string, prefix: string): Promise<string> {
  const table = (await must('apt-cache', [...suite.options, 'madison', packageName])).toString()
  const versions = [...table.matchAll(/^\s*\S+\s*\|\s*(\S+)\s*\|/gm)].map((match) => match[1] ?? '')
  const version = versions.find((candidate) => candidate.startsWith(prefix))
  if (version === undefined) {
    throw new RefereeError(
      `Debian ${suite.name} has no ${packageName} ${prefix}*, but ${versions.join(', ') || 'none'}`,
    )
  }
  return version
}

/** What a package depends on directly: names only. */
export async function dependsOf(suite: Suite, packageName: string): Promise<string[]> {
  const text = (await must('apt-cache', [...suite.options, 'depends', packageName])).toString()
  return [...text.matchAll(/^\s*(?:Pre)?Depends: ([^<\s]+)$/gm)].map((match) => match[1] ?? '')
}

/** Downloads packages (`name` or `name=version`) into `folder` and unpacks them below `root`. */
export async function unpack(suite: Suite, packages: readonly string[], folder: string, root: string): Promise<void> {
  fs.mkdirSync(folder, { recursive: true })
  fs.mkdirSync(root, { recursive: true })
  const before = new Set(fs.readdirSync(folder))
  await must('apt-get', [...suite.options, '-q', 'download', ...packages], { cwd: folder })
  const fetched = fs.readdirSync(folder).filter((name) => name.endsWith('.deb') && !before.has(name))
  if (fetched.length < packages.length)
    throw new RefereeError(`of ${packages.join(' ')}, only ${fetched.join(' ')} came`)
  for (const name of fetched) {
    await must('dpkg-deb', ['-x', path.join(folder, name), root])
    fs.rmSync(path.join(folder, name))
  }
}

/** Installs packages of this machine's own release, for programs and files (named by a full path) that aren't there. */
export async function installMissing(wanted: Readonly<Record<string, string>>): Promise<void> {
  const missing: string[] = []
  for (const [name, packageName] of Object.entries(wanted)) {
    const look = name.startsWith('/') ? 'test -e "$1"' : 'command -v "$1"'
    if ((await run('sh', ['-c', look, 'sh', name])).code !== 0) missing.push(packageName)
  }
  if (missing.length === 0) return
  if (process.getuid?.() !== 0) throw new RefereeError(`run as root, or install first: ${missing.join(' ')}`)
  const patient = ['-qq', '-o', 'DPkg::Lock::Timeout=300', '-o', 'Acquire::Retries=3']
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  await must('apt-get', [...patient, 'update'])
  await must('apt-get', [...patient, 'install', '--yes', '--no-install-recommends', ...missing], { env })
}

/** The Debian mirror that this machine uses already. */
async function mirror(): Promise<string> {
  const named = process.env['COWHERD_DEBIAN_MIRROR']
  if (named !== undefined) return named
  const sites = (await must('apt-get', ['indextargets', '--format', '$(SITE)'])).toString().split('\n')
  const site = sites.find((line) => /\/debian\/?$/.test(line))
  if (site !== undefined) return site
  throw new RefereeError("this machine's apt knows no Debian mirror: name one in COWHERD_DEBIAN_MIRROR")
}
