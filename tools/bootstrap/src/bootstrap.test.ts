import { spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { alone } from './alone.js'
import { newestOf } from './newest.js'

let folder = ''
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cowherd-bootstrap-'))
})
afterEach(() => {
  fs.rmSync(folder, { recursive: true, force: true })
})

/** Makes `name` in the folder, modified `seconds` after the epoch; its parents are as old as the epoch. */
function touch(name: string, seconds: number): void {
  const file = path.join(folder, name)
  fs.mkdirSync(path.dirname(file), { recursive: true })
  fs.writeFileSync(file, '')
  fs.utimesSync(file, seconds, seconds)
  for (let parent = path.dirname(file); parent.startsWith(folder); parent = path.dirname(parent)) {
    fs.utimesSync(parent, 0, 0)
  }
}

describe('newest modification', () => {
  test('is that of the newest source, however deep', () => {
    touch('a/src/x.ts', 100)
    touch('a/src/deep/y.ts', 300)
    touch('b/src/z.ts', 200)
    expect(newestOf([folder])).toBe(300_000)
    expect(newestOf([path.join(folder, 'b')])).toBe(200_000)
  })

  test('leaves out tests, what was built and what was installed', () => {
    touch('a/src/x.ts', 100)
    touch('a/src/x.test.ts', 900)
    touch('a/dist/x.js', 900)
    touch('a/node_modules/m/index.ts', 900)
    expect(newestOf([folder])).toBe(100_000)
  })

  test('sees that a file went, by its folder', () => {
    touch('a/src/x.ts', 100)
    touch('a/src/y.ts', 100)
    fs.rmSync(path.join(folder, 'a/src/y.ts'))
    expect(newestOf([folder])).toBeGreaterThan(100_000)
  })

  test('takes a missing place for nothing', () => {
    expect(newestOf([path.join(folder, 'none')])).toBe(0)
  })
})

describe('one process at a time', () => {
  test('gives the lock back, also after a failure', () => {
    const lock = path.join(folder, 'lock')
    alone(lock, () => {
      expect(fs.existsSync(lock)).toBe(true)
    })
    expect(() => {
      alone(lock, () => {
        throw new Error('failed')
      })
    }).toThrow('failed')
    expect(fs.readdirSync(folder)).toEqual([])
  })

  test('takes over what a killed process left', () => {
    const lock = path.join(folder, 'lock')
    fs.writeFileSync(lock, '999999999\n')
    let ran = false
    alone(lock, () => {
      ran = true
    })
    expect(ran).toBe(true)
  })

  test('never lets two in', { timeout: 60_000 }, async () => {
    const lock = path.join(folder, 'lock')
    const log = path.join(folder, 'log')
    const script = `
      import fs from 'node:fs'
      import { alone } from ${JSON.stringify(fileURLToPath(new URL('alone.js', import.meta.url)))}
      for (let i = 0; i < 5; i++) alone(${JSON.stringify(lock)}, () => {
        fs.appendFileSync(${JSON.stringify(log)}, '(')
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
        fs.appendFileSync(${JSON.stringify(log)}, ')')
      })`
    const runs = [1, 2, 3].map(
      () =>
        new Promise((resolve) =>
          spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' }).on('close', resolve),
        ),
    )
    expect(await Promise.all(runs)).toEqual([0, 0, 0])
    expect(fs.readFileSync(log, 'utf8')).toBe('()'.repeat(15))
  })
})

test('to find that nothing is to do takes no time', () => {
  const root = fileURLToPath(new URL('../../..', import.meta.url))
  const places = ['packages', 'apps/cowherd'].map((name) => path.join(root, name))
  const timesMs = [1, 2, 3, 4, 5].map(() => {
    const started = performance.now()
    newestOf(places)
    return performance.now() - started
  })
  expect(Math.min(...timesMs)).toBeLessThan(50)
})
