/**
 * Reading with several threads gives what one thread gives: the same output, the same messages in the same order, the same exit code, the
 * same copy. Here readers do everything, in small batches, with a node cache that holds next to nothing.
 */

import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { copyOf, fixture, fixtureNames } from '@cowherd/fixtures'
import { specimen } from '@cowherd/fuzz'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ReadingTuning } from '../cli/reading.ts'
import { localTree, parseManifest } from '../copy/local-tree.ts'
import { builtProgram } from '../testing/built.ts'
import { cowherd, type Ran } from '../testing/command-line.ts'
import { damagedVolume } from '../testing/damaged-volume.ts'
import { MountPlace } from '../testing/mount-place.ts'

const SLOW = { timeout: 120_000 }
const THREADS = ['--threads', '3']

let place: MountPlace
let folder = ''
let program = ''
let readerUrl: URL
let tuning: ReadingTuning
beforeAll(() => {
  program = builtProgram()
  place = new MountPlace()
  folder = place.folder
  readerUrl = new URL('reader.worker.js', pathToFileURL(program))
  tuning = { readerUrl, takesPart: false, batchBytes: 100_000, cacheBytes: 1 }
}, 120_000)
afterAll(async () => place[Symbol.asyncDispose]())

/** Volumes that are copied too: of all that a copy can have to do with. */
const COPIED: ReadonlySet<string> = new Set(['default', 'compressed', 'snapshots', 'small-nodes', 'reflink'])

const volumeOf = (name: string): string => fixture(name).devices.join(':')

/** The command with one thread, and with three. */
async function bothWays(argv: readonly string[], env: Record<string, string>, tuned = tuning): Promise<[Ran, Ran]> {
  const [command = '', ...words] = argv
  return [await cowherd(argv, { env }), await cowherd([command, ...THREADS, ...words], { env, tuning: tuned })]
}

/** What a copy is, but for how it lies on its disk. */
function copied(tree: string): object[] {
  return localTree(tree).map((row) => ({ ...row, blocks: '' }))
}

describe('golden volumes', () => {
  test.each(fixtureNames())('%s', SLOW, async (name) => {
    const { passphrase } = fixture(name)
    const env: Record<string, string> = passphrase === undefined ? {} : { COWHERD_PASSPHRASE: passphrase }
    const [one, three] = await bothWays(['manifest', volumeOf(name)], env)
    expect(three).toEqual(one)
    if (!COPIED.has(name)) return

    const [alone, together] = [join(folder, `${name}-1`), join(folder, `${name}-3`)]
    const get = async (words: readonly string[], target: string, options: object): Promise<object> => {
      const { code, err } = await cowherd(['get', '-a', ...words, volumeOf(name), '/', target], options)
      return { code, err: err.replaceAll(target, 'TARGET'), tree: copied(target) }
    }
    expect(await get(THREADS, together, { tuning: { ...tuning, partBytes: 1 << 16 } })).toEqual(
      await get([], alone, {}),
    )
  })

  test('with all threads taking part, and as JSON', SLOW, async () => {
    const volume = volumeOf('small-nodes')
    const [one, three] = await bothWays(['manifest', '--json', volume], {}, { readerUrl, cacheBytes: 1 })
    expect(three).toEqual(one)
    const target = join(folder, 'taking-part')
    await cowherd(['get', ...THREADS, volume, '/', target], { tuning: { readerUrl } })
    const rows = parseManifest(readFileSync(fixture('small-nodes').manifest, 'utf8'))
    const contents = (all: readonly { path: string; content: string }[]): string[] =>
      all.map(({ path, content }) => `${path} ${content}`)
    expect(contents(localTree(target))).toEqual(contents(rows))
  })
})

describe('damaged volumes', () => {
  test('a file that can not be read', SLOW, async () => {
    const { volume, message } = damagedVolume(place)
    const [one, three] = await bothWays(['manifest', volume], {})
    expect(three).toEqual(one)
    expect([three.code, three.err]).toEqual([1, expect.stringMatching(message)])

    const target = join(folder, 'damaged')
    const argv = ['get', '-f', volume, '/', target]
    const [copy, copyInParts] = await bothWays(argv, {}, { ...tuning, partBytes: 1 << 14 })
    expect(copyInParts).toEqual(copy)
    expect([copy.code, copy.err]).toEqual([1, expect.stringContaining('are zeros in the copy')])
  })

  test.each(['extents', 'xattrs'])('a node of %s that can not be read', SLOW, async (btree) => {
    const volume = withBadNodes('default', btree, 1)
    const [one, three] = await bothWays(['manifest', volume], {})
    expect(three).toEqual(one)
    expect(one.code).toBe(1)
  })

  test('a node with a good copy is noted once', SLOW, async () => {
    const volume = withBadNodes('replicas', 'extents', 1)
    const [one, three] = await bothWays(['manifest', volume], {})
    // whoever reads the node first says so
    const lines = ({ err }: Ran): string[] => err.split('\n').sort()
    expect([three.code, three.out, lines(three)]).toEqual([one.code, one.out, lines(one)])
    expect(one.err).toContain('read from another copy')
  })
})

