/**
 * Mounting a volume: opens it in the engine's threads, has the kernel mount it, and serves.
 *
 * One that is to be written, and can only be read, is mounted read only if that will do, and the reason is said. A single block device that is
 * written by root is mounted as type fuseblk: the kernel claims the device for the mount then, sends syncfs(2) on to us, and umount(8) returns when
 * the volume is shut down. The engine's own claim is given up for it at the last moment, when the volume is open and nothing is being written.
 */

import { spawn } from 'node:child_process'
import { statSync } from 'node:fs'
import { clearStale, MountError, mountFuse } from '@cowherd/fuse'
import type { AccessTimesKept } from './access-times.ts'
import { SOLE_USER_TIMES, type CacheTimes, type MountManner } from './caching.ts'
import { EngineError, EngineThreads } from './engine-threads.ts'
import type { EngineShare, VolumeToMount } from './messages.ts'
import { MountedVolume } from './mounted-volume.ts'
import { raiseReadAhead } from './read-ahead.ts'

export interface MountVolumeOptions {
  readonly volume: VolumeToMount
  /** Where to mount it. */
  readonly directory: string
  /** How /proc/mounts names the volume; with type fuseblk it is the device. */
  readonly source: string
  /** Whether it is to be written: not at all (if left out), or if that is possible, or else not to be mounted. */
  readonly access?: 'read' | 'write-if-possible' | 'write'
  /** What is written comes to us at once, and so do errors; left out: the kernel keeps it for a while. */
  readonly writesThrough?: boolean
  /** Options for the kernel: `noatime`, `allow_other`, `default_permissions`, ... `ro` is set as `access` says. */
  readonly kernelOptions?: readonly string[]
  readonly times?: Partial<CacheTimes>
  /** How many threads serve a volume that is only read, 1 to 64; 1 if left out. One that is written is served by one. */
  readonly threads?: number
  /** Called when the volume is open and about to be mounted: from here on the process should not end without unmounting. */
  readonly mounting?: () => void
  /** Told of what is worth knowing, before and while the volume is mounted. One sentence each. */
  readonly note?: (text: string) => void
}

const SUBTYPE = 'cowherd'
const READ_AHEAD_BYTES = 1 << 20
const THREADS_MAX = 64

/**
 * Mounts a volume. Resolves when the mount answers.
 * @throws EngineError if the volume can't be opened, MountError if it can't be mounted, RangeError for a wrong number of threads
 */
export async function mountVolume(options: MountVolumeOptions): Promise<MountedVolume> {
  const { threads = 1, access = 'read', directory } = options
  if (!(Number.isInteger(threads) && threads >= 1 && threads <= THREADS_MAX)) {
    throw new RangeError(`${threads} threads where 1 to ${THREADS_MAX} are possible`)
  }
  if (access === 'read') return mountOpened(options, await openFor(options, 'read'))
  clearStale(directory, SUBTYPE) // it may have claimed the device
  const opened = await openToWrite(options, access)
  try {
    return await mountOpened(options, opened)
  } catch (error) {
    const isTaken = opened.blockDevice !== undefined && error instanceof MountError && error.code === 'EBUSY'
    if (!isTaken) throw error
    // There are kernels that mount no device that is open for writing. If somebody else has it, opening says so.
    return mountOpened(options, await openFor(options, 'write'))
  }
}

/** A volume that is open, and how. */
interface Opened {
  readonly engine: EngineThreads
  readonly share: EngineShare
  readonly manner: MountManner
  /** The device that the mount is to stand for. */
  readonly blockDevice: string | undefined
}

async function openToWrite(options: MountVolumeOptions, access: 'write-if-possible' | 'write'): Promise<Opened> {
  try {
    return await openFor(options, 'write', blockDeviceOf(options.volume))
  } catch (error) {
    if (access === 'write' || !mayBeRead(error)) throw error
    const opened = await openFor(options, 'read')
    options.note?.(`${error.message}: mounted read only`)
    return opened
  }
}

