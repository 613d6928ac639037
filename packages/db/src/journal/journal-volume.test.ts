/** Journals of the golden volumes, gone on with: read back as this reader does it, and as the real fsck does. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fixture } from '@cowherd/fixtures'
import { referee } from '@cowherd/referee'
import { nativeCodecs } from '@cowherd/shim'
import { openStore } from '@cowherd/store'
import { describe, expect, test } from 'vitest'
import { bpos } from '../bpos.ts'
import { BtreeId } from '../btree-ids.ts'
import { Cipher } from '../encryption.ts'
import { IntegritySeal } from '../integrity-seal.ts'
import { IntegrityCheck } from '../integrity.ts'
import { Key } from '../key.ts'
import { assemble, readSuperblock, unlock } from '../superblock/index.ts'
import { LiveSuperblock } from '../superblock/live-superblock.ts'
import { Disk } from '../testing/disk.ts'
import { openVolume, type Volume } from '../volume.ts'
import { JournalScanner } from './journal-scan.ts'
import { selectEntries } from './journal-select.ts'
import { seqsGivenUp, startAfterCrash, startAfterShutdown } from './journal-start.ts'
import { Journal } from './journal.ts'
import { LOG_RECORD_BYTES, RECORD_HEADER_BYTES } from './open-entry.ts'

const codecs = nativeCodecs()
const ACCOUNTING = 34

const disksOf = (name: string): Disk[] =>
  fixture(name).devices.map((path) => {
    const store = openStore(path, { lock: false })
    const bytes = new Uint8Array(store.size)
    store.read(bytes, 0)
    store.close()
    return new Disk(bytes, path)
  })

function read(name: string, disks: readonly Disk[]): Volume {
  const { passphrase } = fixture(name)
  return openVolume(disks, {
    codecs,
    passphrase: () => (passphrase === undefined ? undefined : Buffer.from(passphrase)),
  })
}

/** The volume open for writing: superblock and journal, as after the start. */
function start(name: string, disks: readonly Disk[]) {
  const { passphrase } = fixture(name)
  const volume = read(name, disks)
  const assembly = assemble(disks.map((device) => ({ device, superblock: readSuperblock(device, codecs) })))
  const { best } = assembly
  const key = unlock(best, codecs, () => (passphrase === undefined ? undefined : Buffer.from(passphrase)))
  const cipher = key === undefined ? undefined : new Cipher(codecs, key)
  const blockBytes = best.blockSectors * 512
  const uuidWord = new DataView(best.uuid.slice().buffer).getBigUint64(0, true)
  const devices = disks.map((_, given) => {
    const index = readSuperblock(disks[given], codecs).deviceIndex
    const buckets = assembly.journalBuckets[index] ?? { runs: [], count: 0 }
    return { index, device: disks[given], buckets, bucketSectors: best.members[index].bucketSectors }
  })
  const live = new LiveSuperblock(assembly, codecs, () => 1_800_000_000n)
  const roots = volume.btreeIds.map((btree) => {
    return { btree, level: volume.rootLevel(btree), pointer: volume.rootPointer(btree) ?? new Key() }
  })
  let begin = startAfterShutdown(Number(best.cleanSection?.journalSeq), best.members, devices, blockBytes)
  if (!best.clean) {
    const integrity = new IntegrityCheck(codecs, cipher)
    const scanner = new JournalScanner(devices, { uuidWord, blockBytes, integrity, note: () => undefined })
    const found = scanner.scan()
    const selection = selectEntries(found, best.blacklist)
    const given = seqsGivenUp(selection, best.blacklist)
    live.addBlacklist(given.start, given.end)
    begin = startAfterCrash(found, selection, given.end, devices, blockBytes)
  }
  live.markDirty()
  live.write()
  const journal = new Journal({
    start: begin,
    devices: devices.map((device) => {
      const { durability, discard } = best.members[device.index]
      return { ...device, durability, discard, isPreferred: false, isWritable: () => true }
    }),
    flushDevices: devices.map(({ index, device }) => ({ index, device, isWritable: () => true })),
    metadataReplicas: best.options.metadataReplicas,
    metadataReplicasRequired: best.options.metadataReplicasRequired,
    ...{ blockBytes, uuidWord, version: best.version, mayNotFlush: true },
    seal: new IntegritySeal(codecs, best.encryptionType === 0 ? undefined : cipher, best.options.metadataChecksum),
    live: { clocks: { read: 10_000, written: 1_000_000 }, roots: () => roots, keyVersion: () => 10_000n },
    nowSeconds: () => 1_800_000_000n,
    ensureReplicas: (set) => {
      const entry = { dataType: 2, required: 1, devices: set }
      if (!live.hasReplicas(entry) && live.addReplicas(entry)) live.write()
    },
    onFlushed: () => undefined,
    onDeviceError: (_, error) => {
      throw error
    },
  })
  return { volume, journal, live }
}

