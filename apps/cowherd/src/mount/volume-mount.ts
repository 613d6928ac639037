/**
 * Which mount of ours has a volume, if one has it: found by asking those that run, through their sockets. Devices are compared by what they are, not by
 * how they are called: any path to the same file or block device will do.
 */

import { statSync } from 'node:fs'
import { reach } from './control.ts'
import { deviceOfSocket, socketsOfAll } from './run-folder.ts'

/** What a mount answers to the question `volume`. */
export interface VolumeMount {
  /** Where it is mounted. */
  readonly directory: string
  readonly isWritable: boolean
  /** The subvolume that is mounted in place of the whole volume. */
  readonly subvolume: string | undefined
  /** Each as `deviceIdentity` tells it. */
  readonly devices: readonly string[]
}

/** A mount that was found. */
export interface FoundMount extends VolumeMount {
  readonly pid: number
  /** Its device number, as `nameOfDevice` has it. */
  readonly device: string
}

/** The question. */
export const VOLUME = 'volume'

/** What a device is, under any path; undefined if there is none. */
export function deviceIdentity(path: string): string | undefined {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
  if (stat === undefined) return undefined
  return stat.isBlockDevice() ? `device ${stat.rdev}` : `file ${stat.dev}:${stat.ino}`
}

/**
 * The mount that has one of the devices at `paths`, one that is written first; undefined if no mount of ours that we may ask has. Sockets behind which
 * nobody answers, or somebody who says something else, are passed over.
 */
export async function findVolumeMount(
  paths: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<FoundMount | undefined> {
  const sockets = socketsOfAll(env)
  if (sockets.length === 0) return undefined
  const wanted = paths.flatMap(identityOrNothing)
  let found: FoundMount | undefined
  for (const socket of sockets) {
    const mount = await askOne(socket)
    if (mount?.devices.some((device) => wanted.includes(device)) !== true) continue
    if (mount.isWritable) return mount
    found ??= mount
  }
  return found
}

async function askOne(socket: string): Promise<FoundMount | undefined> {
  const peer = await reach([socket])
  if (peer === undefined) return undefined
  const timer = setTimeout(() => peer.close(), ANSWER_MS)
  try {
    const mount = checked(await peer.ask(VOLUME))
    return mount === undefined ? undefined : { ...mount, pid: peer.pid, device: deviceOfSocket(socket) }
  } catch {
    return undefined // it has gone, or is something else
  } finally {
    clearTimeout(timer)
    peer.close()
  }
}

const ANSWER_MS = 2000

function checked(answer: unknown): VolumeMount | undefined {
  if (typeof answer !== 'object' || answer === null) return undefined
  const { directory, isWritable, subvolume, devices } = answer as Readonly<Record<string, unknown>>
  if (typeof directory !== 'string' || !directory.startsWith('/') || typeof isWritable !== 'boolean') return undefined
  if (!Array.isArray(devices) || !devices.every((device) => typeof device === 'string')) return undefined
  return { directory, isWritable, subvolume: typeof subvolume === 'string' ? subvolume : undefined, devices }
}

/** A path that leads nowhere is for whoever opens it. */
function identityOrNothing(path: string): string | [] {
  try {
    return deviceIdentity(path) ?? []
  } catch {
    return []
  }
}
