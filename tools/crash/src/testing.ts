/** What the tests of cuts share: every state of a recording, and the real fsck on some. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openVolume } from '@cowherd/db'
import { fsKeyTypes, openFileSystem, walk } from '@cowherd/fs'
import { fuzzCodecs, Random } from '@cowherd/fuzz'
import { referee } from '@cowherd/referee'
import type { BlockDevice } from '@cowherd/shim'
import { seed, statesPerFsck, statesPerPoint } from './budget.ts'
import { cut } from './cut.ts'
import type { Image } from './image.ts'
import type { Recorded } from './recording.ts'

export interface State {
  readonly images: readonly Image[]
  /** How many commands had returned. */
  readonly point: number
  /** Whether all had. */
  readonly isWhole: boolean
  /** Whether the real fsck is asked too. */
  readonly isSampled: boolean
}

/** Looks at states before, in and after each command. What `look` throws is told with the numbers that make the state again. */
export async function forEachState(
  recording: Recorded,
  look: (state: State) => void | Promise<void>,
  perPoint = statesPerPoint,
): Promise<void> {
  const { length } = recording.commands
  let states = 0
  for (let point = 0; point <= length; point++) {
    for (let number = 0; number < perPoint; number++) {
      const images = cut(recording, point, new Random(seed, point, number))
      const isSampled = states++ % statesPerFsck === 0 && referee.available()
      try {
        await look({ images, point, isWhole: point === length, isSampled })
      } catch (error) {
        throw new Error(`seed ${seed}, cut in command ${point} of ${length}, state ${number}`, { cause: error })
      }
    }
  }
}

/** The paths of all files, as one text. Throws what opening or reading throws. */
export function namesOn(devices: readonly BlockDevice[], passphrase = 'cowherd'): string {
  const volume = openVolume(devices, {
    codecs: fuzzCodecs,
    keyTypes: fsKeyTypes,
    note: () => undefined,
    passphrase: () => new TextEncoder().encode(passphrase),
  })
  const names: string[] = []
  const text = new TextDecoder()
  walk(openFileSystem(volume), {
    visit: ({ path }) => void names.push(text.decode(path)),
    fail: (_, error) => {
      throw error
    },
  })
  return names.join('\n')
}

/**
 * What a cut does: to the copy that was being written, of which there are others, and to what nobody had asked to flush. An entry that
 * has reached one of its devices only is on fewer than the superblock knows of; to say so before would make those devices indispensable.
 */
const UNMARKED = /^superblock not marked as containing replicas for journal entry \d+$/
const OF_CUTS = [
  / error reading default superblock: /,
  /: journal checksum error, type /,
  /^dropped unflushed entries \d+-\d+$/,
  UNMARKED,
  /^ {2}journal: \d\/\d \[[\d ]+\], fixing$/,
  /^[\da-f-]{36}: errors fixed$/,
]

/** The exit code of a check that says it has mended all it found: it may for what is unmarked. */
const FIXED = 1

/** What the real fsck finds on the images: '' if nothing. */
export async function faultsOf(images: readonly Image[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'cowherd-crash-'))
  try {
    const paths = images.map((image, index) => {
      const path = join(folder, `${index}.img`)
      image.save(path)
      return path
    })
    const { code, complaints, stdout, stderr } = await referee.fsck(paths)
    const isCut = code === 0 || (code === FIXED && complaints.some((line) => UNMARKED.test(line)))
    if (isCut && complaints.every((line) => OF_CUTS.some((pattern) => pattern.test(line)))) return ''
    return `${stdout}${stderr}exit ${code}`
  } finally {
    rmSync(folder, { recursive: true })
  }
}
