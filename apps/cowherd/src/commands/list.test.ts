import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BTREE_NAMES } from '@cowherd/db'
import { copyOf, fixture, fixtureNames } from '@cowherd/fixtures'
import { referee } from '@cowherd/referee'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { cowherd } from '../testing/command-line.ts'
import { listedLines } from '../testing/reference-list.ts'

const volume = fixture('default').devices.join(':')

async function list(...argv: string[]): Promise<string> {
  const { code, out, err } = await cowherd(['list', ...argv])
  expect({ code, err }).toEqual({ code: 0, err: '' })
  return out
}

describe('what is listed', () => {
  test('a range of keys, parts of the positions left out', async () => {
    const out = await list('-b', 'inodes', '-s', '0:4097', '-e', '0:4098', volume)
    expect(out.match(/^u64s.*/gm)).toEqual([
      'u64s 17 type inode_v3 0:4097:U32_MAX len 0 ver 0: ',
      'u64s 18 type inode_v3 0:4098:U32_MAX len 0 ver 0: ',
    ])
    expect(await list('-b', '1', '-s', '0:0x1001:U32_MAX', '-e', '0:4098:U32_MAX', volume)).toBe(out)
    expect(await list('-b', 'inodes', '-s', 'SPOS_MAX', volume)).toBe('')
  })

  test('keys of one type', async () => {
    const out = await list('-k', 'reservation', '-e', '4106', volume)
    expect(out.split('\n').map((line) => line.slice(0, 40))).toEqual([
      'u64s 6 type reservation 4105:128:U32_MAX',
      'u64s 6 type reservation 4105:1024:U32_MA',
      'u64s 6 type reservation 4106:512:U32_MAX',
      '',
    ])
    expect(await list('-k', '7', '-e', '4106', volume)).toBe(out)
  })

  test('pointers to nodes, with the level', async () => {
    const small = fixture('small-nodes').devices.join(':')
    const out = await list('-b', 'dirents', '-l', '1', small)
    expect(out.split('\n').length).toBe(5)
    expect(out).toMatch(
      /^u64s 11 type btree_ptr_v2 4107:3240731610395945440:U32_MAX len 0 ver 0: seq 9e299c8011ece40a /,
    )
    expect(await list('-b', 'dirents', '-l', '2', small)).toBe('')
    expect(await list('-b', 'dirents', '-m', 'nodes', '-l', '1', small)).toMatch(
      /^u64s 11 type btree_ptr_v2 SPOS_MAX .*\n$/,
    )
    expect(
      (
        await list(
          '-b',
          'dirents',
          '-m',
          'nodes',
          '-s',
          '4107:4000000000000000000',
          '-e',
          '4107:4000000000000000000',
          small,
        )
      ).split('\n').length,
    ).toBe(3)
  })

  test('all btrees', async () => {
    const out = await list('-b', 'all', volume)
    const headings = out.match(/^btree .*:$/gm) ?? []
    expect(headings[0]).toBe('btree extents:')
    expect(headings).toContain('btree accounting:')
    expect(headings.length).toBe(16)
  })

  test('JSON', async () => {
    const keys: unknown = JSON.parse(await list('-b', 'all', '--json', volume))
    expect(keys).toContainEqual({
      btree: 'snapshots',
      level: 0,
      type: 'snapshot',
      inode: 0,
      offset: 4294967295,
      snapshot: 0,
      size: 0,
      version: 0,
      u64s: 12,
      value: {
        is_subvol: true,
        deleted: false,
        parent: 0,
        children: [0, 0],
        subvol: 1,
        tree: 1,
        depth: 0,
        skip: [0, 0, 0],
        btime: 0,
      },
    })
    for (const mode of ['nodes', 'formats', 'nodes-ondisk']) {
      const nodes: unknown = JSON.parse(await list('-b', 'alloc', '-m', mode, '--json', volume))
      expect(nodes).toMatchObject([{ pointer: { type: 'btree_ptr_v2', level: 1 } }])
    }
  })
})

/** Of the golden volume small-nodes. */
const BUCKET_BYTES = 65_536

