import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { openVolume } from '@cowherd/db'
import { fixture, fixtureNames } from '@cowherd/fixtures'
import { fsKeyTypes, openFileSystem, type FileSystem } from '@cowherd/fs'
import { nativeCodecs } from '@cowherd/shim'
import { openStore } from '@cowherd/store'
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

function manifestOf(fs: FileSystem, path = ''): string[] {
  const lines: string[] = []
  const failures: string[] = []
  writeManifest(fs, { line: (text) => lines.push(text), fail: (text) => failures.push(text) }, fs.resolve(path))
  expect(failures).toEqual([])
  return lines
}

/** Deriving the key of an encrypted volume alone takes a second or two. */
const SLOW = { timeout: 60_000 }

test.each(fixtureNames())('%s is as Linux showed it', SLOW, (name) => {
  const fs = openFixture(name)
  const expected = readFileSync(fixture(name).manifest, 'utf8').trimEnd().split('\n')
  expect(manifestOf(fs)).toEqual(expected)
})

test('a part of a tree', () => {
  const paths = manifestOf(openFixture('default'), 'tree/sub').map((line) => line.split('\t')[0])
  expect(paths).toEqual(['.', 'deep', 'deep/deeper', 'hard'])
})
