/**
 * The engine: opens a volume and serves its mount, in threads that do nothing else. While a thread waits for the kernel it hears no messages.
 *
 * A volume that is only read may be served by several threads. Each has a view of the volume, a filesystem and a session of its own; the node
 * cache, the table of nodes and what the main thread looks into lie in shared memory. One that is written has one thread: `writing-engine.ts`.
 */

import { openSharedVolume, openVolume, type SharedVolume, type Volume } from '@cowherd/db'
import { fsKeyTypes, openFileSystem, type FileSystem } from '@cowherd/fs'
import { NodeTable, type Connection } from '@cowherd/fuse'
import { nativeCodecs, ThreadRegistry } from '@cowherd/shim'
import { withDevices } from './devices.ts'
import type { EngineData, EngineMessage, EngineShare, VolumeToMount } from './messages.ts'
import { newSession } from './new-session.ts'
import { VolumeOperations } from './volume-operations.ts'

/** One thread's part of the engine: its view of the volume is open, and can be served. */
export interface Engine {
  /** For the other threads, and for the main one. */
  readonly share: EngineShare
  /** Serves until the mount is gone. `agreed`: if another thread has taken INIT. Throws what should not have happened. */
  serve(fd: number, agreed?: Connection): void
  /** Gives up the claim on the block device, if it was opened so. */
  yieldClaim(): void
  /** Throws VolumeError if a volume that was written can't be shut down. */
  close(): void
  /** Closes all as it is, as a crash would: nothing is written any more. */
  abandon(): void
}

/**
 * Opens the volume for reading; with `share` another view of the one that the first thread has opened. `tell` hears what the main thread
 * should know. Throws VolumeError and DeviceError.
 */
export function openEngine(
  data: EngineData,
  share: EngineShare | undefined,
  tell: (message: EngineMessage) => void,
): Engine {
  new ThreadRegistry(data.registry).enter(data.threadId)
  const note = (text: string): void => tell({ kind: 'note', text })
  const volume = share?.volume === undefined ? openFirst(data, note) : openNext(data.volume, share.volume, note)
  const close = (): void => volume.close()
  try {
    const fs = openRoot(volume, data.volume.subvolume)
    const { subvolume, inodeHi, inodeLo } = fs.root
    const nodes = share === undefined ? NodeTable.create(subvolume, inodeHi, inodeLo) : new NodeTable(share.nodes)
    return {
      share: share ?? { volume: data.threads > 1 ? volume.share() : undefined, nodes: nodes.descriptor },
      serve: (fd, agreed) => serve(fd, agreed, data, volume, fs, nodes, tell),
      yieldClaim: () => undefined, // who only reads has none
      close,
      abandon: close,
    }
  } catch (error) {
    close()
    throw error
  }
}

function serve(
  fd: number,
  agreed: Connection | undefined,
  data: EngineData,
  volume: Volume,
  fs: FileSystem,
  nodes: NodeTable,
  tell: (message: EngineMessage) => void,
): void {
  const operations = new VolumeOperations(fs, nodes, data.times, (node) => session.doorbell.remember(node))
  const session = newSession(fd, operations, data, { volume, agreed, tell })
  session.serve()
}

/** The volume, with its locks. */
function openFirst({ volume, threads }: EngineData, note: (text: string) => void): Volume {
  const { devices, nolock = false, missing, norecovery, passphrase, cacheBytes } = volume
  return withDevices(devices, { nolock, note }, (open) =>
    openVolume(open, {
      codecs: nativeCodecs(),
      keyTypes: fsKeyTypes,
      passphrase: () => passphrase,
      missing: missing ?? 'none',
      norecovery: norecovery === true,
      shared: threads > 1,
      ...(cacheBytes === undefined ? {} : { cacheBytes }),
      note,
    }),
  )
}

/** Another view of it. The first thread has the locks. */
function openNext({ devices }: VolumeToMount, shared: SharedVolume, note: (text: string) => void): Volume {
  return withDevices(devices, { nolock: true, note }, (open) =>
    openSharedVolume(open, shared, { codecs: nativeCodecs(), keyTypes: fsKeyTypes, note }),
  )
}

function openRoot(volume: Volume, subvolume: number | string | undefined): FileSystem {
  return openFileSystem(volume, subvolume === undefined ? {} : { subvolume })
}
