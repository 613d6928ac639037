/** What `-o` asks for, as it shows on a mounted volume. */

import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { fixture, fuseAvailable } from '@cowherd/fixtures'
import { referee } from '@cowherd/referee'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FILE_WITH_LIST, volumeWithDenyingAcl } from '../testing/patched-volume.ts'
import { MountPlace } from '../testing/mount-place.ts'
import { parseMountPlan } from './mount-options.ts'

const SOAK = process.env['COWHERD_SOAK'] === '1'
const DEFAULTS = { missing: 'none', norecovery: false, nolock: false, access: 'write-if-possible', threads: 1 }
const NONE = { ...DEFAULTS, writesThrough: false, times: {}, kernel: [] }
const UNSAID = { readOnlyBy: undefined, journalFlushDelayMs: undefined, subvolume: undefined, cacheBytes: undefined }

test('reading the words', () => {
  expect(parseMountPlan([])).toEqual({ ...NONE, ...UNSAID })
  expect(parseMountPlan(['ro,degraded,norecovery', 'nolock,subvol=a=b,cache_size=256K'])).toMatchObject({
    access: 'read',
    readOnlyBy: undefined,
    missing: 'degraded',
    norecovery: true,
    nolock: true,
    subvolume: 'a=b',
    cacheBytes: 256 << 10,
  })
  expect(parseMountPlan(['very_degraded,degraded']).missing).toBe('very_degraded')
  expect(parseMountPlan(['attr_timeout=0,entry_timeout=1.5,negative_timeout=99999999999']).times).toEqual({
    attrSeconds: 0,
    entrySeconds: 1.5,
    negativeSeconds: 1 << 30,
  })
  expect(parseMountPlan(['cache_size=3']).cacheBytes).toBe(3)
  expect(parseMountPlan(['cache_size=2g']).cacheBytes).toBe(2 ** 31)
  const processors = Math.min(availableParallelism(), 8)
  for (const [option, threads] of [
    ['threads=1', 1],
    ['threads=64', 64],
    ['threads', processors],
    ['threads=0', processors],
    ['threads=5,ro', 5],
  ] as const) {
    expect(parseMountPlan([option]).threads).toBe(threads)
  }
  for (const option of ['threads=65', 'threads=-1', 'threads=', 'threads=two', 'threads=1.5']) {
    expect(() => parseMountPlan([option])).toThrow(`-o ${option}: a number of threads is wanted, 1 to 64`)
  }
  // who lets others in has the files' rights checked
  expect(parseMountPlan(['ro,allow_other']).kernel).toEqual(['allow_other', 'default_permissions'])
  expect(parseMountPlan(['ro,noatime,max_read=4096,noatime']).kernel).toEqual(['noatime', 'max_read=4096'])
  // words of /etc/fstab for others
  const fstab = 'defaults,auto,noauto,user,nofail,_netdev,x-systemd.automount,X-mount.mkdir,comment=x,'
  expect(parseMountPlan([fstab])).toMatchObject(NONE)
})

test('reading or writing', () => {
  const accessOf = (options: string): unknown[] => {
    const { access, readOnlyBy } = parseMountPlan([options])
    return [access, readOnlyBy]
  }
  for (const options of ['ro', 'read_only', 'nochanges', 'rw,ro', 'ro,norecovery']) {
    expect(accessOf(options)).toEqual(['read', undefined])
  }
  for (const options of ['rw', 'ro,rw']) expect(accessOf(options)).toEqual(['write', undefined])
  expect(accessOf('degraded')).toEqual(['write-if-possible', undefined])
  expect(accessOf('norecovery')).toEqual(['read', 'norecovery'])
  expect(accessOf('nolock')).toEqual(['read', 'nolock'])
  for (const obstacle of ['norecovery', 'nolock']) {
    expect(() => parseMountPlan([`rw,${obstacle}`])).toThrow(`-o rw: a volume is only read with ${obstacle}`)
  }
  expect(parseMountPlan(['writethrough,journal_flush_delay=200'])).toMatchObject({
    ...{ writesThrough: true, journalFlushDelayMs: 200 },
  })
  for (const value of ['', '0', '-1', '1.5', 'soon', '9999999999']) {
    expect(() => parseMountPlan([`journal_flush_delay=${value}`])).toThrow('a number of milliseconds is wanted')
  }
  expect(parseMountPlan(['sync,dirsync']).kernel).toEqual(['sync', 'dirsync'])
})

let place: MountPlace
beforeEach(() => {
  place = new MountPlace()
})
afterEach(() => place[Symbol.asyncDispose]())