test('nodes that cannot be read are passed over, and said', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'cowherd-list-'))
  try {
    const golden = fixture('small-nodes')
    const [image] = copyOf(golden, folder)
    const argv = ['list', '-b', 'dirents', image]
    const whole = await cowherd(argv)
    const nodes = (await list('-b', 'dirents', '-m', 'nodes', image)).trimEnd().split('\n')
    expect(nodes.length).toBe(5) // four leaves, then the root
    const damage = (line: string): void => {
      const bucket = Number(/ptr: 0:(\d+):0 /.exec(line)?.[1])
      const file = openSync(image, 'r+')
      writeSync(file, Buffer.alloc(64, 0x55), 0, 64, bucket * BUCKET_BYTES + 136)
      closeSync(file)
    }

    damage(nodes[1])
    const torn = await cowherd(argv)
    expect(torn.code).toBe(1)
    expect(torn.err).toMatch(/^cowherd: btree dirents: .*\n$/)
    const kept = whole.out.split('\n').filter((line) => !isInside(line, 3240731610395945440n, 5455360037837756827n))
    expect(torn.out.split('\n')).toEqual(kept)

    damage(nodes[4])
    const headless = await cowherd(argv)
    expect(headless).toMatchObject({ code: 1, out: '' })
    expect(await cowherd(['list', '-b', 'dirents', '-m', 'nodes-ondisk', image])).toMatchObject({ code: 1, out: '' })
  } finally {
    rmSync(folder, { recursive: true })
  }
})

/** True if the line's key is of inode 4107 and at an offset in (after, to]. */
function isInside(line: string, after: bigint, to: bigint): boolean {
  const offset = /^u64s \d+ type \w+ 4107:(\d+):/.exec(line)?.[1]
  return offset !== undefined && BigInt(offset) > after && BigInt(offset) <= to
}

test('wrong words on the command line', async () => {
  for (const [argv, message] of [
    [['-b', 'nothing'], "there is no btree 'nothing'"],
    [['-b', '63'], "there is no btree '63'"],
    [['-l', '4'], "'4' is no level"],
    [['-s', '1:2:3:4'], "'1:2:3:4' is no position"],
    [['-e', 'x'], "'x' is no position"],
    [['-e', '0:0:4294967296'], 'is no position'],
    [['-e', '18446744073709551616'], 'is no position'],
    [['-k', 'nothing'], "there is no key type 'nothing'"],
    [['-m', 'nothing'], 'nothing'],
  ] as const) {
    const { code, out, err } = await cowherd(['list', ...argv, volume])
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain(message)
  }
})

describe.skipIf(!referee.available())('as the real tool lists it', () => {
  let folder = ''
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'cowherd-list-'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  for (const name of fixtureNames()) {
    const golden = fixture(name)
    const devices = golden.devices.join(':')
    const isUnclean = name.startsWith('unclean')
    const env = golden.passphrase === undefined ? {} : { COWHERD_PASSPHRASE: golden.passphrase }

    const ours = async (argv: readonly string[]): Promise<string[]> => {
      const { out, err, code } = await cowherd(['list', ...argv, devices], { env })
      expect({ code, err }).toEqual({ code: 0, err: '' })
      return listedLines(out)
    }
    let images: readonly string[] = []
    const theirs = async (argv: readonly string[]): Promise<string[]> => {
      // It says that it makes no changes, and doesn't; the golden volumes are not risked all the same.
      if (images.length === 0) images = copyOf(golden, folder)
      const input = golden.passphrase === undefined ? {} : { input: `${golden.passphrase}\n` }
      const { stdout } = await referee.bcachefs(['list', ...argv, ...images], input)
      return listedLines(stdout)
    }

    /** All btrees in one go: opening an encrypted volume takes its time. */
    const oursOfAll = async (argv: readonly string[]): Promise<(btree: string) => string[]> => {
      const btrees = new Map<string, string[]>()
      let lines: string[] = []
      for (const line of await ours(['-b', 'all', ...argv])) {
        const heading = /^btree (.*):$/.exec(line)?.[1]
        if (heading === undefined) lines.push(line)
        else btrees.set(heading, (lines = []))
      }
      return (btree) => btrees.get(btree) ?? []
    }

    test(`${name}: every key of every btree`, { timeout: 300_000 }, async () => {
      const listed = await oursOfAll(isUnclean ? ['-o', 'norecovery'] : [])
      for (const btree of BTREE_NAMES) expect(listed(btree), btree).toEqual(await theirs(['-b', btree]))
    })

    if (isUnclean) {
      test(`${name}: after recovery`, { timeout: 300_000 }, async () => {
        const listed = await oursOfAll([])
        for (const btree of BTREE_NAMES) expect(listed(btree), btree).toEqual(await theirs(['-f', '-b', btree]))
      })
    }

    test(`${name}: nodes`, { timeout: 300_000 }, async () => {
      const norecovery = isUnclean ? ['-o', 'norecovery'] : []
      for (const btree of golden.passphrase === undefined
        ? ['extents', 'inodes', 'alloc', 'accounting']
        : ['extents']) {
        for (const mode of ['nodes', 'nodes-ondisk']) {
          const argv = ['-b', btree, '-m', mode]
          expect(await ours([...argv, ...norecovery]), `${btree} ${mode}`).toEqual(await theirs(argv))
        }
      }
    })
  }
})
