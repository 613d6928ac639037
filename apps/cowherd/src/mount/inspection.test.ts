/** Looking into a running mount: `cowherd debug`, SIGUSR2, and Node's debugger. */

import { readFileSync } from 'node:fs'
import { fuseAvailable } from '@cowherd/fixtures'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { damagedVolume } from '../testing/damaged-volume.ts'
import { DebuggerClient } from '../testing/debugger-client.ts'
import { MountPlace, NOTHING, until } from '../testing/mount-place.ts'

let place: MountPlace
beforeEach(() => {
  place = new MountPlace()
})
afterEach(() => place[Symbol.asyncDispose]())

describe.skipIf(!fuseAvailable())('cowherd debug', () => {
  test('as JSON', async () => {
    const volume = place.volume('default')
    const server = await place.mount(volume)
    await place.shell('ls -lR "$m"; cat "$m/tree/big"; stat "$m/none"')
    const inspection = await place.inspect()
    expect(inspection).toMatchObject({
      directory: place.directory,
      source: volume,
      pid: server,
      openRequests: [],
      engine: { openHandles: { files: 1 } },
      messages: [],
    })
    const { engine, operations, memoryBytes, upSeconds, protocol } = inspection
    expect(protocol.features).toEqual(expect.arrayContaining(['doReaddirplus', 'cacheSymlinks']))
    expect(engine.nodes.count).toBeGreaterThan(100)
    expect(engine.nodes.lookups).toBeGreaterThanOrEqual(engine.nodes.count - 1)
    expect(engine.nodeCache).toMatchObject({ evictions: 0 })
    expect(engine.nodeCache.nodes).toBeGreaterThan(0)
    expect(memoryBytes.resident).toBeGreaterThan(1 << 20)
    expect(upSeconds).toBeGreaterThan(0)
    const names = operations.map(({ operation }) => operation)
    expect(names).toEqual(expect.arrayContaining(['init', 'lookup', 'readdirplus', 'read']))
    for (const { count, meanUs, medianUs, p99Us, greatestUs } of operations) {
      expect(count).toBeGreaterThan(0)
      expect(Math.min(meanUs, medianUs, p99Us)).toBeLessThanOrEqual(greatestUs)
    }
  })

  test('as text, from anywhere on the way to the directory', async () => {
    const volume = place.volume('default')
    const server = await place.mount(volume)
    await place.shell('ls -l "$m"')
    const { code, out } = await place.cowherd(['debug', './x/../m'], { cwd: place.folder })
    expect(code).toBe(0)
    expect(out.split('\n')[0]).toMatch(`${volume} on ${place.directory}: process ${server}, up `)
    expect(out).toMatch(/^operation +count +errors +mean us +median us +99% us +max us$/m)
    expect(out).toMatch(/^lookup +\d+ +0 |^readdirplus +\d+ +0 /m)
    expect(out).toMatch(/^nodes: \d+, lookups: \d+, table: [\d.]+ MiB$/m)
  })

  test('by several at once, again and again', async () => {
    await place.mount(place.volume('default'))
    const asking = Array.from({ length: 8 }, async () => {
      for (let i = 0; i < 4; i++) expect((await place.inspect()).engine).toBeDefined()
    })
    await Promise.all(asking)
  })

  test('tells the last messages: of a file that can not be read, where it lies and what was expected', async () => {
    const { volume, path, message } = damagedVolume(place)
    await place.mount(volume, ['--log', place.path('log')])
    const { code, out, err } = await place.shell(`cat "$m/${path}"`)
    expect([code, err]).toEqual([1, `cat: ${place.directory}/${path}: Input/output error\n`])
    expect(out.length).toBeGreaterThan(0) // what lies before the damage
    expect((await place.shell('cat "$m/tree/mid" "$m/many/file-00000" | wc -c; ls "$m"')).code).toBe(0)

    const line = `${path}: ${message}`
    expect((await place.inspect()).messages.map(({ text }) => text)).toEqual([expect.stringMatching(line)])
    expect(readFileSync(place.path('log'), 'utf8')).toMatch(new RegExp(`^\\S+Z ${line}\n$`))
  })
})

test.skipIf(!fuseAvailable())('SIGUSR2 writes the same into the log', async () => {
  const volume = place.volume('default')
  const server = await place.mount(volume, ['--log', place.path('log')])
  process.kill(server, 'SIGUSR2')
  const log = () => readFileSync(place.path('log'), 'utf8')
  expect(await until(() => log().includes('operation'))).toBe(true)
  expect(log()).toContain(`${volume} on ${place.directory}: process ${server}, up `)
  expect(log()).toMatch(/^nodes: 1, lookups: 0,/m)
  expect((await place.cowherd(['umount', place.directory])).code).toBe(0)
  expect(await place.left(server)).toEqual(NOTHING)
})

describe.skipIf(!fuseAvailable())('--inspect', () => {
  test('the debugger reaches the main thread, and that of the engine, which nobody else wakes', async () => {
    const server = await place.serve(place.volume('default'), ['--inspect', '0'])
    const url = /the debugger listens on (ws:\S+)/.exec(server.said())?.[1] ?? ''
    const client = await DebuggerClient.attach(url)
    expect(await client.evaluate('process.pid')).toBe(server.pid)
    await client.call('NodeWorker.enable', { waitForDebuggerOnStart: false })
    const { sessionId } = await client.event('NodeWorker.attachedToWorker')
    const isMain = `process.getBuiltinModule('worker_threads').isMainThread`
    expect(await client.evaluate(isMain)).toBe(true)
    for (let i = 0; i < 3; i++) expect(await client.evaluateInWorker(sessionId, isMain)).toBe(false)
    await place.shell('cat "$m/many/file-00000"') // from here on the kernel knows a file, and the doorbell takes another way
    for (let i = 0; i < 3; i++) expect(await client.evaluateInWorker(sessionId, 'process.pid')).toBe(server.pid)
    client.close()
    expect((await place.cowherd(['umount', place.directory])).code).toBe(0)
    expect((await server.ended).code).toBe(0)
    expect(await place.left(server.pid)).toEqual(NOTHING)
  })

  test('and all threads of the engine, in their sleep and after it', async () => {
    const server = await place.serve(place.volume('default'), ['-o', 'threads=3', '--inspect', '0'])
    const url = /the debugger listens on (ws:\S+)/.exec(server.said())?.[1] ?? ''
    const client = await DebuggerClient.attach(url)
    await client.call('NodeWorker.enable', { waitForDebuggerOnStart: false })
    const workers: unknown[] = []
    for (let i = 0; i < 3; i++) workers.push((await client.event('NodeWorker.attachedToWorker'))['sessionId'])
    const seats = async (): Promise<unknown[]> => {
      const found: unknown[] = []
      const seat = `process.getBuiltinModule('worker_threads').workerData.seat`
      for (const worker of workers) found.push(await client.evaluateInWorker(worker, seat))
      return found.sort()
    }
    expect(await seats()).toEqual([0, 1, 2])
    await place.shell('cat "$m/many/file-00000"')
    expect(await seats()).toEqual([0, 1, 2])
    client.close()
    expect((await place.cowherd(['umount', place.directory])).code).toBe(0)
    expect((await server.ended).code).toBe(0)
    expect(await place.left(server.pid)).toEqual(NOTHING)
  })
})
