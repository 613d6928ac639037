/**
 * Who may import whom. Imports between packages go down this table only: a package may import what its row names and
 * nothing else of the workspace. Apps may import every package, tools everything. `docs/architecture.md` has the picture.
 */

/** @type {Readonly<Record<string, readonly string[]>>} */
export const layers = {
  'kernel-lib': [],
  shim: ['kernel-lib'],
  rhashtable: ['kernel-lib', 'shim'],
  store: ['kernel-lib', 'shim', 'rhashtable'],
  db: ['kernel-lib', 'shim', 'rhashtable', 'store'],
  fs: ['kernel-lib', 'shim', 'rhashtable', 'store', 'db'],
  fuse: ['kernel-lib', 'shim'],
  diskfs: ['kernel-lib', 'shim'],
  mount: ['kernel-lib', 'shim', 'rhashtable', 'store', 'db', 'fs', 'fuse'],
  'node-fs': ['kernel-lib', 'shim', 'rhashtable', 'store', 'db', 'fs'],
}

/** Packages that run anywhere, a browser too: no `node:` module, no `Buffer`, no `process`, nothing else of Node. */
export const platformFree = ['kernel-lib', 'db', 'fs']

/** Packages that import nothing at all, not even a library. */
export const importFree = ['kernel-lib']

/**
 * Where a file of the workspace belongs, from its path relative to the root: `packages/db/src/key.ts` is in package `db`.
 *
 * @param {string} file
 * @returns {{ kind: 'packages' | 'apps' | 'tools', name: string, folder: string } | undefined}
 */
export function homeOf(file) {
  const [kind, name, ...rest] = file.replaceAll('\\', '/').split('/')
  if (name === undefined || rest.length === 0) return undefined
  if (kind !== 'packages' && kind !== 'apps' && kind !== 'tools') return undefined
  return { kind, name, folder: `${kind}/${name}` }
}

/**
 * Whether a file is a test, a benchmark, a helper of these, or the demo: such files don't ship.
 *
 * @param {string} file
 */
export function isTest(file) {
  return (
    /\.(test|bench)\.[cm]?[jt]s$/.test(file) ||
    /^[^/]+\/[^/]+\/(test|bench|src\/(testing|demo))\//.test(file.replaceAll('\\', '/'))
  )
}
