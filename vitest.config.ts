import { defineConfig } from 'vitest/config'
import { fileURLToPath } from 'node:url'

const source = (folder: string) => fileURLToPath(new URL(`${folder}/src/index.ts`, import.meta.url))
const folders = [
  'packages/kernel-lib',
  'packages/shim',
  'packages/store',
  'packages/db',
  'packages/fs',
  'tools/fixtures',
]

export default defineConfig({
  resolve: {
    alias: Object.fromEntries(folders.map((folder) => [folder.replace(/^.*\//, '@cowherd/'), source(folder)])),
  },
  test: { include: ['{packages,apps,tools}/**/*.test.ts'], exclude: ['**/node_modules/**', '**/dist/**'] },
})
