/** Commands that write, ended in the middle of it: by Ctrl-C they end cleanly, and by SIGKILL the next one recovers. */

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ManifestRow } from '../copy/local-tree.ts'
import { builtProgram } from '../testing/built.ts'
import { cowherd } from '../testing/command-line.ts'
import { until } from '../testing/mount-place.ts'
import { expectFaultless, newVolume, rowsOf } from '../testing/new-volume.ts'
import { localRows, noise } from '../testing/sample-tree.ts'

const FILES = 6000
/** Some hundreds of files have been copied when the image has got so much. */
const GROWTH_BYTES = 2 << 20

const home = mkdtempSync(join(tmpdir(), 'cowherd-interrupted-'))
const source = join(home, 'source')
let originals: ReadonlyMap<string, string>
let folder: string
let volume: string
let children: ChildProcess[] = []

beforeAll(() => {
  const content = noise(9000)
  for (let i = 0; i < FILES; i++) {
    if (i % 500 === 0) mkdirSync(join(source, `${i / 500}`), { recursive: true })
    writeFileSync(join(source, `${Math.floor(i / 500)}`, `${i}`), content.subarray(i % 5000))
  }
  originals = new Map(localRows(source, undefined).map(({ path, content: hash }) => [`source/${path}`, hash]))
})
afterAll(() => rmSync(home, { recursive: true, force: true }))
beforeEach(async () => {
  folder = mkdtempSync(join(home, 'run-'))
  volume = await newVolume(folder, ['--fs_size=512M'])
})
afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
  children = []
  rmSync(folder, { recursive: true, force: true })
})

interface Running {
  readonly child: ChildProcess
  readonly ended: Promise<{ readonly end: number | string; readonly err: string }>
}

function start(words: readonly string[]): Running {
  const child = spawn(process.execPath, [builtProgram(), ...words], { stdio: ['pipe', 'ignore', 'pipe'] })
  children.push(child)
  let err = ''
  child.stderr.on('data', (data: Buffer) => (err += data.toString()))
  const ended = once(child, 'close').then(([code, signal]: unknown[]) => ({
    end: typeof code === 'number' ? code : String(signal),
    err,
  }))
  return { child, ended }
}

const sizeOnDisk = (): number => statSync(volume).blocks * 512

/** Starts a copy, and sends the signal when it is underway. */
async function interrupted(signal: NodeJS.Signals): Promise<{ readonly end: number | string; readonly err: string }> {
  const before = sizeOnDisk()
  const { child, ended } = start(['put', volume, source, '/'])
  expect(await until(() => sizeOnDisk() > before + GROWTH_BYTES || child.exitCode !== null, 40_000)).toBe(true)
  child.kill(signal)
  return ended
}

/** The files of the copy, which must be whole. */
async function copies(): Promise<ManifestRow[]> {
  const rows = (await rowsOf(volume)).filter(({ type, path }) => type === 'f' && path.startsWith('source/'))
  for (const { path, content } of rows) expect([path, content]).toEqual([path, originals.get(path)])
  return rows
}

const isClean = async (): Promise<boolean> => /^Clean: +1$/m.test((await cowherd(['show-super', volume])).out)

describe('a copy', () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    'that gets %s: every file is whole, the volume shut down',
    async (signal) => {
      const { end, err } = await interrupted(signal)
      expect([end, err]).toEqual([signal, 'cowherd: interrupted: what is in / is not complete\n'])
      expect(await isClean()).toBe(true)
      const rows = await copies()
      expect(rows.length).toBeGreaterThan(0)
      expect(rows.length).toBeLessThan(FILES)
      await expectFaultless(volume)
      // and it can go on from there
      expect(await cowherd(['put', '-f', volume, source, '/'])).toMatchObject({ code: 0, err: '' })
      expect((await copies()).length).toBe(FILES)
      await expectFaultless(volume)
    },
  )

  test('that is killed: the next command recovers the volume', async () => {
    expect((await interrupted('SIGKILL')).end).toBe('SIGKILL')
    expect(await isClean()).toBe(false)
    expect((await cowherd(['mkdir', volume, '/after'])).code).toBe(0)
    expect(await isClean()).toBe(true)
    expect((await cowherd(['ls', volume, '/'])).out).toContain('after\n')
    await expectFaultless(volume)
  })
})

test.each([
  ['untar', []],
  ['put', ['-', '/file']],
])('%s waits for its input no longer than until Ctrl-C', async (command, words) => {
  const { child, ended } = start([command, volume, ...words])
  await new Promise((resolve) => child.stdin?.write(Buffer.alloc(100), resolve))
  expect(await until(async () => !(await isClean()), 20_000)).toBe(true) // it has opened the volume
  child.kill('SIGINT')
  const { end, err } = await ended
  const place = command === 'put' ? 'file' : '/'
  expect([end, err]).toEqual(['SIGINT', `cowherd: interrupted: what is in ${place} is not complete\n`])
  expect(await isClean()).toBe(true)
  expect((await cowherd(['find', volume])).out).toBe('/\n/lost+found\n')
  await expectFaultless(volume)
})
