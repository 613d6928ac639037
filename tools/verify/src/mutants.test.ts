/**
 * One thing changed in a golden volume is found, whatever it is: what the real fsck complains of (format chapter 4, 4.11.9), and what it
 * passes over though it would hurt later.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  AccountingType,
  Bset,
  BtreeId,
  btreeName,
  DataType,
  Jset,
  JsetEntryType,
  KEY_BYTES,
  NodeHeader,
  SuperblockHead,
  walkRecords,
  type Key,
} from '@cowherd/db'
import { Random } from '@cowherd/fuzz'
import { referee } from '@cowherd/referee'
import { describe, expect, test } from 'vitest'
import { mutantsPerFsck, randomMutants, seed } from './budget.ts'
import { Type } from './key-types.ts'
import { addTo, ALLOC_INFO, counts, movedTo, newKey, ofDataType, Patient } from './testing.ts'

interface Mutant {
  /** A golden volume; left out: default. */
  readonly volume?: string
  readonly change: (patient: Patient) => unknown
  /** Among what the judge says. */
  readonly found: RegExp
  /** Whether the real fsck says nothing. */
  readonly isPassedOver?: boolean
}

/** Offsets in values. */
const ALLOC = {
  journalSeq: 0,
  flags: 8,
  gen: 12,
  dataType: 14,
  dirty: 16,
  cached: 20,
  readTime: 24,
  stripe: 40,
} as const
const BACKPOINTER = { level: 1, dataType: 2, length: 8 } as const
const HEAD = SuperblockHead.offsets
/** Size and position of a key: what lies before it, volumes of all versions have in common. */
const KEY_SIZE_BYTE = 16
/** Fields of the first record in the section members_v2. */
const MEMBER = { btreeBitmap: 8 + 128, lastJournalBucketSectors: 8 + 140 } as const

const any = (): boolean => true
const ofType =
  (type: number) =>
  (key: Key): boolean =>
    key.type === type
const setByte = (at: number, value: number) => (key: Key) => {
  key.bytes[KEY_BYTES + at] = value
}
const add = (at: number, more: number) => (key: Key) => addTo(key, at, more)
const alloc = (type: number, change: (key: Key) => void) => (patient: Patient) =>
  patient.changeKey(BtreeId.alloc, ofDataType(type), change)
const backpointer = (change: (key: Key) => void) => (patient: Patient) =>
  patient.changeKey(BtreeId.backpointers, any, change)
const counter = (type: number, second?: number) => (patient: Patient) =>
  patient.changeKey(BtreeId.accounting, counts(type, second), add(0, 1))
/** Changes member records, of all devices' superblocks. */
const member =
  (at: number, ...bytes: readonly number[]) =>
  (patient: Patient) =>
    patient.changeSuperblocks((edit) => edit.section('members_v2').payload.set(bytes, at))

