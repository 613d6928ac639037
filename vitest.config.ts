import { defineConfig } from 'vitest/config'
import { fileURLToPath } from 'node:url'

const source = (name: string) => fileURLToPath(new URL(`packages/${name}/src/index.ts`, import.meta.url))

export default defineConfig({
  resolve: {
    alias: Object.fromEntries(
      ['kernel-lib', 'shim', 'store', 'db', 'fs'].map((name) => [`@cowherd/${name}`, source(name)]),
    ),
  },
  test: { include: ['{packages,apps,tools}/**/*.test.ts'], exclude: ['**/node_modules/**', '**/dist/**'] },
})
