/**
 * The journal in a small world: numbers that are changed, kept in memory, and written to places of their own now and then, as btree nodes
 * are. The power fails anywhere; what was flushed has to be there, and nothing else than a state that there was.
 */

import { nativeCodecs } from '@cowherd/shim'
import { expect, test } from 'vitest'
import { IntegritySeal } from '../integrity-seal.ts'
import { IntegrityCheck } from '../integrity.ts'
import { BtreeId } from '../btree-ids.ts'
import type { SeqRange } from '../superblock/index.ts'
import { Disk, PowerCut, type PowerSupply } from '../testing/disk.ts'
import { keyOf } from '../testing/keys.ts'
import { JournalError } from '../errors.ts'
import { JournalScanner, type JournalDevice } from './journal-scan.ts'
import { isBlacklisted, selectEntries } from './journal-select.ts'
import { seqsGivenUp, startAfterCrash, startAfterShutdown, type JournalStart } from './journal-start.ts'
import { Journal } from './journal.ts'
import { Jset, JsetEntryType, walkKeys, walkRecords } from './jset-layout.ts'
import { LOG_RECORD_BYTES, RECORD_HEADER_BYTES } from './open-entry.ts'

const codecs = nativeCodecs()
const uuidWord = 1n
const blockBytes = 512
const BUCKET_SECTORS = 8
const BUCKET_BYTES = BUCKET_SECTORS * 512
const RING_BUCKETS = 8
/** Numbers, and the place of each: pairs of what it was and since which entry, one after another. */
const NUMBERS = 12
const PLACE_BYTES = 80 * 512
const PLACES_BUCKETS = (NUMBERS * PLACE_BYTES) / BUCKET_BYTES
const DISK_BYTES = (PLACES_BUCKETS + RING_BUCKETS) * BUCKET_BYTES
const KEY_RECORD_BYTES = RECORD_HEADER_BYTES + 48
const CRASHES = 4
const STEPS = 160

/** As in mulberry32. */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

interface Shape {
  readonly disks: number
  readonly replicas: number
  readonly discard: boolean
}

class World {
  readonly journal: Journal
  /** What each number is in memory. */
  readonly values: number[]
  /** States after entries that were closed. */
  readonly states = new Map<number, readonly number[]>()
  private readonly disks: readonly Disk[]
  private readonly pins: (number | undefined)[] = Array.from({ length: NUMBERS }, () => undefined)
  private readonly changedIn: number[]
  /** Bytes used of each place. */
  private readonly used: number[]

  constructor(
    disks: readonly Disk[],
    shape: Shape,
    { start, newest, values, used }: { start: JournalStart; newest: number; values: number[]; used: number[] },
  ) {
    this.disks = disks
    this.changedIn = values.map(() => newest)
    this.values = values
    this.used = used
    this.journal = new Journal({
      start,
      devices: devicesOf(disks).map((device) => ({
        ...device,
        durability: 1,
        discard: shape.discard,
        isPreferred: false,
        isWritable: () => true,
      })),
      flushDevices: devicesOf(disks).map(({ index, device }) => ({ index, device, isWritable: () => true })),
      metadataReplicas: shape.replicas,
      metadataReplicasRequired: 1,
      ...{ blockBytes, uuidWord, version: 1037, mayNotFlush: true },
      seal: new IntegritySeal(codecs, undefined, 'crc32c'),
      live: { clocks: { read: 0, written: 0 }, roots: () => [], keyVersion: () => 0n },
      nowSeconds: () => 0n,
      ensureReplicas: () => undefined,
      onFlushed: () => undefined,
      onDeviceError: (_, error) => {
        throw error
      },
    })
    // What came from the journal is in memory only.
    if (this.journal.replayPin >= 0) {
      for (let number = 0; number < NUMBERS; number++) this.writeOut(number)
      this.journal.pins.release(this.journal.replayPin)
    }
  }

  /** Changes some numbers in one transaction. */
  change(random: () => number): void {
    const { journal } = this
    if (journal.isLow) this.reclaim(journal.reclaimTarget())
    const numbers = Array.from({ length: 1 + Math.floor(random() * 3) }, () => Math.floor(random() * NUMBERS))
    const texts = Math.floor(random() * 40)
    journal.reserve(numbers.length * KEY_RECORD_BYTES + texts * LOG_RECORD_BYTES)
    if (!this.states.has(journal.seq - 1)) this.states.set(journal.seq - 1, [...this.values])
    for (const number of numbers) {
      const value = Math.floor(random() * 1e9)
      this.pins[number] ??= journal.pins.pin(journal.seq)
      this.changedIn[number] = journal.seq
      this.values[number] = value
      const key = keyOf({ type: 8, inode: number, value: new Uint8Array(new Uint32Array([value]).buffer) })
      journal.recordKey(BtreeId.inodes, 0, key.words, 0)
    }
    for (let i = 0; i < texts; i++) journal.recordLog('text')
  }

  reclaim(target: number): void {
    for (let number = 0; number < NUMBERS; number++) {
      const pin = this.pins[number]
      if (pin === undefined || this.journal.pins.seqOf(pin) > target) continue
      this.writeOut(number)
      this.journal.pins.release(pin)
      this.pins[number] = undefined
    }
  }

  private writeOut(number: number): void {
    const pair = new Uint8Array(512)
    new Float64Array(pair.buffer).set([this.changedIn[number] + 1, this.values[number]])
    if (this.used[number] === PLACE_BYTES) throw new RangeError('the place is full')
    const at = number * PLACE_BYTES + this.used[number]
    this.used[number] += 512
    for (const disk of this.disks) disk.write(pair, at)
  }
}

