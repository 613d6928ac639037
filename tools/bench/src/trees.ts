/**
 * Trees of files for benchmarks, and volumes made of them by the real tool. Both are made once per machine, in a directory of
 * os.tmpdir(), and always the same: contents come from a small generator, not from chance.
 */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { needPlace } from '@cowherd/referee'

/** Where all of it lies; may be deleted at any time. */
export const BENCH_DIRECTORY = join(tmpdir(), 'cowherd-bench')

/** A tree to be made: `fill` writes it below the directory given. */
export interface Tree {
  readonly name: string
  fill(directory: string): void
}

/** `files` small files (20 to 1300 bytes), 500 to a directory. */
export function smallFiles(files: number): Tree {
  return {
    name: `small-${files}`,
    fill(directory) {
      for (let i = 0; i < files; i++) {
        const parent = join(directory, `dir-${String(Math.floor(i / 500)).padStart(4, '0')}`)
        if (i % 500 === 0) mkdirSync(parent)
        writeFileSync(
          join(parent, `file-${String(i % 500).padStart(4, '0')}.txt`),
          `file ${i}\n`.repeat(2 + ((i * 7) % 100)),
        )
      }
    },
  }
}

/** `bytes` in mixed files: a half in files of 32 MiB, a quarter in 1 MiB, the rest in 64 KiB and 4 KiB. */
export function mixedFiles(bytes: number): Tree {
  return {
    name: `mixed-${bytes >> 20}m`,
    fill(directory) {
      const shares: [size: number, share: number][] = [
        [32 << 20, bytes / 2],
        [1 << 20, bytes / 4],
        [64 << 10, bytes / 8],
        [4 << 10, bytes / 8],
      ]
      for (const [size, share] of shares) {
        for (let i = 0; i < share / size; i++) {
          const parent = join(directory, `${size >> 10}k`, `${i >> 8}`)
          if (i % 256 === 0) mkdirSync(parent, { recursive: true })
          writeFileSync(join(parent, `${i & 255}`), noise(size, size + i))
        }
      }
    },
  }
}

/** The tree on the machine's own filesystem. */
export function treeDirectory(tree: Tree): string {
  return made(tree.name, (path) => {
    mkdirSync(path)
    tree.fill(path)
  })
}

/** An image with a bcachefs volume of `sizeBytes` that the real tool filled with the tree. */
export function volumeOf(tree: Tree, sizeBytes: number): string {
  const source = treeDirectory(tree)
  return made(`${tree.name}.bcachefs`, (path) => {
    writeFileSync(path, '')
    truncateSync(path, sizeBytes)
    must(needPlace().bcachefs, ['format', '--quiet', `--source=${source}`, path])
  })
}

/** An image with an ext4 filesystem that holds the same tree. */
export function ext4Of(tree: Tree, sizeBytes: number): string {
  const source = treeDirectory(tree)
  return made(`${tree.name}.ext4`, (path) => {
    writeFileSync(path, '')
    truncateSync(path, sizeBytes)
    must('mkfs.ext4', ['-q', '-F', '-d', source, path])
  })
}

/** Runs a program to its end; throws with what it printed if it fails. */
export function must(command: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}: ${stderr}`)
}

/** Makes what is called `name` unless it is there: whole or not at all. */
function made(name: string, make: (path: string) => void): string {
  const path = join(BENCH_DIRECTORY, name)
  if (existsSync(path)) return path
  mkdirSync(BENCH_DIRECTORY, { recursive: true })
  const part = `${path}.part`
  rmSync(part, { recursive: true, force: true })
  make(part)
  renameSync(part, path)
  return path
}

/** Bytes that compress little, always the same for one seed. */
function noise(size: number, seed: number): Uint8Array {
  const words = new Uint32Array(size / 4)
  let state = seed * 2654435761 || 1
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    words[i] = state
  }
  return new Uint8Array(words.buffer)
}