const BUCKETS: Readonly<Record<string, Mutant>> = {
  'dirty sectors': {
    change: alloc(DataType.user, add(ALLOC.dirty, 1)),
    found: /^bucket 0:\d+: alloc_key_dirty_sectors_wrong: \d+, should be \d+$/,
  },
  'cached sectors': {
    change: alloc(DataType.user, add(ALLOC.cached, 8)),
    found: /^bucket 0:\d+: alloc_key_cached_sectors_wrong: 8, should be 0$/,
  },
  'data type': {
    change: alloc(DataType.user, setByte(ALLOC.dataType, DataType.btree)),
    found: /^bucket 0:\d+: alloc_key_data_type_wrong: btree, should be user$/,
  },
  'sectors of a superblock': {
    change: alloc(DataType.sb, add(ALLOC.dirty, -8)),
    found: /^bucket 0:0: alloc_key_dirty_sectors_wrong/,
  },
  'sectors of the journal': {
    change: alloc(DataType.journal, add(ALLOC.dirty, -8)),
    found: /^bucket 0:\d+: alloc_key_dirty_sectors_wrong/,
  },
  'a stripe': {
    change: alloc(DataType.user, add(ALLOC.stripe, 1)),
    found: /alloc_key_data_type_bad: user, should be stripe$/,
  },
  'a clock beyond 48 bits': {
    change: alloc(DataType.user, setByte(ALLOC.readTime + 6, 1)),
    found: /alloc_key_io_time_bad/,
  },
  'a generation': {
    change: alloc(DataType.user, add(ALLOC.gen, 1)),
    found: /: stale_dirty_ptr: bucket 0:\d+ has generation 1/,
  },
  'need_discard without its flag': {
    change: alloc(DataType.needDiscard, add(ALLOC.flags, -1)),
    found: /alloc_key_data_type_bad: need_discard, should be free$/,
  },
  'no key of a bucket in use': {
    change: (patient) => patient.removeKey(BtreeId.alloc, ofDataType(DataType.user)),
    found: /^extents .*ptr_to_missing_alloc_key: bucket 0:\d+$/,
  },
  'a key of no bucket': {
    change: (patient) =>
      patient.changeKey(BtreeId.alloc, ofDataType(DataType.free), (key) => movedTo(key, 0n, 4096n, 0)),
    found: /^alloc 0:4096:0: alloc_key_to_missing_dev_bucket$/,
  },
  'a journal entry of the future': {
    change: alloc(DataType.user, add(ALLOC.journalSeq, 1 << 20)),
    found: /^bucket 0:\d+: journal_seq \d+, the last is \d+$/,
    isPassedOver: true,
  },
  'flags of a bucket in use': {
    change: alloc(DataType.user, add(ALLOC.flags, -3)),
    found: /^bucket 0:\d+: user with flags 0$/,
    isPassedOver: true,
  },
  'a byte of bucket_gens': {
    change: (patient) => patient.changeKey(BtreeId.bucketGens, any, setByte(100, 7)),
    found: /^bucket 0:100: bucket_gens_key_wrong: 7, should be \d+$/,
  },
  'no key in bucket_gens': {
    change: (patient) => patient.removeKey(BtreeId.bucketGens, any),
    found: /^bucket 0:\d+: generation \d+, but no key in bucket_gens$/,
  },
  'no key in need_discard': {
    change: (patient) => patient.removeKey(BtreeId.needDiscard, any),
    found: /^bucket 0:\d+: to be discarded, but not in need_discard$/,
  },
  'a key too many in need_discard': {
    change: (patient) => patient.addKey(BtreeId.needDiscard, newKey(Type.set, 0, 0)),
    found: /^bucket 0:0: in need_discard, though it is sb$/,
  },
  'free space without its key': {
    change: (patient) => patient.removeKey(BtreeId.freespace, any),
    found: /^bucket 0:\d+: free, but not in freespace$/,
  },
  'free space that is used': {
    change: (patient) => patient.changeKey(BtreeId.freespace, any, (key) => (key.words[4] += 1)),
    found: /^bucket 0:\d+: in freespace, though it holds \w+$/,
  },
  'free space of another generation': {
    change: (patient) => patient.changeKey(BtreeId.freespace, any, (key) => (key.words[7] |= 1 << 24)),
    found: /^bucket 0:\d+: in freespace with generation bits 1, should be 0$/,
  },
  'free space beyond the device': {
    change: (patient) => patient.changeKey(BtreeId.freespace, any, (key) => movedTo(key, 0n, 1000n, 0)),
    found: /^freespace 0:1000:0: need_discard_freespace_key_to_invalid_dev_bucket/,
  },
  'a partly filled bucket that is not listed': {
    change: (patient) => patient.removeKey(BtreeId.lru, any),
    found: /^bucket 0:\d+: alloc_key_to_missing_lru_entry: partly filled$/,
  },
  'a partly filled bucket at another place': {
    change: (patient) => patient.changeKeys(BtreeId.lru, (keys) => void keys[keys.length - 1].words[8]++),
    found: /^lru .*: lru_entry_bad: bucket 0:\d+ at \d+ of 65535, should be \d+$/,
  },
  'a cached bucket that is not listed': {
    volume: 'tiered',
    change: (patient) => patient.removeKey(BtreeId.lru, ({ words }) => words[9] >>> 16 !== 0xffff),
    found: /^bucket \d:\d+: alloc_key_to_missing_lru_entry: cached$/,
  },
  'a cached bucket in the list of another device': {
    volume: 'tiered',
    change: (patient) =>
      patient.changeKeys(BtreeId.lru, (keys) => {
        const cached = keys.filter(({ words }) => words[9] >>> 16 !== 0xffff)
        cached[0].words[9] = (5 << 16) | (cached[0].words[9] & 0xffff)
        return keys
      }),
    found: /^lru .*: lru_entry_bad: bucket \d:\d+ at \d+ of 5, should be 0$/,
  },
}

