/**
 * What the documents show, works: each `ts` block of a package's README is type checked and run against the built
 * packages; each line of an `sh` block of README.md and docs/ that begins with `./cowherd` is run by a shell. A `text` block
 * right behind says what must be printed. A `ts` block that mounts is run by the `sh` block behind it, where that is possible.
 *
 * Blocks of a document run one after another in a folder with a few golden volumes under the names that the documents use:
 * volume.img, a.img and b.img (one volume on two devices), encrypted.img and its passphrase in passphrase.txt, and an empty directory mnt.
 */

import { fixture, fuseAvailable } from '@cowherd/fixtures'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { blocksOf, type Block } from './blocks.ts'
import { isMounting, runMounting } from './mounting.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))
/** Where scripts lie so that they find the workspace's packages. */
const scripts = path.join(root, 'tools', 'examples', 'node_modules', '.examples')

/** What each document finds in its folder, besides `cowherd`. */
const images: Readonly<Record<string, string | undefined>> = {
  'volume.img': fixture('default').devices[0],
  'a.img': fixture('replicas').devices[0],
  'b.img': fixture('replicas').devices[1],
  'encrypted.img': fixture('encrypted').devices[0],
}
let top = ''
beforeAll(() => {
  top = fs.mkdtempSync(path.join(os.tmpdir(), 'cowherd-examples-'))
  fs.mkdirSync(scripts, { recursive: true })
})
afterAll(() => {
  for (const folder of fs.readdirSync(top)) spawnSync('umount', ['-l', path.join(top, folder, 'mnt')]) // of a test that failed
  fs.rmSync(top, { recursive: true, force: true })
})

/** The folder that a document's blocks run in, made at its first block. */
function folderOf(document: string): string {
  const folder = path.join(top, document.replaceAll('/', '-'))
  if (fs.existsSync(folder)) return folder
  fs.mkdirSync(folder)
  fs.symlinkSync(path.join(root, 'cowherd'), path.join(folder, 'cowherd'))
  for (const [name, image] of Object.entries(images)) fs.symlinkSync(image ?? '', path.join(folder, name))
  fs.writeFileSync(path.join(folder, 'passphrase.txt'), `${fixture('encrypted').passphrase}\n`)
  fs.mkdirSync(path.join(folder, 'mnt'))
  return folder
}

/** The documents (paths relative to the root) that have blocks of a language. */
function documents(language: string, places: readonly string[]): [name: string, blocks: Block[]][] {
  return places
    .filter((name) => fs.existsSync(path.join(root, name)))
    .map((name): [string, Block[]] => [name, blocksOf(fs.readFileSync(path.join(root, name), 'utf8'))])
    .map(([name, blocks]): [string, Block[]] => [name, blocks.filter((block) => block.language === language)])
    .filter(([, blocks]) => blocks.length > 0)
}

const packages = ['packages', 'apps'].flatMap((kind) =>
  fs.readdirSync(path.join(root, kind)).map((name) => `${kind}/${name}`),
)
const readmes = packages.map((name) => `${name}/README.md`)
const guides = fs.readdirSync(path.join(root, 'docs', 'how-to')).map((name) => `docs/how-to/${name}`)

/** What may come out of a command: a user other than root can't keep owners and devices, and `get` says so. */
const isRoot = process.getuid?.() === 0

test.each(packages)('%s has a README with an example', (name) => {
  const readme = path.join(root, name, 'README.md')
  expect(fs.existsSync(readme)).toBe(true)
  expect(blocksOf(fs.readFileSync(readme, 'utf8')).map((block) => block.language)).toEqual(
    expect.arrayContaining([expect.stringMatching(/^(ts|sh)$/)]),
  )
})

const examples = documents('ts', readmes)
/** The file that an example is written to. */
const sourceOf = (name: string, block: Block) => path.join(scripts, `${name.replaceAll('/', '-')}-${block.line}.ts`)

