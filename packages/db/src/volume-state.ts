/**
 * The state of a volume as its last writer left it: where the btrees' roots are, which journal numbers never happened, and, if it was
 * not shut down cleanly, the keys of the live journal. Format chapter 3, 3.3.3, 3.4 and 3.6.
 */

import { BTREE_ID_MAX, BtreeId, btreeName } from './btree-ids.ts'
import { pointerProblem } from './btree/btree-ptr.ts'
import { rootProblem, type BtreeRoot } from './btree/btree.ts'
import { leafKeyProblem } from './btree/node-read.ts'
import { JournalError, SuperblockError } from './errors.ts'
import { JournalKeys, type SharedJournalKeys } from './journal/journal-keys.ts'
import type { FoundEntry, JournalScanner } from './journal/journal-scan.ts'
import { selectEntries, type JournalSelection } from './journal/journal-select.ts'
import {
  Jset,
  JsetEntryType,
  USAGE_KEY_VERSION,
  walkKeys,
  walkRecords,
  type JsetRecord,
} from './journal/jset-layout.ts'
import { Key, KEY_SIZE_AT, KEY_U64S } from './key.ts'
import type { KeyType } from './key-type.ts'
import type { Superblock } from './superblock/index.ts'

/** Where the journal goes on. */
export interface JournalState {
  /** All entries found; none if the volume was shut down cleanly, as they aren't looked for then. */
  readonly found: readonly FoundEntry[]
  /** Which of them count; undefined if the volume was shut down cleanly. */
  readonly selection: JournalSelection | undefined
  /** Sectors read and written since the volume was made. */
  readClock: bigint
  writeClock: bigint
  /** Greatest version of an encrypted extent. */
  keyVersion: bigint
}

export interface VolumeState {
  readonly roots: ReadonlyMap<number, BtreeRoot>
  /** Ranges [start, end) of journal sequence numbers, sorted by both. */
  readonly blacklist: readonly (readonly [number, number])[]
  readonly keys: JournalKeys | undefined
  readonly journal: JournalState
}

/** The same as plain data, for other threads. */
export interface SharedVolumeState {
  readonly roots: readonly (readonly [btree: number, level: number, pointer: Uint32Array | undefined])[]
  readonly blacklist: readonly (readonly [number, number])[]
  readonly keys: SharedJournalKeys | undefined
}

export interface VolumeStateOptions {
  readonly keyTypes: ReadonlyMap<number, KeyType>
  /** Leaves the keys of the journal out. */
  readonly norecovery: boolean
  /** Other threads are going to have the keys too. */
  readonly shared: boolean
  readonly note: (message: string) => void
}

/** The journal's numbers from the newest flushed entry on never happened. */
const ENDLESS = Infinity
const NO_JOURNAL: JournalState = { found: [], selection: undefined, readClock: 0n, writeClock: 0n, keyVersion: 0n }

/** Reads the state: from the section `clean`, or from the journal. Throws SuperblockError and JournalError. */
export function readVolumeState(
  superblock: Superblock,
  scanner: JournalScanner,
  options: VolumeStateOptions,
): VolumeState {
  const { norecovery, shared, note } = options
  const blacklist: [number, number][] = superblock.blacklist.map(({ start, end }) => [Number(start), Number(end)])
  const roots = new Map<number, BtreeRoot>()
  if (!superblock.initialized) return { roots, blacklist, keys: undefined, journal: { ...NO_JOURNAL } }
  if (superblock.clean) {
    const journal = { ...NO_JOURNAL }
    takeCleanRoots(superblock, roots, journal, note)
    return { roots, blacklist, keys: undefined, journal }
  }
  const found = scanner.scan()
  const selection = selectEntries(found, superblock.blacklist)
  const journal: JournalState = { ...NO_JOURNAL, found, selection }
  for (const each of selection.notes) note(each)
  const next = Number(selection.newest) + 1
  const bytes = norecovery ? 0 : selection.entries.reduce((sum, entry) => sum + entry.bytes, 0)
  const keys = JournalKeys.ofCapacity(bytes, shared)
  for (const entry of selection.entries)
    takeEntry(entry, scanner, roots, journal, norecovery ? undefined : keys, options)
  keys.seal()
  return {
    roots,
    blacklist: [...blacklist.filter(([start]) => start < next), [next, ENDLESS]],
    keys: norecovery ? undefined : keys,
    journal,
  }
}

/** For other threads. */
export function shareState({ roots, blacklist, keys }: VolumeState): SharedVolumeState {
  return {
    roots: [...roots].map(([btree, { level, pointer }]) => [btree, level, pointer?.words]),
    blacklist,
    keys: keys?.share(),
  }
}

