import { fuseAvailable } from '@cowherd/fixtures'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Notifier } from './notifier.ts'
import { codedError, MemoryTransport } from './testing/memory-transport.ts'
import { ServedMount } from './testing/served-mount.ts'

const name = (text: string): Uint8Array => new TextEncoder().encode(text)
const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex')

describe('messages', () => {
  const messages: [string, number, (notifier: Notifier) => boolean, body: string][] = [
    ['pollWakeup', 1, (to) => to.pollWakeup(0xffff_ffff_ffff_fffen), 'feffffffffffffff'],
    ['invalidateInode', 2, (to) => to.invalidateInode(2 ** 40), `${'0000000000010000'}${'00'.repeat(16)}`],
    ['invalidateInode', 2, (to) => to.invalidateInode(1, -1, 5), `0100000000000000${'ff'.repeat(8)}0500000000000000`],
    ['invalidateEntry', 3, (to) => to.invalidateEntry(1, name('ab')), '01000000000000000200000000000000616200'],
    ['invalidateEntry', 3, (to) => to.invalidateEntry(1, name('ab'), true), '01000000000000000200000001000000616200'],
    [
      'store',
      4,
      (to) => to.store(3, 4096, Uint8Array.of(7, 8)),
      '030000000000000000100000000000000200000000000000' + '0708',
    ],
    [
      'retrieve',
      5,
      (to) => to.retrieve(9, 3, 4096, 16),
      '0900000000000000030000000000000000100000000000001000000000000000',
    ],
    ['deleteEntry', 6, (to) => to.deleteEntry(1, 2, name('a')), '0100000000000000020000000000000001000000000000006100'],
    ['resend', 7, (to) => to.resend(), ''],
    ['incrementEpoch', 8, (to) => to.incrementEpoch(), ''],
    ['prune', 9, (to) => to.prune([2, 2 ** 33]), `02000000${'00'.repeat(12)}02000000000000000000000002000000`],
  ]

  test.each(messages)('%s', (_, code, send, body) => {
    const transport = new MemoryTransport()
    expect(send(new Notifier(transport))).toBe(true)
    const [message] = transport.written
    expect(message).toMatchObject({ length: 16 + body.length / 2, error: code, unique: 0n })
    expect(hex(message?.body)).toBe(body)
  })

  test('false where the kernel knows nothing of it; other errors are errors', () => {
    for (const code of ['ENOENT', 'ENOTDIR', 'ENOTEMPTY', 'EBUSY', 'ENODEV', 'ECONNABORTED']) {
      const transport = new MemoryTransport()
      transport.writeFailures.push(code)
      expect(new Notifier(transport).invalidateInode(5)).toBe(false)
    }
    const transport = new MemoryTransport()
    transport.writeFailures.push('EINVAL')
    expect(() => new Notifier(transport).incrementEpoch()).toThrow(codedError('EINVAL'))
  })
})

