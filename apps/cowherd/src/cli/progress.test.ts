import { expect, test } from 'vitest'
import { barText, durationText, NO_PROGRESS, progressBar } from './progress.ts'

const MIB = 1 << 20

test('part, sizes, rate and time left', () => {
  expect(barText(256 * MIB, 1024 * MIB, 2000, 100)).toBe(
    `[${'='.repeat(10)}${' '.repeat(30)}]  25%  256 MiB of 1.00 GiB  128 MiB/s  6 s left`,
  )
  expect(barText(256 * MIB, 1024 * MIB, 2000, 40)).toBe(' 25%  256 MiB of 1.00 GiB  128 MiB/s  6 s left')
  expect(barText(0, 100, 0, 80)).toContain('0%  0 B of 100 B  0 B/s  ')
  expect(['59.4', '61', '3700'].map((seconds) => durationText(Number(seconds)))).toEqual([
    '59 s',
    '1 min 1 s',
    '1 h 1 min',
  ])
})

test('nothing is drawn but on a terminal', () => {
  expect(progressBar(100, { write: () => true })).toBe(NO_PROGRESS)
  expect(progressBar(0, { isTTY: true, write: () => true })).toBe(NO_PROGRESS)
})

test('the bar is drawn now and then, and removed', async () => {
  let drawn = ''
  const terminal = { isTTY: true, columns: 80, write: (text: string) => (drawn += text) }
  const progress = progressBar(100, terminal)
  progress.add(10)
  progress.clear()
  expect(drawn).toBe('')
  await new Promise((resolve) => setTimeout(resolve, 120))
  progress.add(10)
  expect(drawn).toContain('20%')
  progress.clear()
  expect(drawn.endsWith('\r\x1b[K')).toBe(true)
})

test('where the total is not known, what is done is shown', async () => {
  const shown: string[] = []
  const progress = progressBar(undefined, { isTTY: true, write: (text) => shown.push(text) })
  await new Promise((resolve) => setTimeout(resolve, 120))
  progress.add(3 << 20)
  progress.clear()
  expect(shown).toEqual([expect.stringMatching(/3\.00 MiB {2}[\d.]+ MiB\/s$/), '\r\x1b[K'])
})
