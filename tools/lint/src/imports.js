/**
 * The rule `cowherd/imports`: imports go down only, and through a package's front door.
 *
 * - A package imports the packages of its row in `layers.js`; its tests may import tools besides.
 * - `@cowherd/db` is a door, `@cowherd/db/src/key.ts` is a window: no inner files of another package.
 * - A relative import stays within its own package.
 * - `kernel-lib` imports nothing; packages that run anywhere import no module of Node.
 */

import { builtinModules } from 'node:module'
import path from 'node:path'
import { homeOf, importFree, isTest, layers, platformFree } from './layers.js'

const SCOPE = '@cowherd/'

/**
 * What is wrong with importing `specifier` from `file` (relative to the root), or undefined.
 *
 * @param {string} file
 * @param {string} specifier
 * @returns {string | undefined}
 */
export function importFault(file, specifier) {
  const home = homeOf(file)
  if (home === undefined) return undefined
  const shipped = !isTest(file)

  if (specifier.startsWith('.')) {
    const target = path.posix.normalize(path.posix.join(path.posix.dirname(file.replaceAll('\\', '/')), specifier))
    if (target.startsWith(`${home.folder}/`)) return undefined
    return `'${specifier}' leaves ${home.folder}: import the other package by its name`
  }

  if (specifier.startsWith(SCOPE)) {
    const [name = '', ...inner] = specifier.slice(SCOPE.length).split('/')
    if (inner.length > 0) return `'${specifier}' reaches into ${SCOPE}${name}: import '${SCOPE}${name}' itself`
    return directionFault(home, name, shipped)
  }

  if (home.kind !== 'packages' || !shipped) return undefined
  if (importFree.includes(home.name)) return `${home.name} imports nothing, not even '${specifier}'`
  if (platformFree.includes(home.name) && isNodeModule(specifier)) {
    return `${home.name} runs anywhere: '${specifier}' is Node's`
  }
  return undefined
}

/**
 * @param {{ kind: string, name: string, folder: string }} home
 * @param {string} name package being imported, without the scope
 * @param {boolean} shipped
 */
function directionFault(home, name, shipped) {
  if (home.kind === 'tools' || name === home.name) return undefined
  const isLibrary = Object.hasOwn(layers, name)
  if (!isLibrary) return shipped ? `${home.folder} ships, so it can't import the tool ${SCOPE}${name}` : undefined
  if (home.kind === 'apps') return undefined
  const below = layers[home.name]
  if (below === undefined) return `${home.name} has no place in tools/lint/src/layers.js yet: give it one`
  if (below.includes(name)) return undefined
  return `${home.name} may not import ${SCOPE}${name}: imports go down only (tools/lint/src/layers.js)`
}

/** @param {string} specifier */
function isNodeModule(specifier) {
  return specifier.startsWith('node:') || builtinModules.includes(specifier.split('/')[0] ?? '')
}

/** @type {import('eslint').Rule.RuleModule} */
export const imports = {
  meta: {
    type: 'problem',
    docs: { description: 'imports go down only and through the front door' },
    schema: [],
    messages: { fault: '{{fault}}' },
  },
  create(context) {
    const file = path.relative(context.cwd, context.filename)
    /** @param {{ type: string, value?: unknown, loc?: import('eslint').AST.SourceLocation | null | undefined } | null | undefined} source */
    const check = (source) => {
      if (source?.type !== 'Literal' || typeof source.value !== 'string') return
      const fault = importFault(file, source.value)
      if (fault !== undefined)
        context.report({ loc: source.loc ?? { line: 1, column: 0 }, messageId: 'fault', data: { fault } })
    }
    return {
      ImportDeclaration: (node) => check(node.source),
      ExportNamedDeclaration: (node) => check(node.source),
      ExportAllDeclaration: (node) => check(node.source),
      ImportExpression: (node) => check(node.source),
      /** `import('x').T` in a type. @param {{ source: { type: string } }} node */
      TSImportType: (node) => check(node.source),
    }
  },
}
