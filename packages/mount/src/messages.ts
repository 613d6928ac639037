/** What the main thread and the engine's thread of a mount say to each other. Plain data. */

import type { CacheState, OpenOptions } from '@cowherd/db'
import type { SessionMemory } from '@cowherd/fuse'
import type { MessagePort } from 'node:worker_threads'
import type { CacheTimes } from './caching.ts'

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
}

/** What the engine's thread is started with. */
export interface EngineData {
  readonly volume: VolumeToMount
  readonly times: CacheTimes
  readonly checksPermissions: boolean
  readonly memory: SessionMemory
  /** Read by the engine when its doorbell rings. */
  readonly port: MessagePort
}

/** To the engine, before it serves: the descriptor of the mounted /dev/fuse. */
export interface ServeMessage {
  readonly kind: 'serve'
  readonly fd: number
}

/** To the engine while it serves, through its port. */
export interface InspectMessage {
  readonly kind: 'inspect'
  readonly id: number
}

/** An error on its way between threads, which keep no classes. */
export interface ErrorText {
  readonly name: string
  readonly code: string
  readonly message: string
  readonly stack: string
}

/** What only the engine can tell. */
export interface EngineState {
  readonly nodes: { readonly count: number; readonly lookups: number; readonly bytes: number }
  readonly openHandles: { readonly files: number; readonly directories: number }
  readonly nodeCache: CacheState
}

export type EngineMessage =
  | { readonly kind: 'opened' }
  | { readonly kind: 'ready'; readonly minor: number; readonly features: readonly string[] }
  | { readonly kind: 'note'; readonly text: string }
  | { readonly kind: 'state'; readonly id: number; readonly state: EngineState }
  | { readonly kind: 'ended'; readonly state: EngineState }
  | { readonly kind: 'failed'; readonly error: ErrorText }

/** The parts of an error that are worth sending. */
export function errorText(error: unknown): ErrorText {
  if (!(error instanceof Error)) return { name: 'Error', code: '', message: String(error), stack: '' }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  return { name: error.name, code, message: error.message, stack: error.stack ?? '' }
}
