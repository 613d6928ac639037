import { expect, test } from 'vitest'
import { writeThroughHeadLast } from './block-device.ts'

/** What is written through, in order: where, and how much. */
function writes(bytes: number, headBytes: number): [offset: number, length: number][] {
  const seen: [number, number][] = []
  const source = Uint8Array.from({ length: bytes }, (_, i) => i)
  const written = new Uint8Array(bytes)
  const writeThrough = (part: Uint8Array, offset: number): void => {
    seen.push([offset, part.length])
    written.set(part, offset - 1000)
  }
  writeThroughHeadLast({ writeThrough }, source, 1000, headBytes)
  expect(written).toEqual(source)
  return seen
}

test('the head is written when the rest is', () => {
  expect(writes(100, 10)).toEqual([
    [1010, 90],
    [1000, 10],
  ])
})

test('what is all head, or has none, is written at once', () => {
  expect([writes(100, 0), writes(100, 100), writes(100, 512)]).toEqual([[[1000, 100]], [[1000, 100]], [[1000, 100]]])
})
