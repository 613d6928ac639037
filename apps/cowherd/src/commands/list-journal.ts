/** `cowherd list-journal`: the entries of the journal, record by record, in the words of `bcachefs list_journal`. */

import type { Command } from 'commander'
import {
  btreeName,
  JSET_ENTRY_NAMES,
  Jset,
  JsetEntryType,
  recordText,
  VolumeError,
  walkRecords,
  type FoundEntry,
  type JournalPlace,
  type JsetRecord,
  type Volume,
} from '@cowherd/db'
import type { Context } from '../cli/context.ts'
import { CommandError, ExitCode } from '../cli/exit-code.ts'
import { examples } from '../cli/help.ts'
import { JsonArray } from '../cli/json.ts'
import { takesVolume, type VolumeFlags } from '../cli/volume-options.ts'

interface Flags extends VolumeFlags {
  readonly all?: boolean
  readonly entries?: string
  readonly json?: boolean
}

export function registerListJournal(program: Command, context: Context): void {
  const command = takesVolume(program.command('list-journal').description('print the entries of the journal'))
    .option('-a, --all', 'also entries that are no longer needed')
    .option('-n, --entries <count>', 'only so many, the newest')
    .option('--json', 'print as JSON: an array, one element an entry')
    .action(async (volume: string, flags: Flags) => {
      const count = flags.entries === undefined ? Infinity : Number(flags.entries)
      if (!(count >= 1)) throw new CommandError(ExitCode.usage, `-n ${flags.entries}: not a number of entries`)
      const opened = await context.openVolume(volume, flags)
      const entries = opened.journalEntries(flags.all === true)
      list(context, opened, count < entries.length ? entries.slice(-count) : entries, flags.json === true)
    })
  const remark = `Each entry says where its copies lie: device:bucket of the ring:sector in the bucket. A copy with a bad checksum
is marked so. The journal of an unclean volume is what makes it readable; nothing is replayed on the device.`
  examples(command, ['cowherd list-journal disk.img', 'cowherd list-journal -a -n 3 --json disk.img'], remark)
}

function list(context: Context, volume: Volume, entries: readonly FoundEntry[], asJson: boolean): void {
  const json = asJson ? new JsonArray(context.out) : undefined
  for (const entry of entries) {
    if (json === undefined) for (const line of headLines(volume, entry)) context.out.line(line)
    const records: { type: string; btree: string; level: number; text: string }[] = []
    try {
      forEachRecord(context, volume, entry, (view, record) => {
        const text = recordText(view, record, volume.keyTypes, volume.shape)
        if (json === undefined) {
          // what follows such a log record up to the next one belongs to one transaction
          if (record.type === JsetEntryType.log && record.level === 0) context.out.write('\n')
          context.out.line(`    ${text.replaceAll('\n', '\n    ')}`)
        } else {
          const type = JSET_ENTRY_NAMES[record.type] ?? `${record.type}`
          records.push({ type, btree: btreeName(record.btree), level: record.level, text: text.slice(type.length + 2) })
        }
      })
    } catch (error) {
      if (!(error instanceof VolumeError)) throw error
      context.fail(error.message)
    }
    json?.add({ ...described(volume, entry), records })
  }
  json?.end()
}

function forEachRecord(
  context: Context,
  volume: Volume,
  entry: FoundEntry,
  visit: (view: DataView, record: JsetRecord) => void,
): void {
  const { view, bytes } = volume.readJournalEntry(entry)
  const problem = walkRecords(view, Jset.size, bytes.length, (record) => visit(view, record))
  if (problem !== undefined) context.fail(`journal entry ${entry.seq}: ${problem}`)
}

function headLines(volume: Volume, entry: FoundEntry): string[] {
  const { seq, lastSeq, noFlush, version, places } = entry
  return [
    `${isBlacklisted(volume, seq) ? 'blacklisted ' : ''}journal entry     ${seq}`,
    `  version         ${version}`,
    `  last seq        ${lastSeq}`,
    `  flush           ${noFlush ? 0 : 1}`,
    `  written at      ${places.map((place) => placeText(volume, place)).join(' ')}`,
  ]
}

function placeText(volume: Volume, place: JournalPlace): string {
  const { device, bucketIndex, sector, checksumGood } = place
  const bad = checksumGood ? '' : ' checksum bad'
  return `${device}:${bucketIndex}:${sectorInBucket(volume, place)} (sector ${sector}${bad})`
}

function sectorInBucket(volume: Volume, { device, sector }: JournalPlace): number {
  const bucketSectors = volume.superblock.members[device]?.bucketSectors ?? 0
  return bucketSectors === 0 ? 0 : sector % bucketSectors
}

function isBlacklisted(volume: Volume, seq: bigint): boolean {
  return volume.superblock.blacklist.some(({ start, end }) => start <= seq && seq < end)
}

function described(volume: Volume, { seq, lastSeq, noFlush, version, bytes, places }: FoundEntry): object {
  return {
    seq,
    lastSeq,
    flush: !noFlush,
    version,
    bytes,
    blacklisted: isBlacklisted(volume, seq),
    copies: places.map((place) => ({
      device: place.device,
      bucketIndex: place.bucketIndex,
      sectorInBucket: sectorInBucket(volume, place),
      sector: place.sector,
      checksumGood: place.checksumGood,
    })),
  }
}
