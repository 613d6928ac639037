import { fixture } from '@cowherd/fixtures'
import { expect, test } from 'vitest'
import { cowherd } from '../testing/command-line.ts'

const volumeOf = (name: string): string => fixture(name).devices.join(':')

test('entries of an unclean volume, in the words of the reference tool', async () => {
  const { code, out, err } = await cowherd(['list-journal', volumeOf('unclean-early')])
  expect([code, err]).toEqual([0, ''])
  expect(out).toMatch(/^journal entry {5}\d+\n {2}version {9}1037\n {2}last seq {8}\d+\n {2}flush {11}[01]\n/)
  expect(out).toMatch(/\n {2}written at {6}0:\d+:\d+ \(sector \d+\)\n/)
  expect(out).toMatch(/\n\n {4}log: /)
  expect(out).toMatch(/\n {4}btree_keys: btree=\w+ l=0 u64s /)
  const all = await cowherd(['list-journal', '-a', volumeOf('unclean-early')])
  expect(all.out.endsWith(out)).toBe(true)
  expect(all.out).toMatch(/^journal entry {5}1\n/)
})

test('as JSON, and the newest only', async () => {
  const { code, out } = await cowherd(['list-journal', '-a', '-n', '2', '--json', volumeOf('replicas')])
  expect(code).toBe(0)
  const entries: unknown = JSON.parse(out)
  expect(entries).toHaveLength(2)
  expect(entries).toMatchObject([{ flush: expect.any(Boolean) as boolean }, { copies: [{ checksumGood: true }, {}] }])
  expect((await cowherd(['list-journal', '-n', '0', volumeOf('replicas')])).code).toBe(2)
})
