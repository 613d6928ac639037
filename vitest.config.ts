/**
 * Tests run on the sources, whatever has been built: every workspace package is resolved to its `src/index.ts`.
 * COWHERD_TEST_REPORT names a file that gets the results as JSON besides what is printed (CI counts from it).
 */

import { existsSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const root = fileURLToPath(new URL('.', import.meta.url))
const report = process.env['COWHERD_TEST_REPORT']
/** A busy machine is no failure, and full sets take their time. */
const timeoutMs = process.env['COWHERD_SOAK'] === '1' ? 3_600_000 : 60_000

const alias: Record<string, string> = {}
for (const folder of ['packages', 'tools']) {
  for (const name of readdirSync(root + folder)) {
    const source = `${root}${folder}/${name}/src/index.ts`
    if (existsSync(source)) alias[`@cowherd/${name}`] = source
  }
}

export default defineConfig({
  resolve: { alias },
  test: {
    include: ['{packages,apps,tools}/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    // many tests wait for programs that they have started
    maxWorkers: Math.max(2, availableParallelism() - 1),
    testTimeout: timeoutMs,
    hookTimeout: timeoutMs,
    reporters: report === undefined ? ['default'] : ['default', 'json'],
    ...(report === undefined ? {} : { outputFile: { json: report } }),
  },
})