const POINTERS: Readonly<Record<string, Mutant>> = {
  'length of a back pointer': {
    change: backpointer(add(BACKPOINTER.length, 1)),
    found: /^backpointers .*backpointer_to_missing_ptr: .* len=\d+ /,
  },
  'data type of a back pointer': {
    change: backpointer(setByte(BACKPOINTER.dataType, DataType.parity)),
    found: /backpointer_to_missing_ptr/,
  },
  'level of a back pointer': {
    change: backpointer(setByte(BACKPOINTER.level, 3)),
    found: /backpointer_to_missing_ptr/,
  },
  'no back pointer': {
    change: (patient) => patient.removeKey(BtreeId.backpointers, any),
    found: /: ptr_to_missing_backpointer: device 0 sector \d+$/,
  },
  'a back pointer too many': {
    change: (patient) =>
      patient.changeKeys(BtreeId.backpointers, (keys) => {
        const extra = newKey(Type.backpointer, 0, 0, keys[0].value.slice())
        extra.words.copyWithin(0, 0, 0)
        extra.words.set(keys[0].words.subarray(5, 10), 5)
        extra.words[6]++
        extra.bytes[KEY_BYTES + 3]++
        keys.splice(1, 0, extra)
      }),
    found: /^backpointers .*: backpointer_to_missing_ptr: /,
  },
  'a pointer of an older generation': {
    change: (patient) =>
      patient.changeKey(BtreeId.extents, ofType(Type.extent), (key) => (key.bytes[key.u64s * 8 - 1] += 5)),
    found: /^extents .*: ptr_gen_newer_than_bucket_gen: /,
  },
  'a pointer to a free bucket': {
    change: (patient) =>
      patient.changeKey(BtreeId.extents, ofType(Type.extent), (key) => (key.bytes[key.u64s * 8 - 4] += 1)),
    found: /^extents .*: (ptr_to_missing_alloc_key|ptr_to_invalid_device|stale_dirty_ptr|ptr_gen_newer)/,
  },
  'two extents on the same sectors': {
    change: (patient) =>
      patient.changeKeys(BtreeId.extents, (keys) => {
        const extents = keys.filter((key) => key.type === Type.extent && key.u64s === 7 && key.bytes[KEY_BYTES] & 2)
        const [a, b] = extents
        b.bytes.copyWithin(0, 0, 0)
        b.bytes.set(a.bytes.subarray(KEY_BYTES, KEY_BYTES + 16), KEY_BYTES)
      }),
    found: /: (points to device 0 sector \d+, as extents level 0 .* does|used twice, by )/,
  },
  'work for the background without its key': {
    volume: 'reflink',
    change: (patient) => patient.addKey(BtreeId.rebalanceWork, newKey(Type.set, 4096, 8)),
    found: /^rebalance_work 4096:8:0: no extent there has work$/,
    isPassedOver: true,
  },
}

