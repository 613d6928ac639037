/** A power cut while superblocks are edited leaves the old or the new, on every device the same, and the edit can be made again. */

import { SuperblockEdit, type Superblock } from '@cowherd/db'
import { fixture } from '@cowherd/fixtures'
import { fuzzCodecs as codecs } from '@cowherd/fuzz'
import { describe, expect, test } from 'vitest'
import { Image } from './image.ts'
import { Recording, withoutFlushes, type Recorded } from './recording.ts'
import { faultsOf, forEachState, namesOn } from './testing.ts'

const NOW = 1_800_000_000n
/** States at each point where what is looked for is rare: all copies torn. */
const MANY = 200

interface Edit {
  readonly volume: string
  readonly apply: (edit: SuperblockEdit) => void
  /** What is changed. */
  readonly told: (superblock: Superblock) => string
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const EDITS: Readonly<Record<string, Edit>> = {
  'an option': {
    volume: 'default',
    apply: (edit) => edit.setOption('compression', 'zstd:5'),
    told: ({ options }) => options.compression.type,
  },
  'an option on three devices': {
    volume: 'striped',
    apply: (edit) => edit.setOption('compression', 'lz4'),
    told: ({ options }) => options.compression.type,
  },
  'the state of a device': {
    volume: 'replicas',
    apply: (edit) => edit.setState('1', 'ro'),
    told: ({ members }) => members.map(({ state }) => state).join(),
  },
  'the kind of the checksums': {
    volume: 'unclean',
    apply: (edit) => edit.setOption('metadataChecksum', 'xxhash'),
    told: ({ options }) => options.metadataChecksum,
  },
}

function before({ volume }: Edit): Image[] {
  return fixture(volume).devices.map((path) => Image.load(path))
}

function record(images: readonly Image[], { apply }: Edit): Recording {
  const recording = new Recording(images)
  const edit = new SuperblockEdit(recording.devices, codecs)
  apply(edit)
  edit.write(NOW)
  return recording
}

function devicesOf(images: readonly Image[]) {
  return images.map((image, index) => image.device(`disk ${index}`))
}

function told(images: readonly Image[], edit: Edit): string {
  return edit.told(new SuperblockEdit(devicesOf(images), codecs).superblock)
}

/** Counts the different things that the volume says after cuts. Throws at one that is neither the old nor the new. */
async function states(recorded: Recorded, edit: Edit, perPoint?: number): Promise<number> {
  const names = namesOn(devicesOf(recorded.before))
  const old = told(recorded.before, edit)
  const seen = new Set<string>()
  await forEachState(
    recorded,
    async ({ images, isWhole, isSampled }) => {
      const now = told(images, edit)
      seen.add(now)
      if (isWhole) expect(now).not.toBe(old)
      expect(namesOn(devicesOf(images))).toBe(names)
      if (isSampled) expect(await faultsOf(images)).toBe('')
      const again = record(images, edit)
      expect(edit.told(new SuperblockEdit(again.devices, codecs).superblock)).not.toBe(old)
    },
    perPoint,
  )
  return seen.size
}

describe('a cut while superblocks are edited', () => {
  test.each(Object.keys(EDITS))('%s: the old or the new', async (name) => {
    const edit = EDITS[name]
    expect(await states(record(before(edit), edit), edit)).toBe(2)
  })

  test('it is noticed if nobody flushes between two copies', async () => {
    const edit = EDITS['an option']
    const recorded = withoutFlushes(record(before(edit), edit), 0, 1)
    await expect(states(recorded, edit, MANY)).rejects.toThrow(/^seed \d+, cut in command/)
  })

  test('the passphrase: one of the two opens the volume', async () => {
    const edit: Edit = {
      volume: 'encrypted',
      apply: (each) => each.setPassphrase(() => bytes('cowherd'), bytes('another')),
      told: () => '',
    }
    const disks = before(edit)
    const names = namesOn(devicesOf(disks))
    const seen = new Set<string>()
    await forEachState(record(disks, edit), ({ images, isWhole }) => {
      let opened = 'another'
      try {
        expect(namesOn(devicesOf(images), opened)).toBe(names)
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'EACCES')) throw error
        opened = 'cowherd'
        expect(namesOn(devicesOf(images), opened)).toBe(names)
      }
      seen.add(opened)
      if (isWhole) expect(opened).toBe('another')
    })
    expect(seen.size).toBe(2)
  })
})
