/**
 * `npm run demo`: what a user does with cowherd, on real volumes. Two of the golden volumes of test/fixtures/volumes are unpacked,
 * shown, copied out, and mounted; every file of the copy, and of the mount, is compared with the manifest of what Linux showed.
 *
 * Without root or koffi some things can't be kept: `get` says so, and they are not compared. Where nothing can be mounted (no /dev/fuse, no
 * fusermount3) that is said, and the listing in this process has to do.
 */

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isatty } from 'node:tty'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { loadNative } from '@cowherd/shim'
import { Output, outputTo } from './cli/output.ts'
import { run } from './cli/program.ts'
import { localTree, parseManifest, type ManifestRow } from './copy/local-tree.ts'

const PROGRAM = fileURLToPath(new URL('./bundle/main.js', import.meta.url))
const VOLUMES = new URL('../../../test/fixtures/volumes/', import.meta.url)
const SHOWN_LINES = 14
const WIDTH = 110

const out = outputTo(1)
const isRoot = process.getuid?.() === 0
const hasNative = loadNative() !== undefined

/** A column of the result: what is compared, and of which files. */
interface Check {
  readonly name: string
  readonly value: (row: ManifestRow) => string | undefined
}

const CHECKS: readonly Check[] = [
  { name: 'type', value: ({ type }) => type },
  { name: 'mode', value: modeValue },
  { name: 'size', value: ({ type, size }) => (type === 'd' ? undefined : size) },
  { name: 'mtime', value: ({ mtimeNs }) => (hasNative ? mtimeNs : mtimeNs.slice(0, -9)) },
  { name: 'content', value: ({ type, content }) => (type === 'f' ? content : undefined) },
  { name: 'target', value: ({ type, content }) => (type === 'l' ? content : undefined) },
  { name: 'links', value: ({ type, links }) => (type === 'f' ? links : undefined) },
  { name: 'owner', value: ({ uid, gid }) => (isRoot ? `${uid}:${gid}` : undefined) },
  { name: 'device', value: ({ type, device }) => (type === 'b' || type === 'c' ? device : undefined) },
]

/** Set-id bits go with the owner, which only root can keep. */
function modeValue({ type, mode }: ManifestRow): string | undefined {
  if (type === 'l') return undefined
  return isRoot ? mode : (parseInt(mode, 8) & 0o1777).toString(8)
}

/** Runs a command line and shows it, with all of its output or the first lines. */
async function show(folder: string, argv: readonly string[], lines = Infinity): Promise<void> {
  out.line(`\n$ cowherd ${argv.join(' ').replaceAll(`${folder}/`, '')}`)
  const chunks: Uint8Array[] = []
  const keep = new Output((bytes) => {
    chunks.push(bytes.slice())
    return bytes.length
  })
  const code = await run(argv, {
    out: keep,
    err: keep,
    outIsTerminal: isatty(1),
    terminal: { write: () => false },
    env: process.env,
  })
  keep.flush()
  const text = Buffer.concat(chunks).toString().trimEnd()
  const all = text === '' ? [] : text.split('\n')
  for (const line of all.slice(0, lines)) out.line(line.length > WIDTH ? `${line.slice(0, WIDTH - 3)}...` : line)
  if (all.length > lines) out.line(`... (${all.length - lines} more lines)`)
  out.flush()
  if (code !== 0) throw new Error(`cowherd ${argv.join(' ')} ended with exit code ${code}`)
}

/** Compares what is in `directory` with the manifest of the volume. Returns the number of differences. */
function compare(name: string, directory: string, kind: 'copy' | 'mount'): number {
  const expected = parseManifest(readFileSync(new URL(`${name}.manifest.tsv`, VOLUMES), 'utf8'))
  const copied = new Map(localTree(directory).map((row) => [row.path, row]))
  const makesNodes = kind === 'mount' || (hasNative && isRoot)
  const uncopied = expected.filter(({ type, path }) => {
    const isLeftOut = (!makesNodes && 'bc'.includes(type)) || (kind === 'copy' && !hasNative && 'ps'.includes(type))
    return isLeftOut && !copied.has(path)
  })
  const rows = expected.filter((row) => !uncopied.includes(row))
  const missing = rows.filter(({ path }) => !copied.has(path))
  const known = new Set(expected.map(({ path }) => path))
  const surplus = [...copied.keys()].filter((path) => !known.has(path))

  let faults = missing.length + surplus.length
  const cells = CHECKS.map(({ name: check, value }) => {
    let equal = 0
    let compared = 0
    for (const row of rows) {
      const copy = copied.get(row.path)
      const wanted = value(row)
      if (copy === undefined || wanted === undefined) continue
      compared++
      if (value(copy) === wanted) equal++
      else out.line(`  ${row.path}: ${check} is ${value(copy) ?? 'none'}, Linux showed ${wanted}`)
    }
    faults += compared - equal
    return { check, text: compared === 0 ? '-' : equal === compared ? `${equal} equal` : `${compared - equal} DIFFER` }
  })
  for (const { path } of missing) out.line(`  ${path} is missing in the ${kind}`)
  for (const path of surplus) out.line(`  ${path} is in the ${kind} only`)

  out.line(`\n${name}, ${kind}: ${rows.length} files compared with what Linux showed of them`)
  for (const { check, text } of cells) out.line(`  ${check.padEnd(10)}${text}`)
  if (uncopied.length > 0) out.line(`  (${uncopied.length} devices and the like take root and koffi; not copied)`)
  return faults
}

/** Runs a program and shows it and what it prints. Returns whether it ended well. */
function showProgram(folder: string, words: readonly string[], shown: string): boolean {
  out.line(`\n$ ${shown.replaceAll(`${folder}/`, '')}`)
  out.flush()
  const [program = '', ...args] = words
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' })
  for (const line of `${stdout}${stderr}`.trimEnd().split('\n')) if (line !== '') out.line(line)
  return status === 0
}

/** Mounts the image, compares what the mount shows, and unmounts. Returns the number of differences. */
function mountAndCompare(name: string, folder: string, image: string): number {
  const directory = join(folder, 'mnt')
  mkdirSync(directory, { recursive: true })
  const cowherd = (...words: string[]): boolean =>
    showProgram(folder, [process.execPath, PROGRAM, ...words], `cowherd ${words.join(' ')}`)
  if (!cowherd('mount', '-o', 'ro', image, directory)) {
    out.line('(Nothing can be mounted here; what `cowherd ls` listed above is the same.)')
    return process.env['COWHERD_REQUIRE_FUSE'] === '1' ? 1 : 0
  }
  try {
    showProgram(folder, ['ls', '-l', directory], `ls -l ${directory}`)
    return compare(name, directory, 'mount')
  } finally {
    cowherd('umount', directory)
  }
}

async function demo(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'cowherd-demo-'))
  let faults = 0
  try {
    for (const name of ['default', 'snapshots']) {
      const image = join(folder, `${name}.img`)
      writeFileSync(image, gunzipSync(readFileSync(new URL(`${name}.img.gz`, VOLUMES))))
      await show(folder, ['show-super', image], SHOWN_LINES)
      await show(folder, ['ls', '-l', image, ...(name === 'default' ? ['/', '/tree'] : [])], 30)
      await show(folder, ['get', image, '/', join(folder, name)])
      faults += compare(name, join(folder, name), 'copy')
      faults += mountAndCompare(name, folder, image)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
  out.line(faults === 0 ? '\nEverything came out as Linux shows it.' : `\n${faults} differences.`)
  out.flush()
  return faults === 0 ? 0 : 1
}

process.exitCode = await demo()