/** A copy of the volume in which so many copies of each leaf of a btree are overwritten. */
function withBadNodes(name: string, btree: string, copiesSpoiled: number): string {
  const into = join(folder, `bad-${name}-${btree}`)
  mkdirSync(into)
  const images = copyOf(fixture(name), into)
  const { nodes } = specimen(name)
  const wanted = { extents: 0, inodes: 1, xattrs: 3 }[btree]
  let spoiled = 0
  for (const { btree: id, level, copies } of nodes) {
    if (id !== wanted || level !== 0 || spoiled > 0) continue
    for (const { device, at } of copies.slice(0, copiesSpoiled)) {
      const fd = openSync(images[device] ?? '', 'r+')
      writeSync(fd, Buffer.alloc(64, 0xaa), 0, 64, at)
      closeSync(fd)
      spoiled++
    }
  }
  expect(spoiled).toBe(copiesSpoiled)
  return images.join(':')
}

describe('readers that fail', () => {
  /** A reader of whom something else is made before it begins. */
  const altered = (name: string, code: string): URL => {
    const file = join(folder, `${name}.mjs`)
    writeFileSync(
      file,
      `import { workerData } from 'node:worker_threads'\n${code}\nawait import(${JSON.stringify(readerUrl.href)})`,
    )
    return pathToFileURL(file)
  }
  const secondMessage = (then: string): string => `
    const { port } = workerData.data
    let messages = 0
    const post = port.postMessage.bind(port)
    port.postMessage = (message) => { if (++messages === 3) { ${then} } else post(message) }
  `

  test.each([
    ['is not there', '', 'Cannot find module'],
    ['does not start', 'throw new TypeError("no start")', 'TypeError: no start'],
    ['throws', secondMessage('throw new TypeError("in the midst")'), 'TypeError: in the midst'],
    ['leaves', secondMessage('process.exit(7)'), 'died with exit code 7'],
    [
      'runs out of memory',
      secondMessage('const hog = []; for (;;) hog.push(new Array(100000).fill(hog.length))'),
      'died with exit code',
    ],
  ])('one that %s ends the command', SLOW, async (what, code, message) => {
    const name = what.replaceAll(' ', '-')
    const url = code === '' ? new URL('nowhere.js', readerUrl) : altered(name, code)
    for (const takesPart of [false, true]) {
      const target = join(folder, `${name}-${takesPart}`)
      const options = { tuning: { readerUrl: url, takesPart, batchBytes: 1 } }
      const { code: exit, err } = await cowherd(['get', ...THREADS, volumeOf('small-nodes'), '/', target], options)
      if (takesPart && exit === 0) continue // done before it was missed
      expect([exit, err]).toEqual([70, expect.stringContaining(message)])
      expect(err).toMatch(/^cowherd: a bug in cowherd: .*reader \d/)
    }
  })

  test('what one throws of a file ends the command where that file is', SLOW, async () => {
    const code = `
      import fs from 'node:fs'
      import { syncBuiltinESMExports } from 'node:module'
      fs.writeSync = () => { throw Object.assign(new Error('full'), { code: 'ENOSPC', syscall: 'write' }) }
      syncBuiltinESMExports()
    `
    const target = join(folder, 'full')
    const { code: exit, err } = await cowherd(['get', ...THREADS, volumeOf('default'), '/tree', target], {
      tuning: { ...tuning, readerUrl: altered('full', code) },
    })
    expect([exit, err]).toEqual([1, expect.stringMatching(/^cowherd: [^\n]*: no space left\n$/)])
    // the first file in order is told; none of those that could not be written is left
    for (const { path, type, size } of localTree(target)) if (type === 'f') expect([path, size]).toEqual([path, '0'])
  })
})

describe('the built program', () => {
  test('is as good as one thread', SLOW, async () => {
    const volume = volumeOf('small-nodes')
    const one = await place.cowherd(['manifest', '--threads', '1', volume])
    for (const words of [['--threads', '4'], []]) {
      expect(await place.cowherd(['manifest', ...words, volume])).toEqual(one)
    }
    const target = join(folder, 'built')
    expect(await place.cowherd(['get', '-a', '--threads', '4', volume, '/', target])).toMatchObject({
      code: 0,
      err: '',
    })
  })

  test.each(['SIGINT', 'SIGTERM'] as const)(
    '%s ends a copy at once, and no file is left half written',
    SLOW,
    async (signal) => {
      const target = join(folder, `copy-${signal}`)
      const volume = place.volume('small-nodes')
      const running = place.start(process.execPath, [program, 'get', '--threads', '3', volume, '/', target])
      while (!existsSync(target) || readdirSync(target, { recursive: true }).length < 100) {
        if (running.child.exitCode !== null) break
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
      running.child.kill(signal)
      expect(await running.ended).toEqual({
        code: signal,
        out: '',
        err: `cowherd: interrupted: what is in ${target} is not complete\n`,
      })
      const sizes = new Map(
        parseManifest(readFileSync(fixture('small-nodes').manifest, 'utf8')).map(({ path, size }) => [
          path,
          Number(size),
        ]),
      )
      const left = readdirSync(target, { recursive: true, encoding: 'utf8' }).filter((path) =>
        statSync(join(target, path)).isFile(),
      )
      expect(left.length).toBeLessThan(2500)
      for (const path of left) expect([path, statSync(join(target, path)).size]).toEqual([path, sizes.get(path)])
      rmSync(target, { recursive: true })
    },
  )

  test('a number of threads that makes no sense', async () => {
    for (const number of ['0', '33', 'two', '1.5', '-1']) {
      const { code, err } = await cowherd(['manifest', `--threads=${number}`, volumeOf('default')])
      expect([code, err]).toEqual([2, `cowherd: --threads ${number}: a number from 1 to 32 is wanted\n`])
    }
  })
})
