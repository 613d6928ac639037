/** Volumes much larger than the node cache, made by the real tool; always the same, but for those that it is stopped in the midst of. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, linkSync, mkdirSync, openSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { needPlace, referee } from '@cowherd/referee'
import type { Native } from '@cowherd/shim'

export interface TreeSize {
  /** Small files, a half of them in one directory. */
  readonly files: number
  /** How many of these have attributes, 4 KB each: keys of btrees are what there shall be much of. */
  readonly attributed: number
  /** How many of these have a second name, in another directory. */
  readonly links: number
  /** Size of one large file. */
  readonly dataBytes: number
}

const FILES_PER_DIRECTORY = 1000
const ATTRIBUTES = ['user.one', 'user.two']
/** bcachefs has room for some 2000 bytes in an attribute, ext4 for some 4000 in all of a file's. */
const ATTRIBUTE_BYTES = 1900
const NAME_BYTES = 200
const PIECE_BYTES = 1 << 20

/** Fills an empty directory. Returns the number of files and directories that a volume of it has: lost+found comes to these. */
export function fillTree(directory: string, size: TreeSize, native: Native): number {
  const { files, attributed, links, dataBytes } = size
  let names = 2 // the root and lost+found
  const directoryOf = (name: string): string => {
    const path = join(directory, name)
    mkdirSync(path)
    names++
    return path
  }
  const attribute = new Uint8Array(ATTRIBUTE_BYTES)
  const file = (path: string, i: number): void => {
    writeFileSync(path, `file ${i}\n`.repeat(1 + (i % 40)))
    names++
    if ((i * attributed) % files >= attributed) return
    attribute.fill(i)
    for (const name of ATTRIBUTES) native.setXattr(Buffer.from(path), name, attribute)
  }

  const crowd = directoryOf('crowd')
  const crowded = (i: number): string => join(crowd, `${(i * 7919) % files}-`.padEnd(NAME_BYTES, 'n'))
  for (let i = 0; i < files / 2; i++) file(crowded(i), i)
  let folder = ''
  for (let i = 0; i < files / 2; i++) {
    if (i % FILES_PER_DIRECTORY === 0) folder = directoryOf(`folder-${i / FILES_PER_DIRECTORY}`)
    file(join(folder, `file-${i}`), i)
  }
  const linked = directoryOf('linked')
  for (let i = 0; i < links; i++, names++) linkSync(crowded(i), join(linked, `${i}-`.padEnd(NAME_BYTES, 'l')))
  writeNoise(join(directory, 'data'), dataBytes)
  return names + 1
}

function writeNoise(path: string, size: number): void {
  const words = new Uint32Array(PIECE_BYTES / 4)
  const file = openSync(path, 'w')
  let state = 1
  for (let done = 0; done < size; done += PIECE_BYTES) {
    for (let i = 0; i < words.length; i++) words[i] = state = Math.imul(state, 1664525) + 1013904223
    writeSync(file, words)
  }
  closeSync(file)
}

/** A volume of `sizeBytes` (the image is sparse) that holds the tree. */
export async function volumeOf(tree: string, image: string, sizeBytes: number): Promise<void> {
  makeImage(image, sizeBytes)
  const { code, stderr } = await referee.bcachefs(formatting(tree, image), { timeoutMs: 3_600_000 })
  if (code !== 0) throw new Error(`format ended with ${code}: ${stderr}`)
}

/** The same, but the tool is killed when the image takes `stopBytes` of the disk: the volume is unclean, and its journal live. */
export async function uncleanVolumeOf(
  tree: string,
  image: string,
  sizeBytes: number,
  stopBytes: number,
): Promise<void> {
  makeImage(image, sizeBytes)
  const tool = spawn(needPlace().bcachefs, formatting(tree, image), { stdio: 'ignore' })
  const end = once(tool, 'close')
  while (tool.exitCode === null && statSync(image).blocks * 512 < stopBytes) await wait(20)
  tool.kill('SIGKILL')
  await end
  if (tool.exitCode !== null)
    throw new Error(`format ended with ${tool.exitCode} before the image took ${stopBytes} bytes`)
}

function makeImage(image: string, sizeBytes: number): void {
  writeFileSync(image, '')
  truncateSync(image, sizeBytes)
}

function formatting(tree: string, image: string): string[] {
  return ['format', '--quiet', `--source=${tree}`, image]
}
