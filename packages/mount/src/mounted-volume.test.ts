/**
 * Mounting from a program that goes on living. It is one of its own: the engine's thread runs the built package, since Node runs no
 * TypeScript, and whoever looks at a mount by a call that waits is not to be the one who ends it.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { copyOf, fixture, fuseAvailable } from '@cowherd/fixtures'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

let folder: string
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'cowherd-mounted-')))
  mkdirSync(join(folder, 'm'))
})
afterEach(async () => {
  await once(spawn('sh', ['-c', 'while umount -c -i -l -- "$0" 2> /dev/null; do :; done', join(folder, 'm')]), 'exit')
  rmSync(folder, { recursive: true })
})

/** Runs a module that finds `mountVolume`, `options` of a mount, `sh` and `results`. Returns the results. */
async function program(script: string, threads = 1): Promise<unknown> {
  const built = new URL('../dist/index.js', import.meta.url)
  if (!existsSync(built)) throw new Error("the package isn't built: npm run build")
  const prologue = `
    import { execFile } from 'node:child_process'
    import { mountVolume } from '${built.href}'
    const [directory, device] = process.argv.slice(2)
    const notes = []
    const note = (text) => notes.push(text)
    const options = { volume: { devices: [device] }, directory, source: 'volume', threads: ${threads}, note }
    const results = {}
    const sh = (line) => new Promise((resolve) =>
      execFile('sh', ['-c', line, 'sh', directory, device], (error, stdout, stderr) => resolve(stdout + stderr)))
    const failure = (promise) => promise.then(() => 'nothing', ({ name, code, message }) => [name, code, message])
    const mounts = async () => Number(await sh('grep -c " $1 " /proc/self/mountinfo'))
  `
  const [device = ''] = copyOf(fixture('default'), folder)
  const source = join(folder, 'program.mjs')
  writeFileSync(source, `${prologue}${script}\nconsole.log(JSON.stringify(results))`)
  const words = ['-k', '5', '50', process.execPath, source, join(folder, 'm'), device]
  const child = spawn('timeout', words, { cwd: '/', stdio: ['ignore', 'pipe', 'inherit'] })
  let out = ''
  child.stdout.on('data', (data: Buffer) => (out += data.toString()))
  const [code] = (await once(child, 'close')) as unknown[]
  expect(code).toBe(0)
  return JSON.parse(out)
}

const COUNTS = [1, 3]

describe.skipIf(!fuseAvailable()).each(COUNTS)(
  'a mount in a program that lives on, served by %i threads',
  (threads) => {
    test('from its beginning to its end, twice', async () => {
      const script = `
      for (const round of ['first', 'second']) {
        const mounted = await mountVolume(options)
        results[round] = await sh('ls "$1"')
        results.type = mounted.entry?.type
        await mounted.unmount()
        const { nodes } = await mounted.ended
        results.entry = mounted.entry ?? 'none'
        results.nodes = nodes.count > 0
        results.lock = await sh('flock -n -x "$2" echo free')
        const { engine } = mounted.inspect() // when all is over
        results.threads = engine.threads.length
        results.answered = engine.threads.reduce((sum, { answered }) => sum + answered, 0) > 3
        results.cached = engine.nodeCache.misses > 0
        results.again = await failure(mounted.unmount())
      }
      results.notes = notes
    `
      const listed = 'lost+found\nmany\ntree\n'
      expect(await program(script, threads)).toEqual({
        ...{ first: listed, second: listed, type: 'fuse.cowherd', entry: 'none', nodes: true },
        ...{ lock: 'free\n', threads, answered: true, cached: true, notes: [] },
        again: ['MountError', 'EINVAL', `${join(folder, 'm')}: not mounted any more`],
      })
    })

    test('what fails leaves no lock and no mount', async () => {
      const script = `
      results.directory = await failure(mountVolume({ ...options, directory: directory + '/none' }))
      results.volume = await failure(mountVolume({ ...options, volume: { devices: ['/dev/null/none'] } }))
      results.option = await failure(mountVolume({ ...options, kernelOptions: ['bogus'] }))
      results.lock = await sh('flock -n -x "$2" echo free')
      results.mounts = await mounts()
    `
      expect(await program(script, threads)).toEqual({
        directory: ['MountError', 'ENOENT', `${join(folder, 'm', 'none')}: no such directory`],
        volume: ['EngineError', expect.stringMatching(/^E/), expect.stringContaining('/dev/null/none')],
        option: ['MountError', 'EINVAL', expect.any(String)],
        lock: 'free\n',
        mounts: 0,
      })
    })

    test('wrong numbers of threads', async () => {
      const script = `
      for (const threads of [0, 65, 1.5, NaN]) {
        results[threads] = (await failure(mountVolume({ ...options, threads })))[0]
      }
      results.mounts = await mounts()
    `
      const error = 'RangeError'
      expect(await program(script, threads)).toEqual({ 0: error, 65: error, 1.5: error, NaN: error, mounts: 0 })
    })

    test('what others mount on the directory is left alone', async () => {
      const script = `
      const mounted = await mountVolume(options)
      await sh('mount -t tmpfs theirs "$1"')
      results.hidden = mounted.entry ?? 'none'
      results.over = await failure(mounted.unmount({ lazy: true }))
      results.mounts = await mounts()
      await sh('umount "$1"')
      await mounted.unmount()
      await mounted.ended
      results.left = await mounts()
    `
      expect(await program(script, threads)).toEqual({
        hidden: 'none',
        over: ['MountError', 'EINVAL', `${join(folder, 'm')}: not mounted any more`],
        mounts: 2,
        left: 0,
      })
    })

    test('waking it again and again, whether the kernel knows a file or not', async () => {
      const script = `
      const mounted = await mountVolume(options)
      const answered = () => mounted.inspect().engine.threads.map(({ answered }) => answered)
      const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
      for (let i = 0; i < 1000; i++) mounted.wake()
      for (let i = 0; i < 2000 && answered().includes(0); i++) await sleep(5).then(() => mounted.wake())
      results.first = answered().includes(0)
      await sh('cat "$1/many/file-00000"')
      for (let i = 0; i < 1000; i++) mounted.wake()
      results.second = await sh('ls "$1"')
      await mounted.unmount()
      await mounted.ended
      mounted.wake()
    `
      expect(await program(script, threads)).toEqual({ first: false, second: 'lost+found\nmany\ntree\n' })
    })
  },
)
