/**
 * Opening a volume for commands that read whole trees, with several threads: which threads there are, and how they come to see the same
 * volume.
 */

import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import type { FileSystemReader } from '@cowherd/fs'
import { parseVolume } from '@cowherd/store'
import type { OrderedWorkOptions } from '../parallel/ordered-work.ts'
import { Readers } from '../parallel/readers.ts'
import { enterRegistry } from '../parallel/registry.ts'
import type { TaskChoice, TaskName, Tasks } from '../parallel/task.ts'
import type { Context } from './context.ts'
import { openFileSystemOn, openVolume } from './opening.ts'
import type { VolumeFlags } from './volume-options.ts'

export interface ReadingFlags extends VolumeFlags {
  readonly threads?: number
}

type WorkTuning = Pick<OrderedWorkOptions<never, never>, 'takesPart' | 'batchBytes' | 'aloneMs'>

/** For tests. */
export interface ReadingTuning extends WorkTuning {
  /** Bound of the node cache. */
  readonly cacheBytes?: number
  /** Where the code of a reader is. */
  readonly readerUrl?: URL
  /** Large files are copied in parts of this size. */
  readonly partBytes?: number
  /** How many threads there are if `--threads` is left out. */
  readonly threads?: number
}

/** Bound of the node cache for one thread, that of the database. */
const CACHE_BYTES = 64 << 20
/** About what another thread takes: the cache gives it up, so that the bound of all memory holds for as many as there are by default. */
const THREAD_BYTES = 16 << 20
const CACHE_BYTES_MIN = 16 << 20
/** More are for those who ask for them: one thread walks over the names, and each one more takes its memory. */
const THREADS_DEFAULT_MAX = 3

/** A filesystem that is read by several threads. */
export interface Reading {
  readonly fs: FileSystemReader
  /** Where the volume's notes go. */
  readonly notes: { to: (text: string) => void }
  /** Absent where one thread does everything. */
  readonly startReaders: ((task: TaskChoice) => Readers<never, never>) | undefined
  readonly tuning: ReadingTuning
}

/** How work at a task is shared with other threads. */
export function sharing<Name extends TaskName>(
  { startReaders, tuning: { takesPart = true, batchBytes, aloneMs } }: Reading,
  task: TaskChoice & { readonly name: Name },
): Partial<OrderedWorkOptions<Tasks[Name]['item'], Tasks[Name]['result']>> {
  if (startReaders === undefined) return {}
  return {
    readers: () => startReaders(task), // items and results of theirs are those of the task
    takesPart,
    ...(batchBytes === undefined ? {} : { batchBytes }),
    ...(aloneMs === undefined ? {} : { aloneMs }),
  }
}

/** The filesystem on VOLUME, for as many threads as the flags say. Throws CommandError (exit code 3). */
export async function openReading(
  context: Context,
  volume: string,
  flags: ReadingFlags,
  tuning: ReadingTuning = {},
): Promise<Reading> {
  const threads = flags.threads ?? tuning.threads ?? Math.min(availableParallelism(), THREADS_DEFAULT_MAX)
  const { cacheBytes = Math.max(CACHE_BYTES - (threads - 1) * THREAD_BYTES, CACHE_BYTES_MIN), readerUrl } = tuning
  const notes = { to: (text: string) => context.note(text) }
  const shared = threads > 1
  if (shared) enterRegistry()
  const opened = await openVolume(context, volume, flags, {
    shared,
    note: (text) => notes.to(text),
    cacheBytes,
  })
  const devices = parseVolume(volume).map((path) => resolve(path))
  const startReaders = (task: TaskChoice): Readers<never, never> =>
    new Readers({
      count: threads - 1,
      reading: { devices, volume: opened.share() },
      task,
      ...(readerUrl === undefined ? {} : { url: readerUrl }),
    })
  return {
    fs: openFileSystemOn(opened),
    notes,
    startReaders: shared ? startReaders : undefined,
    // who asks for threads gets them at once
    tuning: flags.threads === undefined ? tuning : { aloneMs: 0, ...tuning },
  }
}
