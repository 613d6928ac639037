/** Every golden volume, mounted: what the kernel shows of it is what Linux showed, and nothing was written. */

import { readFileSync, writeFileSync } from 'node:fs'
import { fixture, fixtureNames, fuseAvailable } from '@cowherd/fixtures'
import { referee } from '@cowherd/referee'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { modularProgram } from '../testing/built.ts'
import { imageState } from '../testing/image-state.ts'
import { MountPlace, NOTHING, until } from '../testing/mount-place.ts'

let place: MountPlace
beforeEach(() => {
  place = new MountPlace()
})
afterEach(() => place[Symbol.asyncDispose]())

/** Deriving the key of an encrypted volume alone takes a second or two. */
const SLOW = { timeout: 120_000 }

describe.skipIf(!fuseAvailable() || !referee.available())('golden volumes', () => {
  test.each(fixtureNames())('%s is as Linux showed it', SLOW, async (name) => {
    const volume = place.volume(name)
    const before = volume.split(':').map(imageState)
    const server = await place.mount(volume, [], { env: environmentFor(name) })
    expect(await shown()).toEqual(expectedOf(name))

    const seen = (await place.inspect()).engine
    expect(seen.nodes.count).toBeGreaterThan(1)
    expect(await forgotten()).toEqual({ count: 1, lookups: 0 })
    expect(await place.cowherd(['umount', place.directory])).toEqual({ code: 0, out: '', err: '' })
    expect(await place.left(server)).toEqual(NOTHING)
    expect(volume.split(':').map(imageState)).toEqual(before)
  })

  test.each(fixtureNames())('%s by two threads, which have next to no cache', SLOW, async (name) => {
    const options = ['-o', 'ro,threads=2,cache_size=1']
    const server = await place.mount(place.volume(name), options, { env: environmentFor(name) })
    expect(await shown()).toEqual(expectedOf(name))
    expect(await place.shell('umount "$m"')).toEqual({ code: 0, out: '', err: '' })
    expect(await place.left(server)).toEqual(NOTHING)
  })

  test('the program of many modules, which finds its engine in its package', async () => {
    const program = modularProgram()
    const words = ['mount', '-o', 'ro', place.volume('default'), place.directory]
    expect(await place.run(process.execPath, [program, ...words])).toEqual({ code: 0, out: '', err: '' })
    expect((await referee.manifest(place.directory)).trimEnd().split('\n')).toHaveLength(327)
    const server = place.server()
    expect((await place.run(process.execPath, [program, 'umount', place.directory])).code).toBe(0)
    expect(await place.left(server)).toEqual(NOTHING)
  })

  function environmentFor(name: string): Record<string, string> {
    const { passphrase } = fixture(name)
    return passphrase === undefined ? {} : { COWHERD_PASSPHRASE: passphrase }
  }

  async function shown(): Promise<string[]> {
    return (await referee.manifest(place.directory)).split('\n')
  }

  function expectedOf(name: string): string[] {
    return readFileSync(fixture(name).manifest, 'utf8').split('\n')
  }

  /** What the engine still knows when the kernel has been told to forget. */
  async function forgotten(): Promise<unknown> {
    let nodes: { count: number; lookups: number } | undefined
    await until(async () => {
      writeFileSync('/proc/sys/vm/drop_caches', '2\n')
      nodes = (await place.inspect()).engine.nodes
      return nodes?.count === 1
    }, 20_000)
    return nodes && { count: nodes.count, lookups: nodes.lookups }
  }
})
