/**
 * Copies data to a volume that is being made: finds room for it, has other threads read, checksum and write it, and adds the keys that lead to it when that
 * is done. What comes in small pieces is gathered in memory and written together. When there is more to do than the others get done, this thread does some
 * of it.
 *
 * `Copied` says of each file how far it is; what failed of it is known when nothing of it is under way.
 */

import { CHECKSUM_WORDS, VolumeError, type NodePlace, type VolumeBuilder } from '@cowherd/db'
import { startThread, type Thread, type WritableBlockDevice } from '@cowherd/shim'
import { getSystemErrorName } from 'node:util'
import { CommandError, ExitCode } from '../cli/exit-code.ts'
import { DataJobs, JOB_BYTES, JOBS, newJobMemory, Outcome, SLOTS, UNITS_MAX } from './data-jobs.ts'

/** A file that data is copied of. */
export interface Copied {
  readonly inode: Readonly<{ numberHi: number; numberLo: number; snapshot: number }>
  /** Jobs that have some of it; who has more to come counts too. */
  underWay: number
  /** Sectors that there are keys for. */
  sectors: number
  /** Where the first piece ended that was shorter than asked for: the file has become so long. */
  end: number
  /** Why it couldn't be read: the error's name. */
  failure: string | undefined
  /** Called when a job was the last that had some of it. */
  settled: () => void
}

/** A part of a file that is one key. */
interface Part {
  readonly copied: Copied
  /** First sector in the file. */
  readonly start: number
  readonly sectors: number
  readonly places: readonly NodePlace[]
  readonly skip: number
}

/** A job that is being put together. */
interface Draft {
  readonly fd: number
  readonly at: number
  readonly parts: Part[]
  sectors: number
  /** Where on the devices it begins. */
  readonly places: readonly NodePlace[]
}

interface Job {
  readonly number: number
  readonly draft: Draft
  readonly bytes: number
  readonly slot: number
}

export interface DataCopierOptions {
  readonly devices: readonly WritableBlockDevice[]
  readonly builder: VolumeBuilder
  readonly blockBytes: number
  /** How many other threads there are to be. */
  readonly threads: number
}

const SECTOR = 512
/** Jobs that wait for others before this thread does some, too. */
const AHEAD = 6
const WAIT_MS = 1000
/** A thread without limits lets its garbage grow. */
const LIMITS = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 64 }

/** Of a device: what threads write to. */
function descriptorOf({ handle, name }: WritableBlockDevice): number {
  if (handle?.kind === 'descriptor') return handle.fd
  throw new RangeError(`${name} has no descriptor`)
}

export class DataCopier {
  private readonly builder: VolumeBuilder
  private readonly devices: readonly WritableBlockDevice[]
  private readonly descriptors: readonly number[]
  private readonly blockSectors: number
  private readonly unitSectors: number
  private readonly jobs: DataJobs
  private readonly threads: readonly Thread[]
  /** Those that were submitted, oldest first, from `collected` on. */
  private underWay: Job[] = []
  /** How much of each slot jobs still need; the slot that is being filled, and how far. */
  private readonly users = new Int32Array(SLOTS)
  private slot = 0
  private filled = 0
  /** What was gathered in the slot, and is not submitted. */
  private gathered: Draft | undefined
  /** Why data couldn't be written: then there is going to be no volume. */
  private failure: CommandError | undefined

  constructor({ devices, builder, blockBytes, threads }: DataCopierOptions) {
    const { extents } = builder
    this.builder = builder
    this.devices = devices
    this.descriptors = devices.map(descriptorOf)
    this.blockSectors = blockBytes / SECTOR
    // Without checksums an extent can be as long as there is room for.
    this.unitSectors = extents.checksumType === 0 ? JOB_BYTES / SECTOR : extents.unitSectors
    const memory = newJobMemory(extents.checksumType, blockBytes)
    this.jobs = new DataJobs(memory)
    const worker = { resourceLimits: LIMITS, execArgv: [] }
    this.threads = Array.from({ length: threads }, (_, i) =>
      startThread(new URL('./data.worker.js', import.meta.url), { name: `data ${i + 1}`, data: memory, worker }),
    )
  }

  /** Has a stretch of an open file copied, from block-aligned `offset` on. It stays open until nothing is under way. Throws VolumeError, CommandError. */
  copyFrom(fd: number, copied: Copied, offset: number, bytes: number): void {
    let draft: Draft | undefined
    for (let at = offset; at < offset + bytes;) {
      const sectors = this.blocks(Math.min(offset + bytes - at, JOB_BYTES))
      const taken = this.take(sectors)
      if (draft === undefined || !this.joins(draft, taken)) {
        if (draft !== undefined) this.submit(draft, at - draft.at, -1)
        draft = { fd, at, parts: [], sectors: 0, places: this.builder.data.places }
      }
      this.append(draft, copied, at / SECTOR, taken)
      at = Math.min(at + taken * SECTOR, offset + bytes)
    }
    if (draft !== undefined) this.submit(draft, offset + bytes - draft.at, -1)
  }

  /** Memory for a piece of at most JOB_BYTES, whole blocks, to be filled before anything else is called here. */
  memory(bytes: number): Uint8Array {
    const needed = this.blocks(bytes) * SECTOR
    if (this.filled + needed > JOB_BYTES) this.nextSlot()
    const at = this.slot * JOB_BYTES + this.filled
    return this.jobs.memory.subarray(at, at + needed)
  }

