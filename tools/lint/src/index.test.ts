import { ESLint, Linter } from 'eslint'
import { fileURLToPath } from 'node:url'
import tseslint from 'typescript-eslint'
import { describe, expect, test, vi } from 'vitest'
import { houseRules } from './index.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))

/** The names of the rules that fire on `code` if it stands in `file`; house rules only. */
function fired(file: string, code: string): (string | null)[] {
  const parser: Linter.Config = { files: ['**/*.ts'], languageOptions: { parser: tseslint.parser } }
  const messages = new Linter({ cwd: root }).verify(code, [parser, ...houseRules], { filename: file })
  return messages.map((message) => message.ruleId)
}

describe('house rules', () => {
  test.each([
    "import { x } from '@cowherd/fs'",
    "import type { x } from '@cowherd/fs'",
    "export { x } from '@cowherd/fs'",
    "export * from '@cowherd/fs'",
    "await import('@cowherd/fs')",
    "type X = import('@cowherd/fs').X",
    "import { key } from '@cowherd/shim/src/key.ts'",
    "import fs from 'node:fs'",
  ])('see %s', (code) => {
    expect(fired('packages/db/src/x.ts', code)).toEqual(['cowherd/imports'])
  })

  test.each(['Buffer.alloc(1)', 'process.exit()', 'setImmediate(f)', "require('x')"])('see %s', (code) => {
    expect(fired('packages/fs/src/deep/x.ts', code)).toEqual(['no-restricted-globals'])
    expect(fired('packages/fs/src/deep/x.test.ts', code)).toEqual([])
    expect(fired('packages/store/src/x.ts', code)).toEqual([])
  })

  test('see a global fetched the long way', () => {
    expect(fired('packages/fs/src/x.ts', 'globalThis.process.exit()')).toEqual(['no-restricted-properties'])
  })

  test('leave clean code alone', () => {
    expect(fired('packages/fs/src/x.ts', "import { x } from '@cowherd/db'\nexport const y = x")).toEqual([])
  })
})

test('the whole configuration applies house rules and typed rules', { timeout: 120_000 }, async () => {
  // In CI the parser takes files from the disk, whatever text it is given.
  vi.stubEnv('TSESTREE_SINGLE_RUN', 'false')
  const [result] = await new ESLint({ cwd: root }).lintText(
    `import fs from 'node:fs'
import { Struct } from '@cowherd/kernel-lib'
export const a = fs as any
export const b = [1].at(0)!
export const c: Struct<never> | undefined = undefined
Promise.resolve()
process.exit()
`,
    { filePath: `${root}packages/db/src/index.ts` },
  )
  expect(result?.messages.map((message) => message.ruleId)).toEqual(
    expect.arrayContaining([
      'cowherd/imports',
      'no-restricted-globals',
      '@typescript-eslint/no-explicit-any',
      '@typescript-eslint/no-non-null-assertion',
      '@typescript-eslint/consistent-type-imports',
      '@typescript-eslint/no-floating-promises',
    ]),
  )
})
