/** mount(8) mounts a volume by `mount.fuse.cowherd`, from its own words and from a table. All of it where the mounts are the test's own. */

import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fuseAvailable } from '@cowherd/fixtures'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { MountPlace, NOTHING } from './testing/mount-place.ts'

let place: MountPlace
beforeEach(() => {
  place = new MountPlace()
})
afterEach(() => place[Symbol.asyncDispose]())

test('without a directory it says how it is called', async () => {
  const helper = join(dirname(place.program), 'mount-helper.js')
  for (const words of [[], ['--help'], ['volume']]) {
    const { code, out, err } = await place.run(process.execPath, [helper, ...words])
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toMatch(/^Usage: mount.fuse.cowherd SOURCE DIRECTORY .*\n$/)
  }
})

/**
 * Runs a script of shell, with the helper in a copy of /sbin that only the script sees. `$m` is the directory, `$v` the volume.
 * Its mounts end with it.
 */
async function script(volume: string, lines: string): Promise<string> {
  const helper = join(dirname(place.program), 'mount-helper.js')
  const prologue = `set -eu
    mkdir -p "$sbin" && mount -t tmpfs none "$sbin" && cp -a /sbin/. "$sbin"
    printf '#!/bin/sh\\nexec "%s" "%s" "$@"\\n' "$node" "$helper" > "$sbin/mount.fuse.cowherd"
    chmod 755 "$sbin/mount.fuse.cowherd"
    mount --bind "$sbin" "$(readlink -f /sbin)"
    `
  const env = { m: place.directory, v: volume, sbin: place.path('sbin'), node: process.execPath, helper }
  const words = ['-m', '--propagation', 'private', 'sh', '-c', prologue + lines]
  const { code, out, err } = await place.run('unshare', words, { env })
  expect({ code, err }).toEqual({ code: 0, err: '' })
  return out
}

const SHOW = `
    findmnt -n -o SOURCE,FSTYPE,OPTIONS "$m"
    ls "$m"
    umount "$m"
`

describe.skipIf(!fuseAvailable())('mount.fuse.cowherd', () => {
  test('mount -t fuse.cowherd', async () => {
    const volume = place.volume('default')
    const out = await script(volume, `mount -t fuse.cowherd "$v" "$m" -o ro,noatime,allow_other ${SHOW}`)
    expect(out.replace(/ +/g, ' ').split('\n')).toEqual([
      expect.stringMatching(`^${volume} fuse.cowherd ro,nosuid,nodev,noatime,user_id=0,group_id=0,.*allow_other`),
      ...['lost+found', 'many', 'tree', ''],
    ])
    expect(await place.left(0)).toEqual(NOTHING)
  })

  test('without options, several devices, a trial', async () => {
    const volume = place.volume('replicas')
    const out = await script(volume, `mount -f -t fuse.cowherd "$v" "$m"; mount -t fuse.cowherd "$v" "$m" ${SHOW}`)
    expect(out.split('\n')[0]).toContain(`${volume} fuse.cowherd rw,`)
    expect(await place.left(0)).toEqual(NOTHING)
  })

  test('a line of a table', async () => {
    const volume = place.volume('snapshots')
    const table = place.path('fstab')
    writeFileSync(
      table,
      `${volume} ${place.directory} fuse.cowherd noauto,nofail,ro,subvol=snap2-ro,x-systemd.automount 0 0\n`,
    )
    const out = await script(volume, `mount -T "${table}" "$m" ${SHOW}`)
    expect(out.split('\n').slice(1)).toEqual(['t', ''])
    const all = await script(volume, `sed -i s/noauto,// "${table}"; mount -T "${table}" -a ${SHOW}`)
    expect(all.split('\n').slice(1)).toEqual(['t', ''])
    expect(await place.left(0)).toEqual(NOTHING)
  })

  test('what it can not do fails with a line', async () => {
    const out = await script(place.path('none'), `mount -t fuse.cowherd "$v" "$m" 2>&1 || echo "status $?"`)
    expect(out).toBe(`cowherd: ${place.path('none')}: no such file or device\nstatus 3\n`)
  })
})