const COUNTERS: Readonly<Record<string, Mutant>> = {
  inodes: {
    change: counter(AccountingType.inodes),
    found: /^accounting nr_inodes: accounting_mismatch: \d+, should be \d+$/,
  },
  'sectors of a set of devices': {
    volume: 'replicas',
    change: counter(AccountingType.replicas, DataType.user),
    found: /^accounting replicas user 1\/2 \[0 1\]: accounting_mismatch/,
  },
  'buckets of a type': {
    change: counter(AccountingType.deviceDataType),
    found: /^accounting dev_data_type 0 \w+: accounting_mismatch: \d+ \d+ \d+, should be/,
  },
  'sectors of a btree': { change: counter(AccountingType.btree), found: /^accounting btree \d+: accounting_mismatch/ },
  'sectors of a snapshot': {
    change: counter(AccountingType.snapshot),
    found: /^accounting snapshot 4294967295: accounting_mismatch/,
  },
  compression: {
    volume: 'compressed',
    change: counter(AccountingType.compression),
    found: /^accounting compression \d: accounting_mismatch/,
  },
  'reserved sectors': {
    change: (patient) =>
      patient.removeKey(
        BtreeId.accounting,
        (key) => counts(AccountingType.persistentReserved)(key) && key.value[0] > 0,
      ),
    found: /^accounting persistent_reserved 1: missing, should be \d+$/,
  },
  'work for the background': {
    volume: 'tiered',
    change: counter(AccountingType.rebalanceWork),
    found: /^accounting rebalance_work: accounting_mismatch/,
  },
  'extents of an inode': {
    change: counter(AccountingType.inum),
    found: /^accounting inum \d+: accounting_mismatch/,
    isPassedOver: true,
  },
  'no version': {
    change: (patient) =>
      patient.changeKey(BtreeId.accounting, counts(AccountingType.inodes), (key) => key.words.fill(0, 1, 4)),
    found: /^accounting POS_MIN .*: accounting_key_version_0$/,
  },
  'a version of the future': {
    change: (patient) =>
      patient.changeKey(BtreeId.accounting, counts(AccountingType.inodes), (key) => (key.words[2] += 1000)),
    found: /^accounting nr_inodes: its version is of journal entry \d+, the last is \d+$/,
    isPassedOver: true,
  },
  'a set of devices that the superblock does not name': {
    change: (patient) => patient.renameReplicas(DataType.user, DataType.cached),
    found: /^accounting replicas user 1\/1 \[0\]: accounting_replicas_not_marked/,
  },
}

const KEYS: Readonly<Record<string, Mutant>> = {
  'a key of a type that the btree does not have': {
    change: (patient) => patient.changeKey(BtreeId.lru, any, (key) => (key.bytes[2] = Type.hashWhiteout)),
    found: /^lru .*: a key of type 4 can't be there$/,
  },
  'a deleted key in the first set': {
    change: (patient) => patient.changeKey(BtreeId.needDiscard, any, (key) => (key.bytes[2] = Type.deleted)),
    found: /^need_discard level 0 node SPOS_MAX set 0: deleted key /,
  },
  'a version that was not given out yet': {
    change: (patient) => patient.changeKey(BtreeId.inodes, any, (key) => (key.words[2] = 1)),
    found: /^inodes .*: bkey_version_in_future: \d+, the last is 0$/,
  },
  'a version where keys have none': {
    change: (patient) => patient.changeKey(BtreeId.snapshotTrees, any, (key) => (key.words[1] = 1)),
    found: /^snapshot_trees .*: bkey_version_in_future/,
  },
  'an extent that overlaps the one before': {
    change: (patient) =>
      patient.changeKeys(BtreeId.extents, (keys) => {
        const at = keys.findIndex(
          (key, i) =>
            i > 0 &&
            key.type === Type.reservation &&
            key.inode === keys[i - 1].inode &&
            key.snapshot === keys[i - 1].snapshot,
        )
        keys[at].words[4] = keys[at].offset - keys[at - 1].start
      }),
    found: /^extents .*: starts at \d+, inside \d+ to \d+ of 4294967295 \(seen by 4294967295\)$/,
  },
  'two keys at one position': {
    change: (patient) => patient.changeKeys(BtreeId.lru, (keys) => [keys[0], ...keys]),
    found: /^lru level 0 node SPOS_MAX set 0: \d+ keys at \d+ positions$/,
    isPassedOver: true,
  },
}