function devicesOf(disks: readonly Disk[]): (JournalDevice & { device: Disk })[] {
  return disks.map((device, index) => ({
    index,
    device,
    buckets: { runs: [{ start: PLACES_BUCKETS, count: RING_BUCKETS }], count: RING_BUCKETS },
    bucketSectors: BUCKET_SECTORS,
  }))
}

/** What there is after a crash: numbers by their places, and what the journal makes of them. */
function recover(disks: readonly Disk[], blacklist: SeqRange[]) {
  const scanner = new JournalScanner(devicesOf(disks), {
    ...{ uuidWord, blockBytes, integrity: new IntegrityCheck(codecs, undefined) },
    note: (note) => {
      throw new Error(note)
    },
  })
  const found = scanner.scan()
  const selection = selectEntries(found, blacklist)
  for (const note of selection.notes) if (note.includes('although flushed')) throw new Error(note)
  const newest = Number(selection.newest)
  const { start, end } = seqsGivenUp(selection, blacklist)
  blacklist.push({ start: BigInt(start), end: BigInt(end) })
  const values: number[] = []
  const used: number[] = []
  for (let number = 0; number < NUMBERS; number++) {
    let [seq, value] = [-1, 0]
    used[number] = 0
    for (let at = 0; at < PLACE_BYTES; at += 512) {
      const pair = new Uint8Array(16)
      // copies are the same but for what was not flushed
      for (const disk of disks) {
        disk.read(pair, number * PLACE_BYTES + at)
        const [changed, stored] = new Float64Array(pair.buffer)
        if (changed === 0) continue
        used[number] = at + 512
        if (changed - 1 >= seq && changed - 1 <= newest && !isBlacklisted(blacklist, BigInt(changed - 1))) {
          ;[seq, value] = [changed - 1, stored]
        }
      }
    }
    values[number] = value
  }
  for (const entry of selection.entries) {
    const { view, words, bytes } = scanner.readEntry(entry)
    walkRecords(view, Jset.size, bytes.length, (record) => {
      if (record.type !== JsetEntryType.btreeKeys) return
      walkKeys(view, record.start, record.end, (at) => {
        values[words[at / 4 + 8]] = words[at / 4 + 10]
      })
    })
  }
  return { newest, values, used, start: startAfterCrash(found, selection, end, devicesOf(disks), blockBytes) }
}

test.each<[string, Shape]>([
  ['one disk', { disks: 1, replicas: 1, discard: false }],
  ['one disk that is told what is free', { disks: 1, replicas: 1, discard: true }],
  ['two disks that share', { disks: 2, replicas: 1, discard: true }],
  ['two disks with a copy each', { disks: 2, replicas: 2, discard: false }],
])('%s: after a power cut there is what was flushed', (_, shape) => {
  const seen = { torn: 0, laps: 0, noflush: 0 }
  for (let seed = 1; seed <= 25; seed++) {
    const random = randomOf(seed)
    let power: PowerSupply = { commandsLeft: Infinity }
    let disks = Array.from({ length: shape.disks }, (_, i) => new Disk(DISK_BYTES, `disk ${i}`, power))
    const blacklist: SeqRange[] = []
    const start = startAfterShutdown(0, disks.map(() => ({})) as never, devicesOf(disks), blockBytes)
    const zeros = () => Array.from({ length: NUMBERS }, () => 0)
    let world = new World(disks, shape, { start, newest: 0, values: zeros(), used: zeros() })
    world.change(random)
    world.journal.flush()
    for (let crash = 0; crash < CRASHES; crash++) {
      power.commandsLeft = Math.floor(random() * STEPS)
      let promised = world.journal.flushedSeq
      try {
        for (let step = 0; step < STEPS; step++) {
          world.change(random)
          const chance = random()
          if (chance < 0.3) world.journal.close()
          else if (chance < 0.4) world.journal.flush()
          else if (chance < 0.5) world.reclaim(world.journal.seq - Math.floor(random() * 10))
          promised = world.journal.flushedSeq
        }
      } catch (error) {
        const cause = error instanceof JournalError ? error.cause : error
        if (!(cause instanceof PowerCut)) throw new Error(`seed ${seed}, crash ${crash}`, { cause: error })
        promised = world.journal.flushedSeq
        seen.noflush += world.journal.seq - 1 - promised
      }
      world.states.set(world.journal.seq, [...world.values])
      seen.laps += world.journal.seq
      const mode = random()
      const reach = mode < 0.2 ? () => false : mode < 0.4 ? () => true : () => random() < 0.5
      power = { commandsLeft: Infinity }
      disks = disks.map((disk) => disk.afterCut(reach, power))
      const found = recover(disks, blacklist)
      const message = `seed ${seed}, crash ${crash}: promised ${promised}, found ${found.newest}`
      expect(found.newest, message).toBeGreaterThanOrEqual(promised)
      const states = [...world.states].filter(([seq]) => seq >= found.newest).sort(([a], [b]) => a - b)
      expect(found.values, message).toEqual(states[0][1])
      seen.torn += found.start.torn.length
      world = new World(disks, shape, found)
      world.change(random)
      world.journal.flush()
    }
  }
  expect(seen.torn).toBeGreaterThan(0)
  expect(seen.noflush).toBeGreaterThan(20)
})