async function openFor(options: MountVolumeOptions, access: 'read' | 'write', blockDevice?: string): Promise<Opened> {
  const { directory, volume, kernelOptions = [], times, threads = 1, note = () => undefined } = options
  const isWritable = access === 'write'
  const checksPermissions = kernelOptions.includes('default_permissions')
  const manner = { checksPermissions, isWritable, writesThrough: options.writesThrough === true }
  const engine = new EngineThreads({
    threads: isWritable ? 1 : threads,
    volume,
    times: { ...SOLE_USER_TIMES, ...times },
    manner,
    yieldsClaim: blockDevice !== undefined,
    accessTimes: accessTimesFor(kernelOptions),
    note,
    ask: asking(directory),
  })
  return { engine, share: await engine.open(), manner, blockDevice }
}

async function mountOpened(options: MountVolumeOptions, opened: Opened): Promise<MountedVolume> {
  const { engine, share } = opened
  const { directory, source } = options
  options.mounting?.()
  const fd = await mountOrClose(options, opened)
  const ready = engine.serve(fd)
  const mounted = new MountedVolume({ directory, source, fd, engine, share, ready, ask: asking(directory) })
  await ready
  raiseReadAhead(directory, READ_AHEAD_BYTES)
  return mounted
}

/** Has the kernel mount it, or else closes it. */
async function mountOrClose(options: MountVolumeOptions, opened: Opened): Promise<number> {
  const { engine, manner, blockDevice } = opened
  const { directory, source, kernelOptions = [] } = options
  const words = kernelOptions.filter((option) => option !== 'ro' && option !== 'rw')
  try {
    if (blockDevice !== undefined) await engine.yieldClaim()
    return mountFuse(directory, {
      source,
      subtype: SUBTYPE,
      options: [...new Set([...(manner.isWritable ? [] : ['ro']), ...words])],
      ...(blockDevice === undefined ? {} : { blockDevice }),
    })
  } catch (error) {
    // a device that is busy is somebody else's by now: nothing more is written to it
    const isTaken = blockDevice !== undefined && error instanceof MountError && error.code === 'EBUSY'
    await (isTaken ? engine.terminate() : engine.close())
    throw error
  }
}

/** As the kernel would keep them: it leaves them to us. */
function accessTimesFor(kernelOptions: readonly string[]): AccessTimesKept {
  const ofFiles = !kernelOptions.includes('noatime')
  return { ofFiles, ofDirectories: ofFiles && !kernelOptions.includes('nodiratime') }
}

/** The one block device that the volume lies on, if root mounts it where mounts can stand for devices. */
function blockDeviceOf({ devices }: VolumeToMount): string | undefined {
  const [device, ...others] = devices
  if (device === undefined || others.length > 0 || process.platform !== 'linux' || process.geteuid?.() !== 0) {
    return undefined
  }
  return statSync(device, { throwIfNoEntry: false })?.isBlockDevice() === true ? device : undefined
}

/** Whether a volume that can't be opened for writing may be read: its devices, or what is on them, can only be read. */
function mayBeRead(error: unknown): error is EngineError {
  if (!(error instanceof EngineError)) return false
  const { code, kind } = error
  return (
    code === 'EROFS' || code === 'EOPNOTSUPP' || (kind === 'DeviceError' && (code === 'EACCES' || code === 'EPERM'))
  )
}

/**
 * What sends the kernel's request for statfs(2) to the mount on `directory`, one at a time. Any request wakes one of its threads. A child process does it: were this
 * one killed meanwhile, a thread of its own that waits for its own answer would keep it from ending, and with it /dev/fuse open, for ever.
 */
function asking(directory: string): () => void {
  let isAsking = false
  return () => {
    if (isAsking) return
    isAsking = true
    const child = spawn('stat', ['-f', '--', directory], { stdio: 'ignore' })
    const done = (): void => void (isAsking = false)
    child.once('error', done).once('close', done).unref()
  }
}
