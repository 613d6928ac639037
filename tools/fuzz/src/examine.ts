/**
 * Looks at everything in a volume that may be damaged: opens it, prints its superblock, walks all btrees at all levels with every
 * key checked and printed, reads its journal, walks its files and reads their data. Throws a Finding for what must not happen;
 * what may happen (errors of the known families) is counted.
 */

import type { Key } from '@cowherd/db'
import {
  BtreeId,
  BucketGenerations,
  POS_MIN,
  compareBpos,
  describeSuperblock,
  keyText,
  KEY_POS_AT,
  openVolume,
  printSuperblock,
  recordText,
  walkRecords,
  Jset,
  type KeyType,
  type MissingDevices,
  type Volume,
  type VolumeShape,
} from '@cowherd/db'
import { fsKeyTypes } from '@cowherd/fs'
import type { BlockDevice } from '@cowherd/shim'
import { fuzzCodecs } from './codecs.ts'
import { examineFiles } from './examine-files.ts'
import { attempt, checkMessage, checkPlain, checkText, Finding } from './oracle.ts'

export interface ExamineOptions {
  readonly passphrase?: Uint8Array | undefined
  readonly missing?: MissingDevices
  readonly norecovery?: boolean
  readonly cacheBytes?: number
  /** Btrees whose keys are checked and printed one by one; the others are walked only. All if absent. */
  readonly printed?: ReadonlySet<number> | undefined
  /** Whether to walk the files too, and to print the journal. */
  readonly files: boolean
  readonly journal: boolean
  /** Keys that an undamaged walk meets: far more is a finding. */
  readonly keyCount: number
}

export interface Examination {
  opened: boolean
  /** Walks and looks that ended with an error that may be. */
  errors: number
  keys: number
  notes: number
}

const KEYS_FACTOR = 4
const KEYS_MORE = 200_000
const JOURNAL_ENTRIES_READ = 64

export function examine(devices: readonly BlockDevice[], options: ExamineOptions): Examination {
  const result: Examination = { opened: false, errors: 0, keys: 0, notes: 0 }
  const look = (use: () => void): void => {
    if (!attempt(use)) result.errors++
  }
  let volume: Volume | undefined
  look(() => {
    volume = openVolume(devices, {
      codecs: fuzzCodecs,
      keyTypes: fsKeyTypes,
      passphrase: () => options.passphrase,
      missing: options.missing ?? 'none',
      norecovery: options.norecovery ?? false,
      cacheBytes: options.cacheBytes ?? 0,
      note: (message) => {
        result.notes++
        checkMessage(message)
      },
    })
  })
  if (volume === undefined) return result
  result.opened = true
  examineOpen(volume, options, result, look)
  return result
}

function examineOpen(
  volume: Volume,
  options: ExamineOptions,
  result: Examination,
  look: (use: () => void) => void,
): void {
  const { superblock } = volume
  const generations = new BucketGenerations(volume.cursor(BtreeId.bucketGens))
  let areReadable = true
  // As `list` has it: tells stale pointers from others.
  const shape: VolumeShape = {
    ...volume.shape,
    bucketGeneration(device, bucket) {
      let generation: number | undefined
      if (areReadable) areReadable = attempt(() => (generation = generations.at(device, bucket)))
      return generation
    },
  }
  look(() => checkText(printSuperblock(superblock, { layout: true, fields: 'all' })))
  look(() => checkPlain(describeSuperblock(superblock), 'superblock'))
  const keysMax = options.keyCount * KEYS_FACTOR + KEYS_MORE
  for (const btree of volume.btreeIds) {
    const print = options.printed?.has(btree) ?? true
    for (let level = volume.rootLevel(btree); level >= 0; level--) {
      look(() => {
        walkLevel(volume, btree, level, print ? shape : undefined, result)
        if (result.keys > keysMax) throw new Finding(`${result.keys} keys where the volume had ${options.keyCount}`)
      })
    }
  }
  if (options.journal) look(() => examineJournal(volume))
  look(() => volume.snapshots.isAncestor(1, 0xffffffff))
  if (options.files) examineFiles(volume, look)
}

/** Objects for JSON cost more than the rest of a key's examination. */
const DESCRIBED_EVERY = 8
const KEYS_PER_LEVEL_MAX = 2_000_000

/** With `shape` every key is printed too. */
function walkLevel(
  volume: Volume,
  btree: number,
  level: number,
  shape: VolumeShape | undefined,
  result: Examination,
): void {
  const cursor = volume.cursor(btree, level)
  const { key } = cursor
  const last = new Uint32Array(5)
  let count = 0
  for (let found = cursor.seek(POS_MIN); found; found = cursor.next()) {
    result.keys++
    if (count > 0 && compareBpos(last, 0, key.words, KEY_POS_AT) >= 0) {
      throw new Finding(`btree ${btree} level ${level}: key ${key.posText} follows a greater one`)
    }
    if (++count > KEYS_PER_LEVEL_MAX) throw new Finding(`btree ${btree} level ${level}: no end of keys`)
    for (let i = 0; i < 5; i++) last[i] = key.words[KEY_POS_AT + i]
    if (shape !== undefined) {
      examineKey(key, btree, level, volume.keyTypes, shape, count % DESCRIBED_EVERY === 0)
    }
  }
}

/** Checks and prints one key, and describes it if asked to. None of it may throw anything, whatever the value. */
export function examineKey(
  key: Key,
  btree: number,
  level: number,
  keyTypes: ReadonlyMap<number, KeyType>,
  shape: VolumeShape,
  describe = true,
): void {
  const type = keyTypes.get(key.type)
  const fault = type?.check?.(key, { btree, level }, shape)
  if (fault !== undefined) checkMessage(fault)
  const text = keyText(key, keyTypes, shape)
  if (fault === undefined) {
    checkText(text)
    if (describe) checkPlain(type?.describe?.(key, shape) ?? {}, type?.name ?? 'value')
  }
}

function examineJournal(volume: Volume): void {
  let read = 0
  for (const entry of volume.journalEntries(true)) {
    if (read++ > JOURNAL_ENTRIES_READ) break
    attempt(() => {
      const { view, bytes } = volume.readJournalEntry(entry)
      const problem = walkRecords(view, Jset.size, bytes.length, (record) => {
        recordText(view, record, volume.keyTypes, volume.shape)
      })
      if (problem !== undefined) checkMessage(problem)
    })
  }
}
