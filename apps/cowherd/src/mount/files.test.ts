/** What programs see of files on a mount beyond what the golden volumes' manifests tell: holes, birth times, names that can't be. */

import { readFileSync } from 'node:fs'
import { fixture, fuseAvailable } from '@cowherd/fixtures'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { MountPlace } from '../testing/mount-place.ts'
import { volumeWithSlashInName } from '../testing/patched-volume.ts'

let place: MountPlace
beforeEach(() => {
  place = new MountPlace()
})
afterEach(() => place[Symbol.asyncDispose]())

/** Names in the directory `many` of the volume `default`, as Linux showed them. */
const NAMES = readFileSync(fixture('default').manifest, 'utf8').match(/^many\/[^\t]+/gm) ?? []

describe.skipIf(!fuseAvailable())('on a mount', () => {
  test('holes are found, and copied as holes', async () => {
    await place.mount(place.volume('default'))
    const copy = place.path('copy')
    const { code, out } = await place.shell(
      `cp --sparse=auto "$m/tree/sparse" ${copy} && cmp "$m/tree/sparse" ${copy} && stat -c '%s %b' "$m/tree/sparse" ${copy}`,
    )
    expect(code).toBe(0)
    const [original, copied] = out
      .trim()
      .split('\n')
      .map((line) => line.split(' ').map(Number))
    expect(copied?.[0]).toBe(original?.[0])
    expect(copied?.[1]).toBeLessThan((copied?.[0] ?? 0) / 512 / 2)
    const { operations } = await place.inspect()
    expect(operations.find(({ operation }) => operation === 'lseek')?.count).toBeGreaterThan(2)
  })

  test('birth times are told', async () => {
    const volume = place.volume('default')
    await place.mount(volume)
    const { out } = await place.shell(`stat -c '%W %w' "$m/tree/sparse"`)
    const shown = await place.cowherd(['stat', '--json', volume, '/tree/sparse'])
    const [seconds = '', text = ''] = out.trim().split(/ (.*)/)
    const [{ birth } = { birth: '' }] = JSON.parse(shown.out) as { birth: string }[]
    expect(Number(seconds)).toBe(Math.floor(Date.parse(birth) / 1000))
    expect(text).toContain(`${/\.\d{9}/.exec(birth)?.[0]} `)
    const { operations } = await place.inspect()
    expect(operations.find(({ operation }) => operation === 'statx')).toMatchObject({ errors: 0 })
  })

  test('a name with a slash in it is left out, and the directory lists on', async () => {
    expect(NAMES).toContain('many/file-00005')
    await place.mount(volumeWithSlashInName(place))
    for (const list of ['ls -f', 'ls -l']) {
      const { code, out, err } = await place.shell(`${list} "$m/many" | grep -c file`)
      expect({ code, out, err }).toEqual({ code: 0, out: `${NAMES.length - 1}\n`, err: '' })
    }
  })
})
