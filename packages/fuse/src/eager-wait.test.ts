import { expect, test } from 'vitest'
import { EagerWait } from './eager-wait.ts'

/** A clock that goes on by a microsecond with each look, and requests that come after a while. Returns how often it was looked. */
function eager(): (afterMs: number) => number {
  let now = 0
  let comesAt = 0
  let looks = 0
  const isReady = (): boolean => {
    looks++
    now += 0.001
    return now >= comesAt
  }
  const waiting = new EagerWait(isReady, () => now)
  return (afterMs) => {
    looks = 0
    comesAt = now + afterMs
    if (waiting.look()) return looks
    now = Math.max(now, comesAt)
    waiting.slept()
    return looks
  }
}

test('what comes at once is waited for without sleeping', () => {
  const waited = eager()
  for (let i = 0; i < 10; i++) expect(waited(0.02)).toBeLessThan(25)
})

test('what does not come is looked for a moment only, each time', () => {
  const waited = eager()
  for (let i = 0; i < 10; i++) expect(waited(500)).toBeLessThan(55)
})

test('where looking is in vain, it is done less and less, and again when it pays', () => {
  const waited = eager()
  let looks = 0
  for (let i = 0; i < 1000; i++) looks += Math.sign(waited(0.2))
  expect(looks).toBeLessThan(15)
  looks = 0
  for (let i = 0; i < 1000; i++) looks += Math.sign(waited(0.02))
  expect(looks).toBeGreaterThan(700)
})