/** A transaction that changes nothing: a key as it is, and a counter to which 0 is added. */
function touch(journal: Journal, inode: Key): void {
  const nothing = new Key().make(ACCOUNTING, bpos(0, 0, 0), new Uint8Array(8))
  journal.reserve(LOG_RECORD_BYTES + 2 * RECORD_HEADER_BYTES + (inode.u64s + nothing.u64s) * 8)
  journal.recordLog('touch')
  journal.recordKey(BtreeId.inodes, 0, inode.words, 0)
  journal.stampVersion(journal.recordKey(BtreeId.accounting, 0, nothing.words, 0))
}

function inodesOf(volume: Volume): string[] {
  const cursor = volume.cursor(BtreeId.inodes)
  const inodes: string[] = []
  for (let found = cursor.seek(bpos(0, 0, 0)); found; found = cursor.next()) inodes.push(cursor.key.posText)
  return inodes
}

/** Throws what the real fsck complains of. */
async function judge(name: string, disks: readonly Disk[], start: 'clean' | 'unclean'): Promise<void> {
  if (!referee.available()) return
  const folder = mkdtempSync(join(tmpdir(), 'cowherd-journal-'))
  try {
    const paths = disks.map(({ bytes }, index) => {
      const path = join(folder, `${index}.img`)
      writeFileSync(path, bytes)
      return path
    })
    const { passphrase } = fixture(name)
    const verdict = await referee.fsck(paths, passphrase === undefined ? {} : { input: `${passphrase}\n` })
    expect(verdict).toMatchObject({ complaints: [], code: 0 })
    expect(`${verdict.stdout}${verdict.stderr}`).toMatch(new RegExp(`recovering from ${start} shutdown`))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

describe.each(['default', 'replicas', 'tiered', 'encrypted', 'crc64', 'unclean'])('%s', (name) => {
  test('entries are replayed after a crash', async () => {
    const disks = disksOf(name)
    const { volume, journal } = start(name, disks)
    const before = inodesOf(volume)
    const cursor = volume.cursor(BtreeId.inodes)
    for (let found = cursor.seek(bpos(0, 0, 0)), i = 0; found && i < 20; found = cursor.next(), i++) {
      if (journal.replayPin < 0) journal.pins.pin(journal.seq)
      touch(journal, cursor.key)
      if (i % 3 === 0) journal.close()
      if (i === 10) journal.flush()
    }
    journal.flush()
    const after = disks.map((disk) => disk.afterCut())
    const again = read(name, after)
    expect(again.replayed).toBe(true)
    expect(inodesOf(again)).toEqual(before)
    await judge(name, after, 'unclean')

    // and once more, from there
    const next = start(name, after)
    expect(next.journal.seq).toBe(journal.seq + 8)
    cursor.seek(bpos(0, 0, 0))
    touch(next.journal, cursor.key)
    next.journal.flush()
    expect(inodesOf(read(name, after))).toEqual(before)
    await judge(name, after, 'unclean')
  })

  // what is to be replayed is pinned here for ever
  if (name !== 'unclean') {
    test('a clean shutdown is one', async () => {
      const disks = disksOf(name)
      const { journal, live } = start(name, disks)
      const { seq } = journal
      for (let i = 0; i < 5; i++) {
        journal.reserve(LOG_RECORD_BYTES)
        journal.recordLog('nothing happens')
        journal.close()
      }
      const { journalSeq, records, positions, devices } = journal.writeEmptyFlush()
      expect(journalSeq).toBe(seq + 5)
      // it is the newest entry that counts until the superblock says that there is no need
      await judge(name, disks.map((disk) => disk.afterCut()), 'unclean') // prettier-ignore
      live.markClean(journalSeq, records, positions, devices)
      live.write()
      const again = read(name, disks)
      expect([again.superblock.clean, again.replayed]).toEqual([true, false])
      await judge(name, disks, 'clean')

      const next = start(name, disks)
      expect(next.journal.seq).toBe(journalSeq + 1)
      next.journal.reserve(LOG_RECORD_BYTES)
      next.journal.recordLog('nothing happens')
      next.journal.flush()
      await judge(name, disks, 'unclean')
    })
  }
})
