/**
 * The database and the filesystem need nothing of Node: bundled for a browser, they read a volume from memory where no global but the
 * language's own is in sight.
 */

import { fixture } from '@cowherd/fixtures'
import { build } from 'esbuild'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { compileFunction, createContext, runInContext } from 'node:vm'
import { expect, test } from 'vitest'

const source = (name: string) => fileURLToPath(new URL(`../../${name}/src/index.ts`, import.meta.url))

/** What runs in the browser: `hashes(image, passphrase)` gives path and SHA-256 of each regular file, as a manifest has them. */
const PROGRAM = `
  import { openVolume } from '@cowherd/db'
  import { fsKeyTypes, openFileSystem, walk } from '@cowherd/fs'
  import { portableCodecs } from '@cowherd/shim'
  import { memoryStore } from '@cowherd/store'

  export function hashes(image, passphrase) {
    const codecs = portableCodecs()
    const options = { codecs, keyTypes: fsKeyTypes, passphrase: () => passphrase }
    const fs = openFileSystem(openVolume([memoryStore(image, 'memory')], options))
    const found = []
    walk(fs, {
      visit({ path, ref, inode }) {
        if (!inode.isRegular) return
        const bytes = new Uint8Array(inode.size)
        fs.open(ref).read(0, bytes)
        const hash = [...codecs.sha256(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
        const name = [...path].map((byte) =>
          byte <= 32 || byte >= 127 || byte === 37 || byte === 44 ? '%' + byte.toString(16).padStart(2, '0') : String.fromCharCode(byte))
        found.push([name.join(''), hash])
      },
      fail(path, error) { throw error },
    })
    return found
  }
`

async function bundle(): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: PROGRAM, resolveDir: fileURLToPath(new URL('.', import.meta.url)) },
    alias: Object.fromEntries(
      ['kernel-lib', 'shim', 'store', 'db', 'fs'].map((name) => [`@cowherd/${name}`, source(name)]),
    ),
    platform: 'browser',
    external: ['node:*'], // what is really used would remain in the output
    bundle: true,
    format: 'iife',
    globalName: 'cowherd',
    treeShaking: true,
    write: false,
  })
  return outputFiles[0].text
}

/** Everything global here that isn't part of the language: what a bare context lacks. */
function platformGlobals(): string[] {
  const bare: unknown = runInContext('Object.getOwnPropertyNames(globalThis)', createContext({}))
  const language = new Set(bare as string[])
  return Object.getOwnPropertyNames(globalThis).filter((name) => !language.has(name) && /^[\w$]+$/.test(name))
}

test('a browser reads volumes from memory', { timeout: 120_000 }, async () => {
  const code = await bundle()
  expect(code).not.toMatch(/["'](node:|fs|crypto|zlib|module)["']/)
  // Parameters that nobody passes hide the globals of the platform.
  const hidden = [...platformGlobals(), 'globalThis']
  const run = compileFunction(`${code}; return cowherd`, hidden) as () => {
    hashes: (image: Uint8Array, passphrase?: Uint8Array) => [path: string, hash: string][]
  }
  const { hashes } = run()
  for (const name of ['compressed', 'snapshots', 'encrypted', 'unclean']) {
    const { devices, manifest, passphrase } = fixture(name)
    const image = new Uint8Array(readFileSync(devices[0]))
    const typed = passphrase === undefined ? undefined : new TextEncoder().encode(passphrase)
    const expected = readFileSync(manifest, 'utf8')
      .trim()
      .split('\n')
      .map((line) => line.split('\t'))
      .filter((columns) => columns[1] === 'f')
      .map((columns) => [columns[0], columns[9]])
    expect(hashes(image, typed)).toEqual(expected)
  }
})
