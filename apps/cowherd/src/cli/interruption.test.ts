import { afterEach, beforeEach, expect, test } from 'vitest'
import { Interruption } from './interruption.ts'

let interruption: Interruption
beforeEach(() => {
  interruption = new Interruption()
  interruption.watch()
  interruption.watch() // once is enough
})
afterEach(() => interruption.unwatch())

const signal = (): void => void process.kill(process.pid, 'SIGHUP')

test('who waits for something gets it', async () => {
  expect(await interruption.until(Promise.resolve(1))).toBe(1)
  await expect(interruption.until(Promise.reject(new Error('it failed')))).rejects.toThrow('it failed')
  await interruption.rest()
})

test('or a signal that comes first', async () => {
  const never = new Promise(() => undefined)
  setTimeout(signal, 20)
  await expect(interruption.until(never)).rejects.toThrow('interrupted')
  await expect(interruption.until(never)).rejects.toThrow('interrupted')
  await expect(interruption.rest()).rejects.toThrow('interrupted')
})
