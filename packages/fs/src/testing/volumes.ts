/** Whole volumes in memory, for tests of what the filesystem writes: made, opened, judged, and with snapshots. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeVolume, type Options } from '@cowherd/db'
import { fuzzCodecs as codecs, Random } from '@cowherd/fuzz'
import { referee } from '@cowherd/referee'
import { writableMemoryStore } from '@cowherd/store'
import { verifyVolume } from '@cowherd/verify'
import { expect } from 'vitest'
import { addFirstKeys } from '../first-start.ts'
import type { Time } from '../file-system-writer.ts'
import { fsKeyTypes } from '../key-types/index.ts'
import { openWritableFileSystem, type WritableFileSystem } from '../writable-file-system.ts'

const MIB = 2 ** 20
const BUCKET_BYTES = 256 << 10
const NODE_BYTES = 128 << 10
/** When volumes of tests were made, in seconds since 1970. */
export const BIRTH_SECONDS = 1_700_000_000

export interface BlankOptions {
  readonly bytes?: number
  readonly options?: Partial<Omit<Options, 'blockSize' | 'btreeNodeSize' | `${string}Target`>>
}

/** A new volume on one device. */
export function blankDisk({ bytes = 64 * MIB, options = {} }: BlankOptions = {}): Uint8Array {
  const disk = new Uint8Array(bytes)
  const random = randomOf(7)
  makeVolume([{ device: writableMemoryStore(disk, 'disk'), blockBytes: 4096, bucketBytes: BUCKET_BYTES }], {
    ...{ codecs, random, options, nowNs: BigInt(BIRTH_SECONDS) * 1_000_000_000n, btreeNodeBytes: NODE_BYTES },
    fill: (builder) => addFirstKeys(builder, { codecs, random, strHash: options.strHash ?? 'siphash' }),
  })
  return disk
}

/** Opens the volume for writing; it must be the only one who does. */
export function openDisk(disk: Uint8Array, now?: () => Time, subvolume?: number): WritableFileSystem {
  return openWritableFileSystem([writableMemoryStore(disk, 'disk')], {
    ...{ codecs, random: randomOf(8) },
    ...(now === undefined ? {} : { now }),
    ...(subvolume === undefined ? {} : { subvolume }),
  })
}

/** The volume that a power cut would leave: what is on the devices now. */
export function cutPower(disk: Uint8Array): Uint8Array {
  return disk.slice()
}

/**
 * Whom the real fsck accuses wrongly, and what it says besides: it counts the links of a file in an older snapshot too high. Shown in
 * docs/format/links-in-snapshots.md.
 */
const FALSE_ALARM = /has wrong i_nlink \(\d+, should be \d+\), fixing$|^ done$|: errors fixed$/

/**
 * Fails if anything is wrong with the volume. `withReferee`: the real fsck is asked too, if it is installed. `hasSnapshots`: it may be wrong
 * about numbers of links.
 */
export async function judge(disk: Uint8Array, withReferee = false, hasSnapshots = false): Promise<void> {
  const copy = disk.slice()
  expect(verifyVolume([writableMemoryStore(copy, 'disk')], { codecs, keyTypes: fsKeyTypes })).toEqual([])
  if (!withReferee || !referee.available()) return
  const folder = mkdtempSync(join(tmpdir(), 'cowherd-test-'))
  try {
    const image = join(folder, 'disk.img')
    writeFileSync(image, copy)
    const { complaints } = await referee.fsck([image])
    expect(complaints.filter((line) => !hasSnapshots || !FALSE_ALARM.test(line))).toEqual([])
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function randomOf(seed: number): (target: Uint8Array) => void {
  const random = new Random(seed)
  return (target) => void random.fill(target)
}
