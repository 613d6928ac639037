/** `format --source` where the volume is filled while it is made. That it keeps everything is tested with `put` (commands/put.test.ts). */

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fillWithRandom, loadNative, nativeCodecs } from '@cowherd/shim'
import { openWritableStore } from '@cowherd/store'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Context } from '../cli/context.ts'
import { builtProgram } from '../testing/built.ts'
import { collect, cowherd } from '../testing/command-line.ts'
import { until } from '../testing/mount-place.ts'
import { expectFaultless, rowsOf } from '../testing/new-volume.ts'
import { comparable, fillSampleTree, localRows, noise } from '../testing/sample-tree.ts'
import { makeFilledVolume } from './filled-volume.ts'

const MIB = 1 << 20
const native = loadNative()
const DONE = { code: 0, out: '', err: '' }

let folder: string
let source: string
let image: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cowherd-filled-'))
  source = join(folder, 'source')
  image = join(folder, 'image')
  mkdirSync(source)
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** Directories with files of many sizes, from which links lead to earlier ones. */
function fill(directories: number, sizes: readonly number[]): void {
  for (let i = 0; i < directories; i++) {
    const below = join(source, `${i % 3}`, `${i}`)
    mkdirSync(below, { recursive: true })
    sizes.forEach((size, j) => writeFileSync(join(below, `${j}`), noise(size)))
    if (i > 0) linkSync(join(source, `${(i - 1) % 3}`, `${i - 1}`, '0'), join(below, 'earlier'))
    symlinkSync('0', join(below, 'soft'))
    chmodSync(below, 0o1700 + i)
  }
}

async function expectSame(): Promise<void> {
  expect(comparable(await rowsOf(image))).toEqual(comparable(localRows(source, native)))
  await expectFaultless(image)
}

test('what is too much to be collected goes through transactions', async () => {
  fillSampleTree(source, native)
  fill(8, [300_000, 100, 5000, 70_000])
  writeFileSync(image, '')
  truncateSync(image, 128 * MIB)
  const out = collect()
  const err = collect()
  const surroundings = { outIsTerminal: false, terminal: { write: () => true }, env: {}, tuning: { threads: 1 } }
  const context = new Context({ ...surroundings, out: out.output, err: err.output })
  const device = openWritableStore(image)
  const options = { codecs: nativeCodecs(), random: fillWithRandom, nowNs: BigInt(Date.now()) * 1_000_000n }
  let built = 0
  await makeFilledVolume(context, [{ device, blockBytes: 4096 }], options, {
    ...{ source, paths: [image], built: () => built++ },
    keyBytesMax: 12_000,
  })
  context.close()
  device.close()
  err.output.flush()
  expect([built, new TextDecoder().decode(err.bytes())]).toEqual([1, ''])
  await expectSame()
})

test('many files of little, in a small volume', async () => {
  fill(
    3,
    Array.from({ length: 300 }, (_, i) => 3 * i),
  )
  expect(await cowherd(['format', '-q', '--fs_size=32M', `--source=${source}`, image])).toMatchObject(DONE)
  await expectSame()
})

test('other threads copy the data', async () => {
  fill(4, [2 * MIB + 3, 200_000, 4096, 1])
  const words = ['format', '-q', '--fs_size=256M', `--source=${source}`, image]
  const { status, stdout, stderr } = spawnSync(process.execPath, [builtProgram(), ...words])
  expect([status, stdout.toString(), stderr.toString()]).toEqual([0, '', ''])
  await expectSame()
})

test('what is told of the volume is told when it is made', async () => {
  fill(1, [5000])
  const { code, out, err } = await cowherd(['format', '--fs_size=64M', `--source=${source}`, image])
  expect([code, err]).toEqual([0, ''])
  expect(out).toMatch(/^Clean: +1$/m)
})

test('interrupted, it is a volume with whole files in it', async () => {
  fill(40, [2 * MIB, 3000, 100_000])
  const words = ['format', '-q', '--fs_size=512M', `--source=${source}`, image]
  const child = spawn(process.execPath, [builtProgram(), ...words], { stdio: ['ignore', 'ignore', 'pipe'] })
  let err = ''
  child.stderr.on('data', (data: Buffer) => (err += data.toString()))
  const closed = once(child, 'close')
  const isUnderWay = (): boolean => (statSync(image, { throwIfNoEntry: false })?.blocks ?? 0) * 512 > 10 * MIB
  expect(await until(() => isUnderWay() || child.exitCode !== null, 40_000)).toBe(true)
  child.kill('SIGINT')
  await closed
  const originals = new Map(localRows(source, native).map(({ path, content }) => [path, content]))
  const rows = (await rowsOf(image)).filter(({ type }) => type === 'f')
  for (const { path, content } of rows) expect([path, content]).toEqual([path, originals.get(path)])
  if (err !== '') expect(err).toBe('cowherd: interrupted: the volume is made, but not everything is in it\n')
  await expectFaultless(image)
})
