import { expect, test } from 'vitest'
import { fillWithRandom } from './random.ts'

test('no bytes are given out twice', () => {
  const seen = new Set<string>()
  for (let i = 0; i < 5000; i++) {
    const bytes = new Uint8Array(8)
    fillWithRandom(bytes)
    seen.add(Buffer.from(bytes).toString('hex'))
  }
  expect(seen.size).toBe(5000)
  const much = new Uint8Array(10_000)
  fillWithRandom(much)
  expect(new Set(much).size).toBe(256)
  fillWithRandom(new Uint8Array(0))
})