/** Another thread's state. */
export function stateOf({ roots, blacklist, keys }: SharedVolumeState): VolumeState {
  const rootOf = (level: number, words: Uint32Array | undefined): BtreeRoot => {
    if (words === undefined) return { level, pointer: undefined }
    const pointer = new Key()
    pointer.set(words, 0)
    return { level, pointer }
  }
  return {
    roots: new Map(roots.map(([btree, level, pointer]) => [btree, rootOf(level, pointer)])),
    blacklist,
    keys: keys === undefined ? undefined : JournalKeys.of(keys),
    journal: NO_JOURNAL,
  }
}

function takeCleanRoots(
  { cleanSection }: Superblock,
  roots: Map<number, BtreeRoot>,
  journal: JournalState,
  note: (message: string) => void,
): void {
  const where = 'superblock section clean'
  if (cleanSection === undefined) {
    throw new SuperblockError('EIO', where, 'missing, although the volume is marked clean')
  }
  const { buffer, byteOffset, byteLength } = cleanSection.entries.slice()
  const view = new DataView(buffer, byteOffset, byteLength)
  const problem = walkRecords(view, 0, byteLength, (record) => {
    takeRoot(roots, view, record, note)
    takeCounters(journal, view, record)
  })
  if (problem !== undefined) throw new SuperblockError('EIO', where, problem)
}

function takeEntry(
  entry: FoundEntry,
  scanner: JournalScanner,
  roots: Map<number, BtreeRoot>,
  journal: JournalState,
  keys: JournalKeys | undefined,
  { keyTypes, note }: VolumeStateOptions,
): void {
  const { view, words, bytes } = scanner.readEntry(entry)
  const where = `journal entry ${entry.seq}`
  const problem = walkRecords(view, Jset.size, bytes.length, (record) => {
    if (record.type === JsetEntryType.btreeRoot) takeRoot(roots, view, record, note)
    takeCounters(journal, view, record)
    if (record.type !== JsetEntryType.btreeKeys || keys === undefined) return
    const fault = walkKeys(view, record.start, record.end, (at) => {
      const bad = journalKeyProblem(record, words, at / 4, keyTypes)
      if (bad === undefined) keys.add(record.btree, record.level, words, at / 4)
      else note(`${where}: a key of ${btreeName(record.btree)} is ignored: ${bad}`)
    })
    if (fault !== undefined) note(`${where}: ${fault}: ignored`)
  })
  if (problem !== undefined) throw new JournalError('EIO', where, problem)
}

/** Clocks, and the counter of versions: the newest count. */
function takeCounters(journal: JournalState, view: DataView, { type, btree, start, end }: JsetRecord): void {
  if (type === JsetEntryType.usage && btree === USAGE_KEY_VERSION && end - start >= 8) {
    journal.keyVersion = view.getBigUint64(start, true)
  }
  if (type !== JsetEntryType.clock || end - start < 16) return
  const time = view.getBigUint64(start + 8, true)
  if (view.getUint8(start) === 0) journal.readClock = time
  else journal.writeClock = time
}

function journalKeyProblem(
  record: JsetRecord,
  words: Uint32Array,
  at: number,
  keyTypes: ReadonlyMap<number, KeyType>,
): string | undefined {
  if (record.level > 3) return `level ${record.level}`
  if (record.btree >= BTREE_ID_MAX) return `btree ${record.btree}`
  const type = (words[at] >>> 16) & 0xff
  if (record.level > 0) {
    if (words[at + KEY_SIZE_AT] !== 0) return 'a node pointer with a size'
    return type === 0 ? undefined : pointerProblem(words, at)
  }
  return leafKeyProblem(record.btree, words, at, keyTypes.get(type)?.minValueBytes ?? 0)
}

function takeRoot(
  roots: Map<number, BtreeRoot>,
  view: DataView,
  record: JsetRecord,
  note: (message: string) => void,
): void {
  if (record.type !== JsetEntryType.btreeRoot) return
  if (record.btree >= BTREE_ID_MAX) {
    note(`a root of btree ${record.btree}, which can't exist, is ignored`)
    return
  }
  let pointer: Key | undefined
  if (record.end - record.start >= KEY_U64S * 8 && view.getUint8(record.start) * 8 === record.end - record.start) {
    pointer = new Key()
    pointer.bytes.set(new Uint8Array(view.buffer, view.byteOffset + record.start, record.end - record.start))
    const problem = rootProblem(record.level, pointer)
    if (problem !== undefined) {
      note(`the root of btree ${btreeName(record.btree)} is unusable: ${problem}`)
      pointer = undefined
    }
  }
  if (record.btree > BtreeId.accounting) note(`btree ${record.btree} is of a newer version: skipped`)
  roots.set(record.btree, { level: pointer === undefined ? 0 : record.level, pointer })
}