/** Sets of keys in nodes, and their bytes. */
const NODES: Readonly<Record<string, Mutant>> = {
  'a later set of no journal entry': {
    change: (patient) =>
      patient.changeRoot(BtreeId.alloc, (bytes, sets) => {
        new DataView(bytes.buffer).setBigUint64(sets[1].bset + Bset.offsets.journalSeq, 0n, true)
      }),
    found: /^alloc level 0 node SPOS_MAX set 1: journal_seq 0$/,
    isPassedOver: true,
  },
  'a later set of the future': {
    change: (patient) =>
      patient.changeRoot(BtreeId.alloc, (bytes, sets) => {
        new DataView(bytes.buffer).setBigUint64(sets[1].bset + Bset.offsets.journalSeq, 1n << 32n, true)
      }),
    found: /^alloc level 0 node SPOS_MAX set 1: journal_seq 4294967296, the last is/,
    isPassedOver: true,
  },
  'a first set of a journal entry': {
    change: (patient) =>
      patient.changeRoot(BtreeId.alloc, (bytes) => {
        new DataView(bytes.buffer).setBigUint64(NodeHeader.offsets.bset + Bset.offsets.journalSeq, 1n, true)
      }),
    found: /^alloc level 0 node SPOS_MAX set 0: journal_seq 1$/,
    isPassedOver: true,
  },
  'a flag that is for memory': {
    change: (patient) =>
      patient.changeRoot(BtreeId.lru, (bytes, sets) => {
        const set = sets.find(({ keys, end }) => end > keys)
        if (set !== undefined) bytes[set.keys + 1] |= 0x80
      }),
    found: /^lru level 0 node SPOS_MAX: needs_whiteout on disk, byte \d+$/,
    isPassedOver: true,
  },
  'rubbish behind a set': {
    change: (patient) => patient.changeRoot(BtreeId.lru, (bytes, sets) => (bytes[sets[0].end] = 1)),
    found: /^lru level 0 node SPOS_MAX set 0: rubbish in byte \d+, behind its end$/,
    isPassedOver: true,
  },
  'a number that two nodes have': {
    change: (patient) => patient.renumber(BtreeId.lru, 77n).renumber(BtreeId.freespace, 77n),
    found: /^freespace level 0 node SPOS_MAX: has the number 0x4d, as lru level 0 node SPOS_MAX has$/,
  },
  'a copy that is damaged': {
    volume: 'replicas',
    change: (patient) => {
      const { device, at } = patient.rootOf(BtreeId.inodes).copies[1]
      patient.devices[device].overwrite(at + 1000, Uint8Array.of(1, 2, 3))
    },
    found: /^inodes level 0 node SPOS_MAX: copy 1, on device \d, differs in byte 100\d$/,
  },
  'a node that the bitmap does not cover': {
    change: member(MEMBER.btreeBitmap, 0, 0, 0, 0, 0, 0, 0, 0),
    found: /^extents level 0 node SPOS_MAX: btree_bitmap_not_marked: device 0 sector \d+$/,
  },
}