describe.each(examples)('%s', (name, blocks) => {
  test.for(blocks)('the example at line $line', { timeout: 120_000 }, (block, context) => {
    const { prints } = block
    const script = scriptOf(name, block)
    if (isMounting(block)) {
      if (!fuseAvailable()) return context.skip()
      const commands = usesOf(name, block)
      const outcome = runMounting(script, commands, fs.mkdtempSync(path.join(top, 'mount-')))
      return expect(outcome).toEqual({ status: 0, stdout: commands.prints, stderr: '' })
    }
    if (/\bmountVolume\(/.test(block.text) && !fuseAvailable()) return context.skip()
    const { status, stdout, stderr } = spawnSync(process.execPath, [script], { cwd: folderOf(name), encoding: 'utf8' })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    if (prints !== undefined) expect(stdout).toBe(prints)
  })
})

/** Checks the types of an example. Returns the script that it becomes. */
function scriptOf(name: string, block: Block): string {
  const source = sourceOf(name, block)
  expect(complaints().get(source)).toBeUndefined()
  const { outputText } = ts.transpileModule(block.text, {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 },
  })
  const script = source.replace(/\.ts$/, '.mjs')
  fs.writeFileSync(script, outputText)
  return script
}

/** The block behind an example that mounts: what is done with it. */
function usesOf(name: string, { line }: Block): Block {
  const next = blocksOf(fs.readFileSync(path.join(root, name), 'utf8')).find((block) => block.line > line)
  if (next?.language !== 'sh') throw new Error(`${name}: no sh block behind the example at line ${line}`)
  return next
}

/** The commands of an `sh` block that the tests can run. */
function commandsOf({ text, line, prints }: Block) {
  const commands = text.split('\n').filter((command) => /^(COWHERD_\w+=\S+ )?\.\/cowherd\b/.test(command))
  return commands.map((command) => ({ command, line, prints: commands.length === 1 ? prints : undefined }))
}

const withCommands = documents('sh', ['README.md', ...readmes, ...guides])
  .map(([name, blocks]) => ({ name, commands: blocks.flatMap(commandsOf) }))
  .filter(({ commands }) => commands.length > 0)

describe.each(withCommands)('$name', ({ name, commands }) => {
  test.for(commands)('line $line: $command', { timeout: 120_000 }, ({ command, prints }, context) => {
    if (/ (mount|umount|debug) /.test(command) && !fuseAvailable()) return context.skip()
    const { status, stdout, stderr } = spawnSync('sh', ['-c', command], {
      cwd: folderOf(name),
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    })
    const mayBePartial = !isRoot && / get /.test(command)
    expect(mayBePartial ? [0, 1] : [0], stderr).toContain(status)
    if (prints !== undefined) expect(stdout).toBe(prints)
  })
})

let found: Map<string, string[]> | undefined

/** What the compiler has against the examples, by file, as a reader of the package would be told. */
function complaints(): ReadonlyMap<string, string[]> {
  if (found !== undefined) return found
  found = new Map()
  const sources = examples.flatMap(([name, blocks]) =>
    blocks.map((block) => [sourceOf(name, block), block.text] as const),
  )
  for (const [source, text] of sources) fs.writeFileSync(source, text)
  const program = ts.createProgram({
    rootNames: sources.map(([source]) => source),
    options: {
      noEmit: true,
      strict: true,
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      // Each example is a module of its own, though it may import nothing.
      moduleDetection: ts.ModuleDetectionKind.Force,
      skipLibCheck: true,
      types: ['node'],
      typeRoots: [path.join(root, 'node_modules', '@types')],
    },
  })
  for (const { file, messageText } of ts.getPreEmitDiagnostics(program)) {
    const name = file?.fileName ?? ''
    found.set(name, [...(found.get(name) ?? []), ts.flattenDiagnosticMessageText(messageText, '\n')])
  }
  return found
}
