import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { openVolume } from '@cowherd/db'
import { fixture, fixtureNames } from '@cowherd/fixtures'
import { fsKeyTypes, openFileSystem, type FileSystem } from '@cowherd/fs'
import { nativeCodecs } from '@cowherd/shim'
import { openStore } from '@cowherd/store'
import { cowherd } from '../testing/command-line.ts'
import { writeManifest } from './manifest.ts'

function openFixture(name: string): FileSystem {
  const { devices, passphrase } = fixture(name)
  const typed = passphrase === undefined ? undefined : new TextEncoder().encode(passphrase)
  const volume = openVolume(
    devices.map((path) => openStore(path)),
    { codecs: nativeCodecs(), keyTypes: fsKeyTypes, passphrase: () => typed },
  )
  return openFileSystem(volume)
}

async function manifestOf(fs: FileSystem, path = ''): Promise<string[]> {
  const lines: string[] = []
  const failures: string[] = []
  const report = {
    file: (columns: readonly (string | number)[]) => lines.push(columns.join('\t')),
    fail: (text: string) => failures.push(text),
  }
  await writeManifest(fs, report, fs.resolve(path))
  expect(failures).toEqual([])
  return lines
}

/** Deriving the key of an encrypted volume alone takes a second or two. */
const SLOW = { timeout: 60_000 }

test.each(fixtureNames())('%s is as Linux showed it', SLOW, async (name) => {
  const fs = openFixture(name)
  const expected = readFileSync(fixture(name).manifest, 'utf8').trimEnd().split('\n')
  expect(await manifestOf(fs)).toEqual(expected)
})

test('a part of a tree', async () => {
  const lines = await manifestOf(openFixture('default'), 'tree/sub')
  const paths = lines.map((line) => line.split('\t')[0])
  expect(paths).toEqual(['.', 'deep', 'deep/deeper', 'hard'])
})

test('the same columns as JSON', async () => {
  const { code, out } = await cowherd(['manifest', '--json', fixture('default').devices[0], 'tree/sub'])
  expect(code).toBe(0)
  const files: unknown = JSON.parse(out)
  const lines = (await manifestOf(openFixture('default'), 'tree/sub')).map((line) => line.split('\t'))
  const values = (files as Record<string, unknown>[]).map((file) => Object.values(file).map(String))
  expect(values).toEqual(lines)
  expect(files).toMatchObject([{ path: '.', type: 'd', blocks: 0 }, {}, {}, {}])
})
