/** A session of the engine: what it asks of the kernel, and what it tells the main thread. */

import type { Volume } from '@cowherd/db'
import { Session, type Connection } from '@cowherd/fuse'
import { wantedFeatures } from './caching.ts'
import { errnoOf } from './errno.ts'
import { EngineFigures } from './figures.ts'
import type { EngineData, EngineMessage } from './messages.ts'
import type { VolumeOperations } from './volume-operations.ts'

interface SessionParts {
  readonly volume: Volume
  /** What another thread has agreed on with the kernel. */
  readonly agreed?: Connection | undefined
  readonly tell: (message: EngineMessage) => void
  /** When something was changed last, milliseconds of Unix time; 0 if nothing was. */
  readonly changedMs?: () => number
  /** Called before each request that is waited for. */
  readonly between?: () => void
}

/** A session for the mounted device `fd`. */
export function newSession(
  fd: number,
  operations: VolumeOperations,
  { seat, memory, manner }: EngineData,
  { volume, agreed, tell, changedMs = () => 0, between }: SessionParts,
): Session {
  const figures = new EngineFigures(memory.figures)
  return new Session(fd, operations, {
    features: wantedFeatures(manner),
    timeGranularityNs: volume.superblock.timePrecisionNs,
    errnoOf,
    memory,
    seat,
    between: () => {
      figures.tell(seat, operations.openHandles, volume.cacheState, changedMs())
      between?.()
    },
    ...(agreed === undefined ? {} : { agreed }),
    ready: (connection) => tell({ kind: 'ready', connection }),
  })
}
