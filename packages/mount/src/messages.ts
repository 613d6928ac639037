/** What the main thread and the engine's threads of a mount say to each other. Plain data. */

import type { OpenOptions, SharedVolume } from '@cowherd/db'
import type { Connection, NodeTableDescriptor, SessionMemory } from '@cowherd/fuse'
import type { SharedPlace } from '@cowherd/shim'
import type { AccessTimesKept } from './access-times.ts'
import type { CacheTimes, MountManner } from './caching.ts'

/** How the engine opens the volume. */
export interface VolumeToMount {
  /** Paths of the devices. */
  readonly devices: readonly string[]
  /** Take no locks: what is read may be changing. */
  readonly nolock?: boolean
  readonly missing?: NonNullable<OpenOptions['missing']>
  readonly norecovery?: boolean
  readonly passphrase?: Uint8Array
  /** Bound of the node cache in bytes. */
  readonly cacheBytes?: number
  /** The subvolume to mount: its path from the root, or its id. */
  readonly subvolume?: number | string
  /** Of a volume that is written: after how many milliseconds at most what was done is on stable storage; left out: as the volume says. */
  readonly journalFlushDelayMs?: number
}

/** What a thread of the engine is started with. */
export interface EngineData {
  /** Its number, from 0, and how many there are. The first opens the volume, and takes INIT. */
  readonly seat: number
  readonly threads: number
  readonly volume: VolumeToMount
  readonly times: CacheTimes
  readonly manner: MountManner
  /** Of a volume that is written: whose times of access are kept. */
  readonly accessTimes: AccessTimesKept
  /** Of a volume that is written: the claim on its block device is going to be given up for a mount. */
  readonly yieldsClaim: boolean
  readonly memory: EngineMemory
  /** Name of the BroadcastChannel by which the main thread is told to wake the engine, where the doorbell can't. */
  readonly bell: string
  /** The registry of the engine's threads, and its seat there. */
  readonly registry: SharedPlace
  readonly threadId: number
}

/** What the main thread looks into, at any time. */
export interface EngineMemory extends SessionMemory {
  readonly figures: SharedArrayBuffer
}

/** What the first thread has opened, for the others. */
export interface EngineShare {
  /** Undefined if there are no others. */
  readonly volume: SharedVolume | undefined
  readonly nodes: NodeTableDescriptor
  /** How often a volume that is written wants to be worked on in the background, in milliseconds; undefined if it is only read. */
  readonly workMs?: number
}

/** To a thread of the engine, one after the other. */
export type EngineCommand =
  /** To all but the first, which opens the volume by itself. */
  | { readonly kind: 'open'; readonly share: EngineShare }
  /** `fd`: the mounted /dev/fuse. `agreed`: what the first agreed on with the kernel, for the others. */
  | { readonly kind: 'serve'; readonly fd: number; readonly agreed?: Connection }
  /** Gives up the claim on the block device, which the kernel is to take. */
  | { readonly kind: 'yield' }
  /** Ends it before it has served. */
  | { readonly kind: 'close' }
  /** To a thread that serves, with a ring: the kernel has written back what was asked for. */
  | { readonly kind: 'writtenBack'; readonly id: number }

/** An error on its way between threads, which keep no classes. */
export interface ErrorText {
  readonly name: string
  readonly code: string
  readonly message: string
  readonly stack: string
}

export type EngineMessage =
  | { readonly kind: 'opened'; readonly share: EngineShare }
  | { readonly kind: 'yielded' }
  /** Has the kernel write back what it keeps of a file from `start` on; `end` may be infinite. */
  | {
      readonly kind: 'writeBack'
      readonly id: number
      readonly node: number
      readonly start: number
      readonly end: number
    }
  | { readonly kind: 'ready'; readonly connection: Connection }
  | { readonly kind: 'note'; readonly text: string }
  | { readonly kind: 'ended' }
  | { readonly kind: 'failed'; readonly error: ErrorText }

/** The parts of an error that are worth sending. */
export function errorText(error: unknown): ErrorText {
  if (!(error instanceof Error)) return { name: 'Error', code: '', message: String(error), stack: '' }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  return { name: error.name, code, message: error.message, stack: error.stack ?? '' }
}
