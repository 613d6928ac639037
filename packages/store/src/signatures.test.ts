import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { openStore } from './file-store.ts'
import { memoryStore } from './memory-store.ts'
import { physicalBlockBytes } from './physical-block.ts'
import { findSignature } from './signatures.ts'

const folder = mkdtempSync(join(tmpdir(), 'cowherd-signatures-'))
afterAll(() => rmSync(folder, { recursive: true }))

function image(name: string): string {
  const path = join(folder, name)
  writeFileSync(path, '')
  truncateSync(path, 256 << 20)
  return path
}

function signatureOf(path: string): string | undefined {
  const store = openStore(path)
  try {
    return findSignature(store)
  } finally {
    store.close()
  }
}

describe('what is on a device', () => {
  test('nothing', () => {
    expect(signatureOf(image('nothing'))).toBeUndefined()
    const short = memoryStore(new Uint8Array(1000))
    expect(findSignature(short)).toBeUndefined()
  })

  test.each([
    ['mkfs.ext4', ['-q', '-F'], 'ext2, ext3 or ext4'],
    ['mkswap', [], 'swap space'],
    ['mkfs.vfat', [], 'FAT'],
    ['mkfs.btrfs', ['-q'], 'Btrfs'],
  ])('%s', (program, argv, expected) => {
    const path = image(program)
    if (spawnSync(program, [...argv, path]).error !== undefined) return // that program isn't installed here
    expect(signatureOf(path)).toBe(expected)
  })
})

test('a file has the blocks of its filesystem', () => {
  const path = image('blocks')
  expect(physicalBlockBytes(path)).toBe(Number(execFileSync('stat', ['-c', '%o', path], { encoding: 'utf8' })))
})
