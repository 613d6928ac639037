/** Several threads that serve one mount, on the real kernel. */

import { writeFileSync } from 'node:fs'
import { fuseAvailable } from '@cowherd/fixtures'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Statistics } from './statistics.ts'
import { ServedMount } from './testing/served-mount.ts'

const THREADS = 3

let mount: ServedMount

/** The threads that told of events of that kind. */
function threadsOf(operation: string): Set<number | undefined> {
  return new Set(mount.servedBy.filter((_, i) => mount.events[i]?.[0] === operation))
}

describe.skipIf(!fuseAvailable())(`${THREADS} threads serve one mount`, () => {
  beforeEach(async () => {
    mount = await ServedMount.start(THREADS)
  })
  afterEach(() => mount[Symbol.asyncDispose]())

  test('while some are busy others answer', async () => {
    const busy = ['busy-a', 'busy-b'].map((name) => mount.start('cat', mount.path(name)))
    expect(await mount.until(() => mount.eventsOf('read').length === 2)).toBe(true)
    expect(threadsOf('read').size).toBe(2)
    expect(await mount.cat('file')).toBe('content')
    expect(await mount.cat('other')).toBe('content')
    // an answer is there a moment before its request is over
    expect(await mount.until(() => mount.requests.list().length === 2)).toBe(true)
    expect(mount.requests.list().every(({ operation, deferred }) => operation === 'read' && !deferred)).toBe(true)
    mount.relieve()
    for (const { end } of busy) expect(await end).toEqual({ output: 'content', status: 0 })
    expect(threadsOf('read').size).toBe(THREADS)
    const statistics = new Statistics(mount.memory.statistics)
    const reads = statistics.list().find(({ operation }) => operation === 'read')
    expect(reads?.count).toBe(mount.eventsOf('read').length)
    expect([0, 1, 2].every((seat) => statistics.answeredBy(seat) > 0)).toBe(true)
  })

  test('what threads have deferred is answered in any order', async () => {
    const names = ['slow-a', 'slow-b', 'slow-c', 'slow-d']
    mount.write('eleven char') // as long as the answers
    const readers = []
    for (const [i, name] of names.entries()) {
      readers.push(mount.start('cat', mount.path(name)))
      await mount.deferrals(i + 1)
    }
    for (const i of [2, 0, 3, 1]) {
      const request = mount.deferred[i]
      if (request === undefined) return expect.unreachable()
      mount.reply.to(request).copy(new TextEncoder().encode(`${names[i] ?? ''} here`))
      expect(await readers[i]?.end).toEqual({ output: `${names[i] ?? ''} here`, status: 0 })
    }
    expect(await mount.until(() => mount.requests.list().length === 0)).toBe(true)
  })

  test('an interrupt comes to another thread than the one that is busy with the request', async () => {
    const busy = mount.start('stat', mount.path('hold-a'))
    await mount.event('lookup')
    busy.signal('SIGINT')
    await mount.event('interrupt')
    expect([...threadsOf('interrupt')]).not.toEqual([...threadsOf('lookup')])
    await busy.end
    expect(await mount.until(() => mount.requests.list().length === 0)).toBe(true)
    expect(await mount.cat('file')).toBe('content')
  })

  test('lookups are given back to any thread', async () => {
    const names = Array.from({ length: 40 }, (_, i) => `slow-${i}`)
    await mount.start('stat', ...names.map((name) => mount.path(name))).end
    const forgotten = (): string[] => mount.eventsOf('forget').map(([, name]) => String(name))
    const isDone = await mount.until(() => {
      writeFileSync('/proc/sys/vm/drop_caches', '2\n')
      return names.every((name) => forgotten().includes(name))
    })
    expect(isDone).toBe(true)
    expect(forgotten().filter((name) => name === 'slow-7')).toHaveLength(1)
  })

  test('the doorbell comes to all of them', async () => {
    expect(mount.doorbell.ring(mount.fd)).toBe(false)
    expect(mount.doorbell.absent).toBe(THREADS)
    await mount.stat('file')
    for (let round = 1; round < 5; round++) {
      const isDone = await mount.until(() => {
        expect(mount.doorbell.ringAgain(mount.fd)).toBe(true)
        return mount.doorbell.absent === 0
      })
      expect(isDone).toBe(true)
      await mount.until(() => mount.eventsOf('doorbell').length === THREADS * round)
      expect(threadsOf('doorbell').size).toBe(THREADS)
      mount.doorbell.ring(mount.fd)
    }
  })

  test('unmounting ends all, wherever they wait', async () => {
    await mount.stat('file')
    expect(await mount.start('umount', '-c', '-i', mount.directory).end).toEqual({ output: '', status: 0 })
    await mount.ended
    expect(mount.eventsOf('end')).toHaveLength(THREADS)
    expect([mount.doorbell.serving, mount.requests.list()]).toEqual([0, []])
  })

  test('unmounting while one is busy ends the others, and that one when it has answered', async () => {
    const busy = mount.start('cat', mount.path('busy-a'))
    expect(await mount.until(() => mount.eventsOf('read').length === 1)).toBe(true)
    await mount.start('umount', '-c', '-i', '-l', mount.directory).end
    mount.relieve()
    expect(await busy.end).toEqual({ output: 'content', status: 0 }) // in use until then
    await mount.ended
    expect(mount.eventsOf('end')).toHaveLength(THREADS)
  })

  test('one that fails: its caller gets EIO, the others answer what they are at and go', async () => {
    const busy = mount.start('cat', mount.path('busy-a'))
    expect(await mount.until(() => mount.eventsOf('read').length === 1)).toBe(true)
    expect((await mount.start('stat', mount.path('bug-a')).end).output).toContain('Input/output error')
    expect(await mount.event('failed')).toEqual(['failed', 'TypeError: provoked'])
    expect(await mount.until(() => mount.doorbell.ringAgain(mount.fd) && mount.doorbell.serving === 1)).toBe(true)
    mount.relieve()
    expect(await mount.until(() => mount.doorbell.ringAgain(mount.fd) && mount.doorbell.serving === 0)).toBe(true)
    await mount.ended
    const waiting = mount.start('stat', mount.path('none'))
    mount.close()
    expect((await waiting.end).output).toMatch(/not connected|connection abort/)
    await busy.end // its first read was answered; what it asked for then was not
    expect(mount.eventsOf('lookup')).toEqual([
      ['lookup', 'busy-a'],
      ['lookup', 'bug-a'],
    ])
  })

  test('and if the kernel knows no file to ring with, the next callers get EIO', async () => {
    await mount.start('stat', mount.path('bug-a')).end
    await mount.event('failed')
    expect(mount.doorbell.ringAgain(mount.fd)).toBe(false)
    for (const name of ['a', 'b']) {
      expect((await mount.start('stat', mount.path(name)).end).output).toContain('Input/output error')
    }
    await mount.ended
    expect(mount.eventsOf('lookup')).toHaveLength(1)
    mount.close()
  })
})
