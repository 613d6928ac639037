import { NodeRef } from '@cowherd/fs'
import { describe, expect, test } from 'vitest'
import { LinkTable } from './link-table.ts'

const file = (number: number, subvolume = 1, high = 0): NodeRef => NodeRef.of(subvolume, high, number)
const path = (text: string): Buffer => Buffer.from(text)

describe('files with several names', () => {
  test('are known from their first name to their last', () => {
    const links = new LinkTable()
    expect(links.pathOf(file(7))).toBeUndefined()
    links.addCopy(file(7), 3, path('a/first'))
    expect(links.pathOf(file(7))).toEqual(path('a/first'))
    links.addLink(file(7))
    expect(links.pathOf(file(7))).toEqual(path('a/first'))
    expect(links.size).toBe(1)
    links.addLink(file(7))
    expect(links.pathOf(file(7))).toBeUndefined()
    expect(links.size).toBe(0)
    links.addLink(file(7)) // one more than there are, as damaged volumes may have
    expect(links.size).toBe(0)
  })

  test('that are copied again have the names to come linked to the new copy', () => {
    const links = new LinkTable()
    links.addCopy(file(7), 4, path('first'))
    links.addLink(file(7))
    links.addCopy(file(7), 4, path('another'))
    expect(links.pathOf(file(7))).toEqual(path('another'))
    links.addCopy(file(7), 4, path('last'))
    expect(links.size).toBe(0)
  })

  test('with one name, or none, are not kept', () => {
    const links = new LinkTable()
    for (const linkCount of [0, 1]) links.addCopy(file(7), linkCount, path('x'))
    expect(links.size).toBe(0)
  })

  test('are told apart by number and subvolume, whatever these are', () => {
    const links = new LinkTable()
    const files = [file(1), file(1, 2), file(1, 1, 1), file(0, 0), file(0xffffffff, 0xffffffff, 0xffffffff), file(2)]
    files.forEach((ref, i) => links.addCopy(ref, 2, path(`${i}`)))
    expect(files.map((ref) => links.pathOf(ref)?.toString())).toEqual(files.map((_, i) => `${i}`))
  })

  test('come and go in any order', () => {
    const links = new LinkTable()
    const known = new Map<number, { path: string; left: number }>()
    let state = 1
    const chance = (below: number): number => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0
      return (state >>> 8) % below
    }
    for (let step = 0; step < 100_000; step++) {
      const number = chance(3000)
      const found = known.get(number)
      expect(links.pathOf(file(number))?.toString()).toBe(found?.path)
      if (found === undefined) {
        const added = { path: `${step}`.padEnd(chance(300), 'x'), left: 1 + chance(3) }
        known.set(number, added)
        links.addCopy(file(number), added.left + 1, path(added.path))
      } else {
        links.addLink(file(number))
        if (--found.left === 0) known.delete(number)
      }
    }
    expect(links.size).toBe(known.size)
    for (const [number, { path }] of known) expect(links.pathOf(file(number))?.toString()).toBe(path)
  })
})

describe('memory', () => {
  const PATH = path('a/path/of/sixty/bytes/'.padEnd(60, 'x'))

  test('is little for each file, and is given back', () => {
    const links = new LinkTable()
    for (let i = 0; i < 100_000; i++) links.addCopy(file(i), 2, PATH)
    expect(links.bytes / 100_000).toBeLessThan(60 + 4 + 64 + 3)
    for (let i = 0; i < 100_000; i++) links.addLink(file(i))
    expect(links.size).toBe(0)
    const table = 2 ** 18 * 24
    expect(links.bytes).toBeLessThanOrEqual(table + 2 ** 18)
  })

  test('is used again where names follow each other', () => {
    const links = new LinkTable()
    for (let i = 0; i < 20_000; i++) {
      links.addCopy(file(i), 2, PATH)
      links.addLink(file(i))
    }
    expect(links.bytes).toBeLessThan(2 ** 18 + 2 ** 12)
  })

  test('takes paths of any length', () => {
    const links = new LinkTable()
    const long = Buffer.alloc(600_000, 'long')
    links.addCopy(file(1), 2, PATH)
    links.addCopy(file(2), 2, long)
    links.addCopy(file(3), 2, PATH)
    expect(links.pathOf(file(2))).toEqual(long)
    expect(links.pathOf(file(3))).toEqual(PATH)
  })
})