describe.skipIf(!fuseAvailable())('the kernel', () => {
  let mount: ServedMount

  beforeEach(async () => {
    mount = await ServedMount.start()
  })
  afterEach(() => mount[Symbol.asyncDispose]())

  /** The node of a name that was looked up: they are numbered as they come. */
  const FIRST_NODE = 2
  const lookups = (): unknown[] => mount.eventsOf('lookup').map(([, name]) => name)

  test('invalidateInode: changed content is seen after it, not before', async () => {
    mount.write('one')
    expect(await mount.cat('file')).toBe('one')
    mount.write('two!')
    expect(await mount.cat('file')).toBe('one')
    expect(mount.eventsOf('read')).toHaveLength(1)
    expect(mount.notifier.invalidateInode(FIRST_NODE, -1)).toBe(true)
    expect(mount.notifier.invalidateInode(FIRST_NODE)).toBe(true)
    expect(await mount.cat('file')).toBe('two!')
    expect(mount.notifier.invalidateInode(4711)).toBe(false)
  })

  test.each([false, true])('invalidateEntry: the name is asked for again (expireOnly: %s)', async (expireOnly) => {
    await mount.stat('file')
    await mount.stat('file')
    expect(lookups()).toEqual(['file'])
    expect(mount.notifier.invalidateEntry(1, name('file'), expireOnly)).toBe(true)
    expect(await mount.stat('file')).toBe('regular file')
    expect(lookups()).toEqual(['file', 'file'])
    expect(mount.notifier.invalidateEntry(1, name('never'), expireOnly)).toBe(false)
    expect(mount.notifier.invalidateEntry(4711, name('file'), expireOnly)).toBe(false)
  })

  test('deleteEntry: the name is gone, if it led to that node', async () => {
    await mount.stat('file')
    expect(mount.notifier.deleteEntry(1, FIRST_NODE + 1, name('file'))).toBe(false)
    await mount.stat('file') // the name was dropped nevertheless
    expect(lookups()).toEqual(['file', 'file'])
    expect(mount.notifier.deleteEntry(1, FIRST_NODE, name('file'))).toBe(true)
    expect(await mount.event('forget')).toEqual(['forget', 'file', expect.any(Number)])
    expect(await mount.stat('file')).toBe('regular file')
    expect(lookups().at(-1)).toBe('file')
    expect(lookups().length).toBeGreaterThan(1)
  })

  test('store, then retrieve: the cache has what it was given', async () => {
    mount.write('from the server')
    await mount.stat('file')
    expect(mount.notifier.store(FIRST_NODE, 0, name('from the thread'))).toBe(true)
    expect(await mount.cat('file')).toBe('from the thread')
    expect(mount.eventsOf('read')).toEqual([])
    expect(mount.notifier.retrieve(2 ** 40 + 1, FIRST_NODE, 5, 100)).toBe(true)
    expect(await mount.event('retrieved')).toEqual(['retrieved', 2 ** 40 + 1, FIRST_NODE, 5, 'the thread'])
    expect(mount.notifier.store(4711, 0, name('x'))).toBe(false)
    expect(mount.notifier.retrieve(1, 4711, 0, 1)).toBe(false)
  })

  test('retrieve of what is not cached: nothing comes of it', async () => {
    await mount.stat('file')
    expect(mount.notifier.retrieve(1, FIRST_NODE, 0, 100)).toBe(true)
    expect(await mount.event('retrieved')).toEqual(['retrieved', 1, FIRST_NODE, 0, ''])
  })

  test('incrementEpoch: all names are asked for again', async (context) => {
    if (mount.kernelMinor < 44) return context.skip(`the kernel speaks FUSE 7.${mount.kernelMinor}`)
    for (const name of ['file', 'other', 'file', 'other']) await mount.stat(name)
    expect(lookups()).toEqual(['file', 'other'])
    expect(mount.notifier.incrementEpoch()).toBe(true)
    for (const name of ['file', 'other']) expect(await mount.stat(name)).toBe('regular file')
    expect(lookups()).toEqual(['file', 'other', 'file', 'other'])
  })

  test('prune: what nobody uses is forgotten', async (context) => {
    if (mount.kernelMinor < 45) return context.skip(`the kernel speaks FUSE 7.${mount.kernelMinor}`)
    for (const name of ['file', 'other']) await mount.stat(name)
    expect(mount.notifier.prune([FIRST_NODE + 1, 4711])).toBe(true)
    expect(await mount.event('forget')).toEqual(['forget', 'other', 1])
    expect(mount.eventsOf('forget')).toHaveLength(1)
  })

  test('resend: a request comes again, marked; the first needs no answer any more', async (context) => {
    if (mount.kernelMinor < 40) return context.skip(`the kernel speaks FUSE 7.${mount.kernelMinor}`)
    const waiting = mount.start('stat', mount.path('later-a'))
    await mount.deferrals(1)
    expect(mount.notifier.resend()).toBe(true)
    const [first, again] = await mount.deferrals(2)
    if (first === undefined || again === undefined) return expect.unreachable()
    expect([again.uniqueHi - first.uniqueHi, again.uniqueLo]).toEqual([0x8000_0000, first.uniqueLo])
    expect(mount.reply.to(first).error('EIO')).toBe(false)
    expect(mount.reply.to(again).error('ENOTEMPTY')).toBe(true)
    expect((await waiting.end).output).toContain('not empty')
  })

  test('pollWakeup: nobody need be waiting', () => {
    expect(mount.notifier.pollWakeup(1n)).toBe(true)
  })

  test('the doorbell wakes the thread, once it knows a file', async () => {
    expect(mount.doorbell.ring(mount.fd)).toBe(false)
    expect(mount.eventsOf('doorbell')).toEqual([])
    await mount.start('stat', '-f', mount.directory).end // any request wakes it
    expect(await mount.event('doorbell')).toEqual(['doorbell'])
    await mount.stat('file')
    for (let rings = 2; rings < 10; rings++) {
      const from = mount.events.length
      expect(mount.doorbell.ring(mount.fd)).toBe(true)
      await mount.event('doorbell', from)
    }
    expect(mount.eventsOf('doorbell')).toHaveLength(9)
    expect(mount.eventsOf('retrieved')).toEqual([])
  })

  test('the doorbell does not ring for a file that is forgotten, nor for one whose number is a directory now', async () => {
    await mount.stat('file')
    expect(mount.notifier.deleteEntry(1, FIRST_NODE, name('file'))).toBe(true)
    await mount.event('forget')
    expect(mount.doorbell.ring(mount.fd)).toBe(false)
    mount.doorbell.remember(1)
    expect(mount.doorbell.ring(mount.fd)).toBe(false)
  })
})
