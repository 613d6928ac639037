/** The engine: the volume is open here, and calls are done, each from its beginning to its end. */

import { closeSync, openSync, ftruncateSync, unlinkSync } from 'node:fs'
import { makeVolume, openDatabase, openVolume, type Database, type Volume } from '@cowherd/db'
import { addFirstKeys, fsDatabaseParts, fsKeyTypes, openFileSystem, writableFileSystem } from '@cowherd/fs'
import { fillWithRandom, nativeCodecs, type WritableBlockDevice } from '@cowherd/shim'
import { openStore, openWritableStore, withAllOpen } from '@cowherd/store'
import { FileCalls } from './file-calls.ts'
import type { CallName, EngineData } from './messages.ts'

export interface Engine {
  /** How often `work` wants to be called. */
  readonly workMs: number
  /** Does a call; `words` are those of `Calls`. Throws VolumeError, and errors of system calls. */
  perform(name: CallName, words: readonly unknown[]): unknown
  /** What goes on in the background. Throws VolumeError. */
  work(): void
  /** Closes all as it is, as a crash would. */
  abandon(): void
}

type Note = (text: string) => void

const WORK_MS_MIN = 50
const WORK_MS_MAX = 60_000
const BLOCK_BYTES = 4096

/** Opens the volume. Throws VolumeError, DeviceError. */
export function openEngine(data: EngineData, note: Note): Engine {
  return data.writes ? openToWrite(data, note) : openToRead(data, note)
}

function openToRead({ devices, subvolume, ...options }: EngineData, note: Note): Engine {
  return withAllOpen(
    devices,
    (path) => openStore(path, { note }),
    (open) => {
      const volume = openVolume(open, { ...optionsOf(options), keyTypes: fsKeyTypes, note })
      return closedUnless(volume, () => {
        const fs = openFileSystem(volume, subvolume === undefined ? {} : { subvolume })
        const calls = new FileCalls(fs, undefined, options.caller, () => volume.close())
        const perform = performerOf(calls)
        return { workMs: WORK_MS_MAX, perform, work: () => undefined, abandon: () => volume.close() }
      })
    },
  )
}

function openToWrite(data: EngineData, note: Note): Engine {
  const { devices, subvolume, createBytes, ...options } = data
  if (createBytes !== undefined) makeFile(devices, createBytes)
  try {
    return withAllOpen(
      devices,
      (path) => openWritableStore(path, { note }),
      (open) => {
        if (createBytes !== undefined) format(open)
        const random = fillWithRandom
        const db = openDatabase(open, { ...fsDatabaseParts, ...optionsOf(options), random, note })
        return closedUnless(db, () => {
          const fs = writableFileSystem(db, { random, ...(subvolume === undefined ? {} : { subvolume }) })
          const perform = performerOf(new FileCalls(fs, fs, options.caller, () => fs.close()))
          return { workMs: workMsOf(db), perform, work: () => work(db), abandon: () => db.abandon() }
        })
      },
    )
  } catch (error) {
    if (createBytes !== undefined) for (const path of devices) unlinkSync(path)
    throw error
  }
}

function performerOf(calls: FileCalls): Engine['perform'] {
  return (name, words) => {
    const call = calls[name].bind(calls) as (...words: readonly unknown[]) => unknown // the words are those of the call by this name
    return call(...words)
  }
}

function optionsOf({
  passphrase,
  missing = 'none',
  cacheBytes,
}: Pick<EngineData, 'passphrase' | 'missing' | 'cacheBytes'>) {
  return {
    codecs: nativeCodecs(),
    passphrase: () => passphrase,
    missing,
    ...(cacheBytes === undefined ? {} : { cacheBytes }),
  }
}

function workMsOf(db: Database): number {
  return Math.min(Math.max(db.superblock.options.journalFlushDelay, WORK_MS_MIN), WORK_MS_MAX)
}

/** A device that has failed has been told to whoever wrote; there is nothing to be done in the background then. */
function work(db: Database): void {
  if (db.failure === undefined) db.work(Date.now())
}

/** Makes the file that a new volume is to lie in. Throws EEXIST, and other errors of system calls. */
function makeFile(paths: readonly string[], bytes: number): void {
  for (const path of paths) {
    const fd = openSync(path, 'wx')
    try {
      ftruncateSync(fd, bytes)
    } finally {
      closeSync(fd)
    }
  }
}

function format(devices: readonly WritableBlockDevice[]): void {
  const codecs = nativeCodecs()
  const random = fillWithRandom
  makeVolume(
    devices.map((device) => ({ device, blockBytes: BLOCK_BYTES })),
    {
      ...{ codecs, random, nowNs: BigInt(Date.now()) * 1_000_000n },
      fill: (builder) => addFirstKeys(builder, { codecs, random, strHash: 'siphash' }),
    },
  )
}

function closedUnless<T>(volume: Volume | Database, action: () => T): T {
  try {
    return action()
  } catch (error) {
    volume.close()
    throw error
  }
}
