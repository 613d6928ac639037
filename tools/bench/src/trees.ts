/**
 * Trees of files for benchmarks, and volumes made of them by the real tool. Both are made once per machine, in a directory of
 * os.tmpdir(), and always the same: contents come from a small generator, not from chance.
 */

import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { needPlace } from '@cowherd/referee'
import { must, succeeds } from './run.ts'

/** Where all of it lies; may be deleted at any time. */
export const BENCH_DIRECTORY = join(realpathSync(tmpdir()), 'cowherd-bench')

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

/** One file of `bytes` (a multiple of 32 MiB), called `file`. */
export function largeFile(bytes: number): Tree {
  return {
    name: `large-${bytes / 2 ** 20}m`,
    fill(directory) {
      const piece = 32 << 20
      const file = openSync(join(directory, 'file'), 'w')
      for (let i = 0; i < bytes / piece; i++) writeSync(file, noise(piece, i + 1))
      closeSync(file)
    },
  }
}

/** As sources are: `files` of 100 bytes to 60 KiB, most of them small, 25 to a directory, in a repository of git. */
export function sourceTree(files: number): Tree {
  return {
    name: `sources-${files}`,
    fill(directory) {
      let state = 1
      for (let i = 0; i < files; i++) {
        const parent = join(directory, `part-${Math.floor(i / 500)}`, `module-${Math.floor(i / 25) % 20}`)
        if (i % 25 === 0) mkdirSync(parent, { recursive: true })
        state = Math.imul(state, 1664525) + 1013904223
        const size = Math.floor(100 * 600 ** ((state >>> 8) / 2 ** 24)) // as many of 1 to 2 KiB as of 2 to 4
        writeFileSync(join(parent, `source-${i}.c`), `int line_${i} = ${i};\n`.repeat(Math.ceil(size / 24)))
      }
      // what a commit tidies up by itself would go on behind its back
      const git = ['-C', directory, '-c', 'gc.auto=0', '-c', 'user.name=bench', '-c', 'user.email=bench@localhost']
      for (const words of [
        ['init', '-q'],
        ['add', '-A'],
        ['commit', '-q', '-m', 'all'],
        ['gc', '-q'],
      ]) {
        must('git', [...git, ...words])
      }
    },
  }
}

/** The tree as an archive of tar(1). */
export function archiveOf(tree: Tree): string {
  const source = treeDirectory(tree)
  return made(`${tree.name}.tar`, (path) => must('tar', ['-C', source, '-cf', path, '.']))
}

/** The tree on the machine's own filesystem. */
export function treeDirectory(tree: Tree): string {
  return made(tree.name, (path) => {
    mkdirSync(path)
    tree.fill(path)
  })
}

/** An image with a bcachefs volume of `sizeBytes` that the real tool filled with the tree. Data have checksums of the type given. */
export function volumeOf(tree: Tree, sizeBytes: number, dataChecksum: 'crc32c' | 'none' = 'crc32c'): string {
  const source = treeDirectory(tree)
  const name = dataChecksum === 'crc32c' ? tree.name : `${tree.name}-${dataChecksum}`
  return made(`${name}.bcachefs`, (path) => {
    writeFileSync(path, '')
    truncateSync(path, sizeBytes)
    const words = ['format', '--quiet', '--force', `--data_checksum=${dataChecksum}`, `--source=${source}`, path]
    // it crashes now and then
    if (!succeeds(needPlace().bcachefs, words)) must(needPlace().bcachefs, words)
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
