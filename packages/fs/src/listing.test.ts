import { describe, expect, test, vi } from 'vitest'
import { VolumeError } from '@cowherd/db'
import { decodeUtf8 } from '@cowherd/kernel-lib'
import { openFileSystem } from './file-system.ts'
import type { FileSystem } from './file-system.ts'
import { Listing } from './listing.ts'
import { MemoryVolume, TOP } from './testing/memory-volume.ts'

const ROOT = 4096
const NAMES = Array.from({ length: 300 }, (_, i) => `${(i * 7919) % 300}`.padEnd(1 + (i % 40), '-'))
const LARGEST_ENTRY = 28 + 40

function directoryOf(names: readonly string[]): FileSystem {
  const volume = new MemoryVolume().putSubvolume(1, TOP, ROOT).putInode(ROOT, { mode: 0o40755, strHash: 3, subvol: 1 })
  names.forEach((name, i) => volume.putName(ROOT, name, 5000 + i, { shift: i })) // the shift keeps equal names apart
  return openFileSystem(volume)
}

/** `name inode` of all entries, and the most that was kept of them at a time. */
function listed(fs: FileSystem, roomBytes: number): { entries: string[]; mostBytes: number } {
  const listing = new Listing(fs, fs.root, roomBytes)
  const entries: string[] = []
  let mostBytes = 0
  while (listing.next()) {
    entries.push(`${decodeUtf8(listing.name)} ${listing.target.inodeLo}`)
    mostBytes = Math.max(mostBytes, listing.bytes)
  }
  expect(listing.next()).toBe(false)
  return { entries, mostBytes }
}

describe('the names of a directory', () => {
  const fs = directoryOf(NAMES)
  const sorted = [...NAMES.keys()].sort((a, b) => (NAMES[a] < NAMES[b] ? -1 : 1)).map((i) => `${NAMES[i]} ${5000 + i}`)

  test.each([1 << 20, 8000, 1000, 0])('come in the order of their bytes, each once, with room for %d bytes', (room) => {
    const { entries, mostBytes } = listed(fs, room)
    expect(entries).toEqual(sorted)
    expect(mostBytes).toBeLessThanOrEqual(Math.max(room, 2 * LARGEST_ENTRY) + LARGEST_ENTRY)
  })

  test('are read once where there is room, and a few times where there is little', () => {
    const reads = vi.spyOn(fs, 'openDirectory')
    listed(fs, 1 << 20)
    expect(reads).toHaveBeenCalledTimes(1)
    reads.mockClear()
    listed(fs, 4000)
    expect(reads.mock.calls.length).toBeGreaterThan(2)
    expect(reads.mock.calls.length).toBeLessThan(10)
    reads.mockRestore()
  })

  test('may be the same for several entries: each comes, wherever the room ends', () => {
    const twins = directoryOf(Array.from({ length: 30 }, (_, i) => `name ${i % 3}`))
    const everything = listed(twins, 1 << 20).entries
    expect(new Set(everything).size).toBe(30)
    expect(everything.slice(0, 10).every((entry) => entry.startsWith('name 0 '))).toBe(true)
    for (const room of [0, 50, 100, 200, 500]) expect(listed(twins, room).entries).toEqual(everything)
  })

  test('may be none', () => {
    expect(listed(directoryOf([]), 1000).entries).toEqual([])
  })

  test('that can not be read again are an error, not an end', () => {
    const listing = new Listing(fs, fs.root, 1000)
    const reads = vi.spyOn(fs, 'openDirectory').mockImplementation(() => {
      throw new VolumeError('EIO', 'dirents', 'gone')
    })
    expect(() => {
      while (listing.next());
    }).toThrow('gone')
    reads.mockRestore()
  })
})
