/**
 * From a fresh clone to a built workspace, with nothing but Node and npm at hand: the pinned pnpm comes by npx, installs
 * what the lockfile says, and tsc builds. When all is in place already, this costs a few milliseconds: times of files are
 * compared, nothing is started. Two processes that come at once do the work once: the second waits for the first.
 *
 * This file runs before anything is installed: it imports built-in modules only, and is plain JavaScript.
 */

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { alone } from './alone.js'
import { newestOf } from './newest.js'

/** Set-up failed; the program that failed has said why. */
export class SetupError extends Error {}

/**
 * Installs the dependencies that the lockfile names, unless that has been done.
 *
 * @param {string} root the workspace's root
 */
export function ensureInstalled(root) {
  const stamp = path.join(root, 'node_modules', '.cowherd-installed')
  const manifests = manifestsOf(root)
  if (newestOf(manifests) <= timeOf(stamp)) return
  fs.mkdirSync(path.dirname(stamp), { recursive: true })
  alone(path.join(root, 'node_modules', '.cowherd-setup.lock'), () => {
    const wanted = digestOf(manifests)
    if (!fs.existsSync(stamp) || fs.readFileSync(stamp, 'utf8') !== wanted) {
      const pnpm = pinnedPnpm(root)
      say(`installing dependencies with ${pnpm}`)
      must(root, 'npx', ['--yes', pnpm, 'install', '--frozen-lockfile', '--config.confirmModulesPurge=false'])
    }
    fs.writeFileSync(stamp, wanted)
  })
}

/**
 * Builds `project` and what it refers to, and bundles the program, unless its sources are older than the last build.
 *
 * @param {string} root
 * @param {string} project folder of the tsconfig.json to build, relative to the root
 * @param {readonly string[]} folders whose sources the project is made of, relative to the root
 */
export function ensureBuilt(root, project, folders) {
  const stamp = path.join(root, 'node_modules', `.cowherd-built-${project.replaceAll(/[^a-z]+/g, '-')}`)
  const sources = () =>
    newestOf([...folders.map((folder) => path.join(root, folder)), path.join(root, 'tsconfig.base.json')])
  if (sources() <= timeOf(stamp)) return
  alone(path.join(root, 'node_modules', '.cowherd-setup.lock'), () => {
    const started = sources()
    if (started <= timeOf(stamp)) return
    say('building')
    must(root, process.execPath, [path.join('node_modules', 'typescript', 'bin', 'tsc'), '-b', project])
    must(root, process.execPath, [path.join('apps', 'cowherd', 'bundle.js')])
    fs.writeFileSync(stamp, '')
    // As old as what was built, so that what changed while the compiler ran is newer; times are kept to the microsecond.
    fs.utimesSync(stamp, (started + 0.01) / 1000, (started + 0.01) / 1000)
  })
}

/** Every folder that holds sources, relative to the root. */
export const sourceFolders = ['packages', 'apps', 'tools']

/** @param {string} root */
function pinnedPnpm(root) {
  const pinned = /"packageManager": "(pnpm@[0-9.]+)"/.exec(fs.readFileSync(path.join(root, 'package.json'), 'utf8'))
  if (pinned?.[1] === undefined) throw new SetupError('package.json pins no pnpm as packageManager')
  return pinned[1]
}

/** The files that decide what is installed. @param {string} root */
function manifestsOf(root) {
  const files = ['package.json', 'pnpm-lock.yaml', 'pnpm-workspace.yaml'].map((name) => path.join(root, name))
  for (const folder of sourceFolders) {
    if (!fs.existsSync(path.join(root, folder))) continue
    for (const name of fs.readdirSync(path.join(root, folder)).sort()) {
      const manifest = path.join(root, folder, name, 'package.json')
      if (fs.existsSync(manifest)) files.push(manifest)
    }
  }
  return files
}

/** @param {readonly string[]} files */
function digestOf(files) {
  const hash = createHash('sha256')
  for (const file of files) hash.update(`${file}\n`).update(fs.readFileSync(file))
  return hash.digest('hex')
}

/** Modification time in ms, 0 if there is no such file. @param {string} file */
function timeOf(file) {
  return fs.statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0
}

/**
 * Runs a program of the set-up; what it says goes to standard error, so that a pipe behind `./cowherd` stays clean.
 *
 * @param {string} root
 * @param {string} program
 * @param {string[]} args
 */
function must(root, program, args) {
  const { status, signal, error } = spawnSync(program, args, {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  })
  if (error !== undefined) throw new SetupError(`can't run ${program}: ${error.message}`)
  if (status !== 0) throw new SetupError(`${path.basename(program)} ${args.join(' ')} failed (${signal ?? status})`)
}

/** @param {string} words */
function say(words) {
  process.stderr.write(`cowherd: ${words} ...\n`)
}
