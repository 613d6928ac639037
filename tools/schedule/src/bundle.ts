/**
 * Turns a file of scenarios into one text that a worker runs: the scenarios, the product's modules they import (from their
 * sources), and the scheduled thread. Mutants are made by changing this text.
 */

import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../../..', import.meta.url))

/** One change of the text: `from` must be there exactly once. */
export interface Replacement {
  readonly from: string
  readonly to: string
}

/** The text of a worker that calls `statement`, in which the exports of the file `source` are `source`. */
export async function bundle(source: string, statement: string, imports = ''): Promise<string> {
  const result = await build({
    stdin: {
      contents: `import * as source from ${JSON.stringify(source)}\n${imports}\n${statement}`,
      resolveDir: fileURLToPath(new URL('.', import.meta.url)),
      loader: 'ts',
    },
    alias: {
      '@cowherd/shim': `${root}packages/shim/src/index.ts`,
      '@cowherd/rhashtable': `${root}packages/rhashtable/src/index.ts`,
      '@cowherd/kernel-lib': `${root}packages/kernel-lib/src/index.ts`,
      '@cowherd/db': `${root}packages/db/src/index.ts`,
      '@cowherd/store': `${root}packages/store/src/index.ts`,
    },
    bundle: true,
    treeShaking: true,
    write: false,
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    packages: 'bundle',
    external: ['koffi', 'sodium-native', '@node-rs/*'],
    logLevel: 'warning',
    // Optional packages are looked for from here; scenarios use none.
    define: { 'import.meta.url': JSON.stringify(import.meta.url) },
  })
  return result.outputFiles[0]?.text ?? ''
}

/** The text of a worker that performs schedules of the `scenarios` exported by the file `source`. */
export function bundleScenarios(source: string): Promise<string> {
  return bundle(source, 'void runSchedules(source.scenarios)', `import { runSchedules } from './thread.worker.ts'`)
}

/** `text` with a change. Throws Error if it does not apply any more. */
export function mutate(text: string, { from, to }: Replacement): string {
  const parts = text.split(from)
  if (parts.length !== 2) throw new Error(`the text has ${parts.length - 1} places, not one, of:\n${from}`)
  return parts.join(to)
}
