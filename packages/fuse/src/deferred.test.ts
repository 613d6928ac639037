import { fuseAvailable } from '@cowherd/fixtures'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Entry } from './attributes.ts'
import { ServedMount } from './testing/served-mount.ts'

let mount: ServedMount

function fileEntry(): Entry {
  const entry = new Entry()
  entry.node = 99
  entry.attributes.mode = 0o100644
  entry.attributes.ino = 99
  return entry
}

describe.skipIf(!fuseAvailable())('requests that another thread answers', () => {
  beforeEach(async () => {
    mount = await ServedMount.start()
  })
  afterEach(() => mount[Symbol.asyncDispose]())

  test('three readers wait; the last is answered first', async () => {
    mount.write('three bytes')
    const names = ['slow-a', 'slow-b', 'slow-c']
    const readers = []
    for (const [i, name] of names.entries()) {
      readers.push(mount.start('cat', mount.path(name)))
      await mount.deferrals(i + 1)
    }
    const open = mount.requests.list()
    expect(open.map(({ operation, deferred, interrupted }) => [operation, deferred, interrupted])).toEqual(
      names.map(() => ['read', true, false]),
    )
    expect(new Set(open.map(({ node }) => node)).size).toBe(3)
    expect(open.every(({ startedMs }) => Math.abs(Date.now() - startedMs) < 60_000)).toBe(true)
    for (const i of [2, 1, 0]) {
      const request = mount.deferred[i]
      if (request === undefined) return expect.unreachable()
      expect(mount.reply.to(request).copy(new TextEncoder().encode(`${names[i] ?? ''} here`))).toBe(true)
      expect(await readers[i]?.end).toEqual({ output: `${names[i] ?? ''} here`, status: 0 })
      expect(mount.requests.list().filter(({ deferred }) => deferred)).toHaveLength(i)
      expect(readers.map(({ child }) => child.exitCode)).toEqual(names.map((_, j) => (j < i ? null : 0)))
    }
  })

  test('others are served meanwhile', async () => {
    const waiting = mount.start('stat', mount.path('later-a'))
    const [request] = await mount.deferrals(1)
    if (request === undefined) return expect.unreachable()
    expect(await mount.cat('file')).toBe('content')
    expect(waiting.child.exitCode).toBeNull()
    mount.reply.to(request).entry(fileEntry())
    expect((await waiting.end).status).toBe(0)
  })

  test('errors may come later too', async () => {
    const waiting = mount.start('stat', mount.path('later-a'))
    const [request] = await mount.deferrals(1)
    if (request === undefined) return expect.unreachable()
    mount.reply.to(request).error('ENODATA')
    expect(await waiting.end).toMatchObject({
      status: 1,
      output: expect.stringContaining('No data available') as string,
    })
  })

  test.each(['SIGINT', 'SIGKILL'] as const)('a caller gets %s: the request is marked', async (signal) => {
    const waiting = mount.start('stat', mount.path('later-a'))
    const [request] = await mount.deferrals(1)
    if (request === undefined) return expect.unreachable()
    expect(mount.reply.isInterrupted(request)).toBe(false)
    expect(mount.reply.waitForInterrupt(request, 1)).toBe(false)
    waiting.signal(signal)
    expect(mount.reply.waitForInterrupt(request, 10_000)).toBe(true)
    expect(await mount.event('interrupt')).toEqual(['interrupt', request.uniqueHi, request.uniqueLo])
    expect(mount.requests.list()).toMatchObject([{ operation: 'lookup', interrupted: true }])
    expect(mount.reply.to(request).error('EINTR')).toBe(true)
    await waiting.end
    // the mount goes on
    expect(await mount.cat('file')).toBe('content')
  })

  test('an interrupted request may be answered with its result all the same', async () => {
    const waiting = mount.start('stat', mount.path('later-a'))
    const [request] = await mount.deferrals(1)
    if (request === undefined) return expect.unreachable()
    waiting.signal('SIGINT')
    expect(mount.reply.waitForInterrupt(request, 10_000)).toBe(true)
    mount.reply.to(request).entry(fileEntry())
    await waiting.end
    expect(await mount.stat('file')).toBe('regular file')
  })
})