  /** Has the first `bytes` of the memory that was given out written, to block-aligned `offset` in a file. Throws VolumeError, CommandError. */
  copyMemory(copied: Copied, offset: number, bytes: number): void {
    const sectors = this.blocks(bytes)
    const start = this.slot * JOB_BYTES + this.filled
    this.jobs.memory.fill(0, start + bytes, start + sectors * SECTOR)
    this.filled += sectors * SECTOR
    for (let done = 0; done < sectors;) {
      const taken = this.take(sectors - done)
      if (this.gathered === undefined || !this.joins(this.gathered, taken)) {
        this.submitGathered()
        const at = start + done * SECTOR
        this.gathered = { fd: -1, at, parts: [], sectors: 0, places: this.builder.data.places }
      }
      this.append(this.gathered, copied, offset / SECTOR + done, taken)
      done += taken
    }
    this.collect()
  }

  /** Waits until nothing is under way. Throws CommandError. */
  drain(): void {
    if (this.failure !== undefined) throw this.failure
    this.submitGathered()
    while (this.underWay.length > 0) if (!this.jobs.performNext()) this.waitForOldest()
  }

  /** Ends the threads. */
  async close(): Promise<void> {
    this.jobs.stop()
    await Promise.all(this.threads.map((thread) => thread.joinAsync()))
  }

  private blocks(bytes: number): number {
    return Math.ceil(bytes / SECTOR / this.blockSectors) * this.blockSectors
  }

  private take(sectors: number): number {
    const taken = this.builder.data.take(sectors)
    if (taken === 0) throw new VolumeError('ENOSPC', '', 'no room for data on as many devices as copies are wanted')
    return taken
  }

  /** Whether the room that was just taken lies behind that of a draft, on all devices, and may be a part of it. */
  private joins({ parts, sectors, places }: Draft, taken: number): boolean {
    const now = this.builder.data.places
    const units = Math.ceil(taken / this.unitSectors)
    if ((sectors + taken) * SECTOR > JOB_BYTES || parts.length + units > UNITS_MAX) return false
    return places.every(({ device, sector }, i) => now[i].device === device && now[i].sector === sector + sectors)
  }

  private append(draft: Draft, copied: Copied, start: number, taken: number): void {
    const { places } = this.builder.data
    copied.underWay++
    for (let skip = 0; skip < taken; skip += this.unitSectors) {
      const sectors = Math.min(this.unitSectors, taken - skip)
      draft.parts.push({ copied, start: start + skip, sectors, places, skip })
    }
    draft.sectors += taken
  }

  private submitGathered(): void {
    const { gathered } = this
    this.gathered = undefined
    if (gathered !== undefined) this.submit(gathered, gathered.sectors * SECTOR, this.slot)
  }

  private nextSlot(): void {
    this.submitGathered()
    this.slot = (this.slot + 1) % SLOTS
    this.filled = 0
    while (this.users[this.slot] > 0) if (!this.jobs.performNext()) this.waitForOldest()
    this.collect()
  }

  private submit(draft: Draft, bytes: number, slot: number): void {
    const { jobs, descriptors, underWay } = this
    while (this.underWay.length >= JOBS) this.waitForOldest()
    const targets = draft.places.map(({ device, sector }) => ({ fd: descriptors[device], offset: sector * SECTOR }))
    const units = draft.parts.map(({ sectors }) => sectors)
    const number = jobs.submit({ fd: draft.fd, at: draft.at, bytes }, units, targets)
    underWay.push({ number, draft, bytes, slot })
    if (slot >= 0) this.users[slot]++
    this.collect()
    while (this.underWay.length > AHEAD && jobs.performNext()) this.collect()
  }

  private waitForOldest(): void {
    const [{ number }] = this.underWay
    while (!this.jobs.wait(number, WAIT_MS)) {
      const isGone = this.threads.some((thread) => thread.joinWithin(0))
      if (isGone) throw new RangeError('a thread that copies data has ended by itself')
    }
    this.collect()
  }

  /** Hears what came of jobs that are done, in their order. Throws CommandError. */
  private collect(): void {
    let count = 0
    for (const job of this.underWay) {
      if (!this.jobs.isDone(job.number)) break
      count++
      this.conclude(job)
    }
    if (count > 0) this.underWay = this.underWay.slice(count)
  }

  private conclude({ number, draft, bytes, slot }: Job): void {
    const { jobs } = this
    const { outcome, errno, readBytes } = jobs.outcomeOf(number)
    if (slot >= 0) this.users[slot]--
    if (outcome === Outcome.notWritten) {
      const { device, sector } = draft.places[0]
      const what = `writing at ${sector * SECTOR} failed (${getSystemErrorName(-errno)})`
      this.failure ??= new CommandError(ExitCode.incomplete, `${this.devices[device].name}: ${what}`)
      throw this.failure
    }
    const isRead = outcome === Outcome.done
    const readSectors = isRead ? this.blocks(readBytes) : 0
    let at = 0
    draft.parts.forEach((part, i) => {
      const { copied } = part
      if (!isRead) copied.failure ??= getSystemErrorName(-errno)
      const sectors = Math.min(part.sectors, readSectors - at)
      if (sectors > 0) this.addKey(part, sectors, jobs.sumsAt(number) + i * CHECKSUM_WORDS)
      at += part.sectors
    })
    if (isRead && readBytes < bytes) {
      const { copied } = draft.parts[0]
      copied.end = Math.min(copied.end, draft.at + readBytes)
    }
    for (const { copied } of draft.parts.filter(({ skip }) => skip === 0)) if (--copied.underWay === 0) copied.settled()
  }

  private addKey({ copied, start, places, skip }: Part, sectors: number, sumsAt: number): void {
    const { extents } = this.builder
    copied.sectors += sectors
    extents.addUnit(copied.inode, start + sectors, sectors, this.jobs.sums, sumsAt, places, skip)
  }
}
