/**
 * Puts the built program into a few files, one for each command and what they share: loading a hundred small modules takes longer
 * than most commands (measured: 0.32 s of processor time to the first key listed, 0.20 s bundled). Run after `tsc -b`; plain
 * JavaScript, as it is part of the build.
 */

import { readdirSync, rmSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const at = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url))

/** @type {import('esbuild').BuildOptions} */
const options = {
  outdir: at('dist/bundle'),
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  // Packages of CommonJS ask for Node's modules by `require`.
  banner: {
    js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);",
  },
  legalComments: 'linked',
  logLevel: 'warning',
}

const program = await build({
  ...options,
  // The code of threads is found beside the file that starts them.
  entryPoints: [
    at('dist/main.js'),
    at('dist/mount-helper.js'),
    { in: at('../../packages/mount/dist/engine.worker.js'), out: 'engine.worker' },
    { in: at('../../packages/mount/dist/flusher.worker.js'), out: 'flusher.worker' },
    { in: at('dist/parallel/reader.worker.js'), out: 'reader.worker' },
  ],
  splitting: true,
  metafile: true,
})
// A thread that needs little of what the others share has it in a file of its own, and starts sooner.
const threads = await build({
  ...options,
  entryPoints: [{ in: at('dist/bulk/data.worker.js'), out: 'data.worker' }],
  metafile: true,
})

// What earlier builds left would be packed too: the names of shared files change with what is in them.
const outputs = [program, threads].flatMap(({ metafile }) => Object.keys(metafile.outputs))
const written = new Set(outputs.map((path) => basename(path)))
for (const name of readdirSync(at('dist/bundle'))) if (!written.has(name)) rmSync(at(`dist/bundle/${name}`))