const SUPERBLOCK_AND_JOURNAL: Readonly<Record<string, Mutant>> = {
  'a damaged copy of the superblock': {
    change: (patient) => {
      const at = patient.specimen.superblocks[0].sectors[1] * 512 + 1000
      patient.devices[0].overwrite(at, Uint8Array.of(9, 9, 9))
    },
    found: /^default superblock at sector \d+: .*checksum mismatch/,
    isPassedOver: true,
  },
  'an older superblock on one device': {
    volume: 'replicas',
    change: (patient) =>
      patient.changeSuperblocks(({ headView }, device) => {
        if (device === 1) headView.setBigUint64(HEAD.seq, headView.getBigUint64(HEAD.seq, true) - 1n, true)
      }),
    found: /^replicas.1: superblock \d+, the newest is \d+$/,
    isPassedOver: true,
  },
  'an option that one device does not know': {
    volume: 'replicas',
    change: (patient) =>
      patient.changeSuperblocks(({ headView }, device) => {
        if (device === 1) headView.setUint8(HEAD.label, 0x41)
      }),
    found: /^replicas.1: its superblock differs from that of the volume$/,
    isPassedOver: true,
  },
  'a feature of volumes in use': {
    change: (patient) => patient.changeSuperblocks((edit) => (edit.features |= 1n << 12n)),
    found: /^superblock: clean, but with feature extents_above_btree_updates$/,
    isPassedOver: true,
  },
  'a mark of errors': {
    change: (patient) => patient.changeSuperblocks((edit) => (edit.flags0 |= 1n << 60n)),
    found: /^superblock: marked as having errors$/,
    isPassedOver: true,
  },
  'a layout record of another device': {
    change: (patient) => patient.devices[0].overwrite(7 * 512 + 32, Uint8Array.of(1)),
    found: /^default: the layout record differs from that in the superblock$/,
    isPassedOver: true,
  },
  'a journal that goes on in its last entry': {
    change: member(MEMBER.lastJournalBucketSectors, 0, 0),
    found: /^device 0: its journal goes on at sector 0, in front of the end of entry \d+$/,
    isPassedOver: true,
  },
  'a last entry with another root': {
    change: (patient) =>
      patient.changeEntry((bytes) => {
        walkRecords(new DataView(bytes.buffer), Jset.size, bytes.length, ({ type, start }) => {
          if (type === JsetEntryType.btreeRoot) bytes[start + KEY_BYTES + 8] ^= 1
        })
      }),
    found: /^journal entry \d+: sb_clean_btree_root_mismatch: extents$/,
    isPassedOver: true,
  },
  'a last entry that needs others': {
    change: (patient) =>
      patient.changeEntry((bytes) => {
        const view = new DataView(bytes.buffer)
        view.setBigUint64(Jset.offsets.lastSeq, view.getBigUint64(Jset.offsets.lastSeq, true) - 1n, true)
      }),
    found: /^journal entry \d+: needs those from \d+ on, though it is the last$/,
    isPassedOver: true,
  },
  'no last entry': {
    change: (patient) => {
      for (const { device, at, length } of patient.specimen.buckets) {
        patient.devices[device].overwrite(at, new Uint8Array(length))
      }
    },
    found: /^journal: the last entry is not a flushed one, though the volume is clean$/,
    isPassedOver: true,
  },
  'a journal on devices that the superblock does not name': {
    volume: 'replicas',
    change: (patient) => patient.renameReplicas(DataType.journal, DataType.cached),
    found: /^journal entry \d+: journal_entry_replicas_not_marked: devices 0 1$/,
    isPassedOver: true,
  },
  'two copies of an entry': {
    volume: 'replicas',
    change: (patient) => patient.changeEntry((bytes) => (bytes[Jset.offsets.readClock] ^= 1), 1),
    found: /^journal entry \d+ on device 1: journal_entry_replicas_data_mismatch$/,
    isPassedOver: true,
  },
  'a live entry that is missing': {
    volume: 'unclean',
    change: (patient) => {
      const { lastSeq } = patient.newestEntry()
      for (const { device, at, length } of patient.specimen.entries) {
        const bytes = patient.devices[device].bytes(at, length)
        const seq = new DataView(bytes.buffer).getBigUint64(Jset.offsets.seq, true)
        if (seq === lastSeq) patient.devices[device].overwrite(at, new Uint8Array(length))
      }
    },
    found: /^volume: journal: entry \d+ is missing/,
  },
}

