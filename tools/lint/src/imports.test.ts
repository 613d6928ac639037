import { describe, expect, test } from 'vitest'
import { importFault } from './imports.js'
import { layers } from './layers.js'

const allowed: [file: string, specifier: string][] = [
  ['packages/db/src/key.ts', './bpos.ts'],
  ['packages/db/src/btree/cursor.ts', '../key.ts'],
  ['packages/db/src/key.ts', '@cowherd/kernel-lib'],
  ['packages/db/src/key.ts', '@cowherd/shim'],
  ['packages/fs/src/inode.ts', '@cowherd/db'],
  ['packages/shim/src/lock.ts', 'node:fs'],
  ['packages/mount/src/mount.ts', '@cowherd/fuse'],
  ['packages/db/src/key.test.ts', 'node:fs'],
  ['packages/db/src/key.test.ts', '@cowherd/referee'],
  ['packages/kernel-lib/src/struct.test.ts', 'fast-check'],
  ['packages/kernel-lib/src/testing/bytes.ts', 'node:crypto'],
  ['apps/cowherd/src/main.ts', '@cowherd/fs'],
  ['apps/cowherd/src/demo/work.ts', '@cowherd/referee'],
  ['apps/cowherd/src/main.ts', 'node:fs'],
  ['tools/bench/src/run.ts', '@cowherd/fs'],
  ['tools/bench/src/run.ts', '@cowherd/referee'],
  ['vitest.config.ts', 'node:fs'],
]

const refused: [file: string, specifier: string, words: RegExp][] = [
  ['packages/kernel-lib/src/struct.ts', '@cowherd/shim', /imports go down only/],
  ['packages/shim/src/lock.ts', '@cowherd/db', /imports go down only/],
  ['packages/db/src/key.ts', '@cowherd/fs', /imports go down only/],
  ['packages/db/src/key.test.ts', '@cowherd/fs', /imports go down only/],
  ['packages/fuse/src/loop.ts', '@cowherd/store', /imports go down only/],
  ['packages/db/src/key.ts', '@cowherd/shim/src/lock.ts', /reaches into @cowherd\/shim/],
  ['tools/bench/src/run.ts', '@cowherd/db/dist/key.js', /reaches into @cowherd\/db/],
  ['packages/fs/src/inode.ts', '../../db/src/key.ts', /leaves packages\/fs/],
  ['packages/fs/src/inode.ts', '../../../test/x.ts', /leaves packages\/fs/],
  ['packages/kernel-lib/src/crc.ts', 'fast-check', /kernel-lib imports nothing/],
  ['packages/db/src/key.ts', 'node:fs', /runs anywhere/],
  ['packages/fs/src/inode.ts', 'crypto', /runs anywhere/],
  ['packages/fs/src/inode.ts', 'fs/promises', /runs anywhere/],
  ['packages/db/src/key.ts', '@cowherd/referee', /ships/],
  ['apps/cowherd/src/main.ts', '@cowherd/referee', /ships/],
  ['packages/brand-new/src/x.ts', '@cowherd/db', /has no place/],
]

describe('import directions', () => {
  test.each(allowed)('%s may import %s', (file, specifier) => {
    expect(importFault(file, specifier)).toBeUndefined()
  })

  test.each(refused)('%s may not import %s', (file, specifier, words) => {
    expect(importFault(file, specifier)).toMatch(words)
  })

  test('the table has no cycle: what a package may import, may not import it back', () => {
    for (const [name, below] of Object.entries(layers)) {
      for (const lower of below) {
        expect(layers[lower], `${name} -> ${lower}`).toBeDefined()
        expect(layers[lower]).not.toContain(name)
        for (const lowest of layers[lower] ?? []) expect(below, `${name} -> ${lower} -> ${lowest}`).toContain(lowest)
      }
    }
  })
})
