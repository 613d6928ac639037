import { spawnSync } from 'node:child_process'
import { lstatSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fixture } from '@cowherd/fixtures'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { localTree, parseManifest, type ManifestRow } from '../copy/local-tree.ts'
import { cowherd } from '../testing/command-line.ts'
import { hasGetfattr, xattrsOf } from '../testing/xattrs.ts'

const root = process.getuid?.() === 0
const hasGnuTar = (spawnSync('tar', ['--version']).stdout?.toString() ?? '').includes('GNU tar')

let folder: string
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'cowherd-tar-'))))
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const volumeOf = (name: string): string => fixture(name).devices.join(':')
const comparable = (row: ManifestRow): object => ({
  ...row,
  links: row.type === 'd' ? '' : row.links,
  blocks: '',
  xattrs: '',
})

function unpack(archive: Uint8Array): string {
  const options = ['-xp', '--xattrs', '--xattrs-include=*', '--acls', '--numeric-owner', '-f', '-']
  const { stderr } = spawnSync('tar', options, { cwd: folder, input: archive })
  return stderr.toString()
}

describe.skipIf(!root || !hasGnuTar)('GNU tar unpacks what Linux showed', () => {
  test.each(['default', 'snapshots', 'compressed', 'reflink', 'full', 'casehash'])(
    '%s',
    async (name) => {
      const { code, err, bytes } = await cowherd(['tar', volumeOf(name)])
      expect(code).toBe(0)
      expect(err.split('\n').filter((line) => line !== '' && !line.includes('a socket'))).toEqual([])
      const warnings = unpack(bytes).split('\n')
      expect(warnings.filter((line) => line !== '' && !line.includes('hdrcharset'))).toEqual([])
      const rows = parseManifest(readFileSync(fixture(name).manifest, 'utf8')).filter(({ type }) => type !== 's')
      expect(localTree(folder).map(comparable)).toEqual(rows.map(comparable))
      if (!hasGetfattr) return
      const expected = rows.filter(({ xattrs }) => xattrs !== '-').map(({ path, xattrs }) => [path, xattrs] as const)
      expect(xattrsOf(folder)).toEqual(new Map(expected))
    },
    60_000,
  )
})

test.skipIf(!hasGnuTar)('a part of the tree, with holes', async () => {
  const { code, bytes } = await cowherd(['tar', volumeOf('default'), '/tree/sparse'])
  expect(code).toBe(0)
  expect(bytes.length).toBeLessThan(1 << 20)
  expect(unpack(bytes)).toBe('')
  const { size, blocks } = lstatSync(join(folder, 'tree', 'sparse'))
  expect(size).toBe(20 << 20)
  expect(blocks * 512).toBeLessThan(1 << 20)
})

test('not onto a terminal; what is not there', async () => {
  const { code, err } = await cowherd(['tar', volumeOf('default')], { terminal: true })
  expect([code, err]).toEqual([2, 'cowherd: tar: the archive does not go to a terminal\n'])
  expect((await cowherd(['tar', volumeOf('default'), 'none'])).code).toBe(1)
})