const MUTANTS: Readonly<Record<string, Mutant>> = {
  ...BUCKETS,
  ...POINTERS,
  ...COUNTERS,
  ...KEYS,
  ...NODES,
  ...SUPERBLOCK_AND_JOURNAL,
}
const names = Object.keys(MUTANTS)

function mutate({ volume = 'default', change }: Mutant): Patient {
  const patient = new Patient(volume)
  change(patient)
  return patient
}

describe('found:', () => {
  test.each(names)('%s', (name) => {
    const mutant = MUTANTS[name]
    const faults = mutate(mutant).faults().slice(0, 20)
    expect(faults).toEqual(expect.arrayContaining([expect.stringMatching(mutant.found)]))
  })

  test('nothing where nodes are written again as they were', () => {
    const patient = new Patient('default')
    for (const btree of ALLOC_INFO) if (btree !== BtreeId.rebalanceWork) patient.changeKeys(btree, () => undefined)
    expect(patient.faults()).toEqual([])
  })

  test('nothing where counters are missing that are zero', () => {
    const isZero = (key: Key): boolean => key.value.every((byte) => byte === 0)
    const patient = new Patient('default').changeKeys(BtreeId.accounting, (keys) => keys.filter((key) => !isZero(key)))
    expect(patient.faults()).toEqual([])
  })
})

/** What the real fsck says of a volume that was changed: undefined if nothing. */
async function complaintsOf(patient: Patient): Promise<string | undefined> {
  const folder = mkdtempSync(join(tmpdir(), 'cowherd-verify-'))
  try {
    const { clean, stdout, stderr } = await referee.fsck(patient.save(folder))
    return clean ? undefined : stdout + stderr
  } finally {
    rmSync(folder, { recursive: true })
  }
}

describe.skipIf(!referee.available())('the real fsck', () => {
  test.each(names.filter((_, i) => i % mutantsPerFsck === 0))('%s', async (name) => {
    const mutant = MUTANTS[name]
    const complaints = await complaintsOf(mutate(mutant))
    if (mutant.isPassedOver === true) expect(complaints).toBeUndefined()
    else expect(complaints).toBeDefined()
  })

  test(`finds nothing that the judge doesn't: seed ${seed}`, async () => {
    for (let number = 0; number < randomMutants; number++) {
      const random = new Random(seed, number)
      const { patient, what } = randomMutant(random)
      const complaints = await complaintsOf(patient)
      if (complaints !== undefined && patient.faults().length === 0) {
        expect.fail(`number ${number}, ${what}: ${complaints}`)
      }
    }
  })
})

/** Volumes of which the real fsck says nothing, as they are. */
const SOUND = ['default', 'replicas', 'tiered', 'reflink', 'full', 'compressed'] as const

/** One key of a btree that says where things are lost, or one bit of it changed. */
function randomMutant(random: Random): { patient: Patient; what: string } {
  const volume = random.pick(SOUND)
  const patient = new Patient(volume)
  const btree = random.pick(ALLOC_INFO.filter((btree) => patient.count(btree) > 0))
  let what = ''
  patient.changeKeys(btree, (keys) => {
    const [key] = keys.splice(random.below(keys.length), 1)
    what = `${volume}, ${btreeName(btree)} ${key.posText}`
    if (random.chance(0.25)) return keys
    const isHeader = key.valueBytes === 0 || random.chance(0.3)
    const [from, to] = isHeader ? [KEY_SIZE_BYTE, KEY_BYTES] : [KEY_BYTES, key.u64s * 8]
    const byte = from + random.below(to - from)
    key.bytes[byte] ^= 1 << random.below(8)
    what += ` byte ${byte}`
    return [...keys, key]
  })
  return { patient, what }
}
