/**
 * The engine: opens a volume and serves its mount, in threads that do nothing else. Each has a view of the volume, a filesystem and a session
 * of its own; the node cache, the table of nodes and what the main thread looks into lie in shared memory. While a thread waits for the
 * kernel it hears no messages.
 */

import { openSharedVolume, openVolume, type SharedVolume, type Volume } from '@cowherd/db'
import { fsKeyTypes, openFileSystem, type FileSystem } from '@cowherd/fs'
import { NodeTable, Session, type Connection } from '@cowherd/fuse'
import { nativeCodecs, ThreadRegistry, type BlockDevice } from '@cowherd/shim'
import { openStore } from '@cowherd/store'
import { wantedFeatures } from './caching.ts'
import { errnoOf } from './errno.ts'
import { EngineFigures } from './figures.ts'
import type { EngineData, EngineMessage, EngineShare, VolumeToMount } from './messages.ts'
import { VolumeOperations } from './volume-operations.ts'

/** One thread's part of the engine: its view of the volume is open, and can be served. */
export interface Engine {
  /** For the other threads. */
  readonly share: EngineShare
  /** Serves until the mount is gone. `agreed`: if another thread has taken INIT. Throws what should not have happened. */
  serve(fd: number, agreed?: Connection): void
  close(): void
}

/**
 * Opens the volume; with `share` another view of the one that the first thread has opened. `tell` hears what the main thread should know.
 * Throws VolumeError and DeviceError.
 */
export function openEngine(
  data: EngineData,
  share: EngineShare | undefined,
  tell: (message: EngineMessage) => void,
): Engine {
  new ThreadRegistry(data.registry).enter(data.threadId)
  const note = (text: string): void => tell({ kind: 'note', text })
  const volume = share?.volume === undefined ? openFirst(data, note) : openNext(data.volume, share.volume, note)
  try {
    const fs = openRoot(volume, data.volume.subvolume)
    const { subvolume, inodeHi, inodeLo } = fs.root
    const nodes = share === undefined ? NodeTable.create(subvolume, inodeHi, inodeLo) : new NodeTable(share.nodes)
    return {
      share: share ?? { volume: data.threads > 1 ? volume.share() : undefined, nodes: nodes.descriptor },
      serve: (fd, agreed) => serve(fd, agreed, data, volume, fs, nodes, tell),
      close: () => volume.close(),
    }
  } catch (error) {
    volume.close()
    throw error
  }
}

function serve(
  fd: number,
  agreed: Connection | undefined,
  { seat, times, checksPermissions, memory }: EngineData,
  volume: Volume,
  fs: FileSystem,
  nodes: NodeTable,
  tell: (message: EngineMessage) => void,
): void {
  const operations = new VolumeOperations(fs, nodes, times, (node) => session.doorbell.remember(node))
  const figures = new EngineFigures(memory.figures)
  const session = new Session(fd, operations, {
    features: wantedFeatures(checksPermissions),
    errnoOf,
    memory,
    seat,
    between: () => figures.tell(seat, operations.openHandles, volume.cacheState),
    ...(agreed === undefined ? {} : { agreed }),
    ready: (connection) => tell({ kind: 'ready', connection }),
  })
  session.serve()
}

/** The volume, with its locks. */
function openFirst({ volume, threads }: EngineData, note: (text: string) => void): Volume {
  const { devices, nolock, missing, norecovery, passphrase, cacheBytes } = volume
  return withDevices(devices, nolock !== true, note, (open) =>
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
  return withDevices(devices, false, note, (open) =>
    openSharedVolume(open, shared, { codecs: nativeCodecs(), keyTypes: fsKeyTypes, note }),
  )
}

/** Opens devices, and a volume on them; if that fails, closes them again. */
function withDevices(
  paths: readonly string[],
  lock: boolean,
  note: (text: string) => void,
  open: (devices: BlockDevice[]) => Volume,
): Volume {
  const devices: BlockDevice[] = []
  try {
    for (const path of paths) devices.push(openStore(path, { lock, note }))
    return open(devices)
  } catch (error) {
    for (const device of devices) device.close()
    throw error
  }
}

function openRoot(volume: Volume, subvolume: number | string | undefined): FileSystem {
  return openFileSystem(volume, subvolume === undefined ? {} : { subvolume })
}
