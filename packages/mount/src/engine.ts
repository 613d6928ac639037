/**
 * The engine: opens a volume and serves its mount, in one thread that does nothing else. While it waits for the kernel it hears no
 * messages; whoever wants something of it leaves a message and rings the doorbell.
 */

import { openVolume, type Volume } from '@cowherd/db'
import { fsKeyTypes, openFileSystem, type FileSystem } from '@cowherd/fs'
import { Session } from '@cowherd/fuse'
import { nativeCodecs, type BlockDevice } from '@cowherd/shim'
import { openStore } from '@cowherd/store'
import { receiveMessageOnPort } from 'node:worker_threads'
import { wantedFeatures } from './caching.ts'
import { errnoOf } from './errno.ts'
import type { EngineData, EngineMessage, EngineState, InspectMessage, VolumeToMount } from './messages.ts'
import { VolumeOperations } from './volume-operations.ts'

/** A volume that is open and can be served. */
export interface Engine {
  /** Serves until the mount is gone. Throws what should not have happened. */
  serve(fd: number): void
  close(): void
}

/** Opens the volume. `tell` hears what the main thread should know. Throws VolumeError and DeviceError. */
export function openEngine(data: EngineData, tell: (message: EngineMessage) => void): Engine {
  const note = (text: string): void => tell({ kind: 'note', text })
  const volume = openMounted(data.volume, note)
  const fs = openRoot(volume, data.volume.subvolume)
  return {
    serve: (fd) => serve(fd, data, volume, fs, tell),
    close: () => volume.close(),
  }
}

function serve(
  fd: number,
  { times, checksPermissions, memory, port }: EngineData,
  volume: Volume,
  fs: FileSystem,
  tell: (message: EngineMessage) => void,
): void {
  const operations = new VolumeOperations(fs, times, (node) => session.doorbell.remember(node))
  const state = (): EngineState => ({
    nodes: { count: operations.nodes.size, lookups: operations.nodes.lookups, bytes: operations.nodes.bytes },
    openHandles: operations.openHandles,
    nodeCache: volume.cacheState,
  })
  const served = Object.assign(operations, {
    doorbell() {
      for (;;) {
        const received = receiveMessageOnPort(port)
        if (received === undefined) return
        const { id } = received.message as InspectMessage
        tell({ kind: 'state', id, state: state() })
      }
    },
  })
  const session = new Session(fd, served, {
    features: wantedFeatures(checksPermissions),
    errnoOf,
    memory,
    ready: ({ minor, features }) => tell({ kind: 'ready', minor, features: [...features] }),
  })
  session.serve()
  tell({ kind: 'ended', state: state() })
}

function openMounted(wanted: VolumeToMount, note: (text: string) => void): Volume {
  const { devices, nolock, missing, norecovery, passphrase, cacheBytes } = wanted
  const open: BlockDevice[] = []
  try {
    for (const path of devices) open.push(openStore(path, { lock: nolock !== true, note }))
    return openVolume(open, {
      codecs: nativeCodecs(),
      keyTypes: fsKeyTypes,
      passphrase: () => passphrase,
      missing: missing ?? 'none',
      norecovery: norecovery === true,
      ...(cacheBytes === undefined ? {} : { cacheBytes }),
      note,
    })
  } catch (error) {
    for (const device of open) device.close()
    throw error
  }
}

function openRoot(volume: Volume, subvolume: number | string | undefined): FileSystem {
  try {
    return openFileSystem(volume, subvolume === undefined ? {} : { subvolume })
  } catch (error) {
    volume.close()
    throw error
  }
}
