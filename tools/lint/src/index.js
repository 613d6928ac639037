/** The house rules as eslint configuration: `eslint.config.js` takes them in, tests run them by themselves. */

import { imports } from './imports.js'
import { platformFree } from './layers.js'

/** Names that only Node (or CommonJS) has. */
const NODE_GLOBALS = [
  'Buffer',
  'process',
  'global',
  'require',
  'module',
  '__dirname',
  '__filename',
  'setImmediate',
  'clearImmediate',
]

/** @type {import('eslint').Linter.Config[]} */
export const houseRules = [
  {
    name: 'cowherd/imports',
    files: ['{packages,apps,tools}/**/*.{ts,js,mjs}'],
    plugins: { cowherd: { rules: { imports } } },
    rules: { 'cowherd/imports': 'error' },
  },
  {
    name: 'cowherd/platform-free',
    files: platformFree.map((name) => `packages/${name}/src/**/*.ts`),
    ignores: ['**/*.{test,bench}.ts', '**/src/testing/**'],
    rules: {
      'no-restricted-globals': [
        'error',
        ...NODE_GLOBALS.map((name) => ({ name, message: 'this package runs anywhere: take it through an interface' })),
      ],
      'no-restricted-properties': [
        'error',
        ...NODE_GLOBALS.map((property) => ({
          object: 'globalThis',
          property,
          message: 'this package runs anywhere: take it through an interface',
        })),
      ],
    },
  },
]
