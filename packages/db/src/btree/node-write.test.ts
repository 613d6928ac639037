/** Sets of keys in nodes of the golden volumes, written anew: as the reference wrote them, byte by byte. */

import { fixture, fixtureNames } from '@cowherd/fixtures'
import { nativeCodecs, type BlockDevice } from '@cowherd/shim'
import { openStore } from '@cowherd/store'
import { afterAll, expect, test } from 'vitest'
import { POS_MIN } from '../bpos.ts'
import { KeyHeap } from '../new-volume/key-heap.ts'
import { Cipher } from '../encryption.ts'
import { IntegritySeal } from '../integrity-seal.ts'
import { IntegrityCheck } from '../integrity.ts'
import type { Key } from '../key.ts'
import { readSuperblock, unlock } from '../superblock/index.ts'
import { openVolume } from '../volume.ts'
import * as pointer from './btree-ptr.ts'
import { inspectNode } from './node-inspect.ts'
import { BsetEntry, NodeHeader } from './node-layout.ts'
import type { NodeSource } from './node-read.ts'
import { NodeWriter } from './node-write.ts'

const codecs = nativeCodecs()
/** Where a set says which checksum it has. */
const FIRST_FLAGS = NodeHeader.offsets.bset + NodeHeader.fields.bset.offsets.flags
const LATER_FLAGS = BsetEntry.offsets.bset + NodeHeader.fields.bset.offsets.flags
/** Sets of keys compared, of all volumes. */
let total = 0

test.each(fixtureNames())('%s: its nodes', (name) => {
  const { devices, passphrase } = fixture(name)
  const stores = devices.map((path) => openStore(path, { lock: false }))
  const typed = () => (passphrase === undefined ? undefined : Buffer.from(passphrase))
  const volume = openVolume(stores, { codecs, passphrase: typed, norecovery: true })
  const { superblock } = volume
  const key = unlock(readSuperblock(stores[0], codecs), codecs, typed)
  const cipher = key === undefined ? undefined : new Cipher(codecs, key)
  const uuidWord = new DataView(superblock.uuid.slice().buffer).getBigUint64(0, true)
  const shape = {
    nodeBytes: superblock.options.btreeNodeSize,
    blockBytes: superblock.blockSectors * 512,
    uuidWord,
  }
  const source: NodeSource = {
    ...shape,
    devices: volume.devices,
    integrity: new IntegrityCheck(codecs, cipher),
    isBlacklisted: () => false,
    minValueBytes: () => 0,
    note: () => undefined,
  }
  const seal = new IntegritySeal(
    codecs,
    superblock.encryptionType === 0 ? undefined : cipher,
    superblock.options.metadataChecksum,
  )
  const writer = new NodeWriter({ ...shape, seal, version: superblock.version })

  const check = (btree: number, level: number, ptr: Key): void => {
    const { sets, minKey, maxKey } = inspectNode(source, btree, level, ptr)
    const stored = storedBytes(volume.devices, ptr, shape.nodeBytes)
    const { flags, bset } = headerOf(stored, seal.isEncrypting ? cipher : undefined)
    const node = {
      ...{ btree, level, minKey, maxKey, generation: flags.seq },
      ...{ seqHi: Number(bset.seq >> 32n), seqLo: Number(bset.seq & 0xffffffffn) },
    }
    for (const set of sets) {
      const { offsetSectors, version, journalSeq, u64s } = set
      const at = offsetSectors * 512
      const type = new DataView(stored.buffer).getUint32(at + (at === 0 ? FIRST_FLAGS : LATER_FLAGS), true) & 0xf
      // made by another version, or before an option was changed
      if (version !== superblock.version || type !== seal.type) return
      const heap = new KeyHeap()
      set.forEach((each) => heap.add(each))
      const keys = { words: heap.words, base: 0, order: heap.order, first: 0, count: heap.count }
      const isMade =
        at === 0
          ? writer.makeNode(node, keys)
          : writer.makeSet(node, keys, at, Number(journalSeq >> 32n), Number(journalSeq & 0xffffffffn))
      expect(isMade).toBe(true)
      const where = `btree ${btree} level ${level} ${ptr.posText} at ${at}`
      const length = (at === 0 ? NodeHeader.size : BsetEntry.size) + u64s * 8
      expect(Buffer.compare(writer.bytes.subarray(0, length), stored.subarray(at, at + length)), where).toBe(0)
      total++
    }
  }

  for (const btree of volume.btreeIds) {
    const root = volume.rootPointer(btree)
    if (root === undefined) continue
    check(btree, volume.rootLevel(btree), root)
    for (let level = volume.rootLevel(btree); level > 0; level--) {
      const cursor = volume.cursor(btree, level)
      for (let found = cursor.seek(POS_MIN); found; found = cursor.next()) check(btree, level - 1, cursor.key)
    }
  }
  volume.close()
})

afterAll(() => expect(total).toBeGreaterThan(150))

function storedBytes(devices: readonly (BlockDevice | undefined)[], { words }: Key, nodeBytes: number): Uint8Array {
  const bytes = new Uint8Array(nodeBytes)
  devices[pointer.pointerDevice(words, 0, 0)]?.read(bytes, pointer.pointerSector(words, 0, 0) * 512)
  return bytes
}

function headerOf(stored: Uint8Array, cipher: Cipher | undefined) {
  const copy = stored.slice(0, NodeHeader.size)
  const view = new DataView(copy.buffer)
  const { bset } = NodeHeader.read(view, 0)
  if (cipher !== undefined) {
    const [lo, hi] = [Number(bset.seq & 0xffffffffn), Number(bset.seq >> 32n)]
    const nonce = Uint32Array.of(0, lo, hi, 0x20000000)
    cipher.crypt(nonce, copy.subarray(NodeHeader.offsets.flags, NodeHeader.offsets.bset))
  }
  return { ...NodeHeader.read(view, 0), bset }
}