/** The manifest of a part of a golden volume, as if it were a volume of its own. */
function partOf(name: string, prefix: string): string[] {
  return linesOf(name)
    .filter((line) => line.startsWith(`${prefix}\t`) || line.startsWith(`${prefix}/`))
    .map((line) => line.slice(prefix.length).replace(/^\//, '').replace(/^\t/, '.\t'))
}

function linesOf(name: string): string[] {
  return readFileSync(fixture(name).manifest, 'utf8').trimEnd().split('\n')
}

async function shown(path = ''): Promise<string[]> {
  return (await referee.manifest(join(place.directory, path))).trimEnd().split('\n')
}

describe.skipIf(!fuseAvailable() || !referee.available())('which volume, and how it is opened', () => {
  test.each(['snap1', 'snap1-1', 'snap2-ro', 'vol'])('subvol=%s', async (subvolume) => {
    await place.mount(place.volume('snapshots'), ['-o', `ro,subvol=${subvolume}`])
    expect(await shown()).toEqual(partOf('snapshots', subvolume))
  })

  test('norecovery on an unclean volume shows what lies there', async () => {
    const volume = place.volume('unclean')
    await place.mount(volume, ['-o', 'ro,norecovery'])
    const { out } = await place.cowherd(['manifest', '-o', 'norecovery', volume])
    expect(out.trimEnd().split('\n')).not.toEqual(linesOf('unclean'))
    expect(await shown()).toEqual(out.trimEnd().split('\n'))
  })

  test('degraded, with a device missing', async () => {
    const [, second = ''] = place.volume('replicas').split(':')
    await place.mount(second, ['-o', 'ro,degraded'])
    expect(await shown()).toEqual(linesOf('replicas'))
  })

  test('several devices in any order', async () => {
    const [first = '', second = '', third = ''] = place.volume('striped').split(':')
    await place.mount([third, first, second].join(':'))
    expect(await shown()).toEqual(linesOf('striped'))
  })

  test('a passphrase from a file, from standard input', { timeout: 120_000 }, async () => {
    const volume = place.volume('encrypted')
    await place.mount(volume, ['--passphrase-file', '-'], { input: 'cowherd\n' })
    expect((await place.shell('ls "$m" | wc -l')).out).not.toBe('0\n')
    await place.cowherd(['umount', place.directory])
    await place.run('sh', ['-c', 'echo cowherd > "$0"', place.path('secret')])
    await place.mount(volume, ['--passphrase-file', place.path('secret')])
    expect((await place.shell('ls "$m" | wc -l')).out).not.toBe('0\n')
  })
})

describe.skipIf(!fuseAvailable())('who may look', () => {
  const as = (uid: number, line: string) => place.shell(`setpriv --reuid ${uid} --regid ${uid} --clear-groups ${line}`)

  test('others are kept out, all of them', async () => {
    await place.run('chmod', ['755', place.folder])
    await place.mount(place.volume('default'))
    expect((await as(65534, 'ls "$m"')).err).toContain('Permission denied')
  })

  test('allow_other lets them in with their rights, access control lists among them', async () => {
    await place.run('chmod', ['755', place.folder])
    await place.mount(volumeWithDenyingAcl(place), ['-o', 'ro,allow_other'])
    const reads = async (path: string, uid: number) => (await as(uid, `cat "$m/${path}"`)).code === 0
    expect((await as(65534, 'ls "$m"')).out).toBe('lost+found\nmany\ntree\n')
    expect((await as(65534, 'ls "$m/lost+found"')).err).toContain('Permission denied') // drwx------
    expect(await reads('many/file-00000', 65534)).toBe(true) // -rw-r--r--
    expect(await reads(FILE_WITH_LIST, 65533)).toBe(true)
    expect(await reads(FILE_WITH_LIST, 65534)).toBe(false)
  })

  test('root is told what can be executed', async () => {
    await place.mount(place.volume('default'), ['-o', 'ro'])
    expect(
      (await place.shell('cd "$m/tree"; test -r one; echo $?; test -x one; echo $?; test -x mid; echo $?')).out,
    ).toBe('0\n0\n1\n')
  })

  test('what the kernel is told stands in the table of mounts', async () => {
    await place.mount(place.volume('default'), ['-o', 'ro,noatime,allow_other,suid', '-o', 'dev'])
    const line = (await place.run('findmnt', ['-n', '-o', 'FSTYPE,OPTIONS', place.directory])).out
    expect(line).toMatch(/^fuse.cowherd\s+ro,noatime,user_id=0,group_id=0,default_permissions,allow_other/)
  })
})

describe.skipIf(!fuseAvailable())('caches', () => {
  test('the kernel asks again when times are 0, and does not when they are not', async () => {
    const looks = 'for i in 1 2 3 4 5; do stat "$m/many/file-00000" "$m/none"; done > /dev/null 2>&1; true'
    const lookups = async (words: readonly string[]): Promise<number> => {
      await place.mount(place.volume('default'), words)
      await place.shell(looks)
      const { operations } = await place.inspect()
      await place.cowherd(['umount', place.directory])
      return operations.find(({ operation }) => operation === 'lookup')?.count ?? 0
    }
    expect(await lookups(['-o', 'ro'])).toBe(3) // many, file-00000, none
    expect(await lookups(['-o', 'ro,attr_timeout=0,entry_timeout=0,negative_timeout=0'])).toBe(15)
    expect(await lookups(['-o', 'ro,negative_timeout=0'])).toBe(7)
  })

  test.skipIf(!referee.available())(
    'many processes walk through a cache that is far too small',
    { timeout: 180_000 },
    async () => {
      const expected = partOf('small-nodes', 'many')
      // for a long time the kernel is to ask again and again, for a short one what it sees first is enough
      const options = SOAK ? 'ro,cache_size=512K,attr_timeout=0,entry_timeout=0' : 'ro,cache_size=512K'
      await place.mount(place.volume('small-nodes'), ['-o', options])
      const walk = async (): Promise<void> => {
        do expect(await shown('many')).toEqual(expected)
        while (Date.now() < deadline)
      }
      const deadline = Date.now() + (SOAK ? 60_000 : 0)
      await Promise.all(Array.from({ length: 16 }, walk))
      const { engine, openRequests } = await place.inspect()
      expect(engine.nodeCache.evictions).toBeGreaterThan(0)
      expect(openRequests).toEqual([])
    },
  )
})
