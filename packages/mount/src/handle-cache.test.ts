import { expect, test } from 'vitest'
import { HandleCache } from './handle-cache.ts'

function counted(limit: number) {
  const made: number[] = []
  const cache = new HandleCache(limit, (node) => {
    made.push(node)
    return { node }
  })
  return { cache, made }
}

test('what belongs to a node is made once', () => {
  const { cache, made } = counted(2)
  const first = cache.get(1, 0)
  cache.get(2, 0)
  expect(cache.get(1, 0)).toBe(first)
  expect(made).toEqual([1, 2])
  expect(cache.size).toBe(2)
})

test('the least recently used is given up', () => {
  const { cache, made } = counted(2)
  for (const node of [1, 2, 1, 3, 1, 2]) expect(cache.get(node, 0)).toEqual({ node })
  expect(made).toEqual([1, 2, 3, 2])
  expect(cache.size).toBe(2)
})

test('what is dropped is made anew', () => {
  const { cache, made } = counted(2)
  cache.get(1, 0)
  cache.drop(1)
  cache.drop(7)
  expect(cache.size).toBe(0)
  cache.get(1, 0)
  expect(made).toEqual([1, 1])
})

test('what belonged to the node when it was another file is passed over', () => {
  const { cache, made } = counted(2)
  const first = cache.get(1, 0)
  cache.get(2, 7)
  const second = cache.get(1, 1)
  expect(second).not.toBe(first)
  expect(cache.get(1, 1)).toBe(second)
  cache.get(2, 7)
  expect(cache.get(1, 1)).toBe(second)
  expect(cache.get(2, 8)).toEqual({ node: 2 })
  expect(made).toEqual([1, 2, 1, 2])
  expect(cache.size).toBe(2)
})

test('what can not be made is not kept', () => {
  let isBroken = true
  const cache = new HandleCache(1, (node) => {
    if (isBroken) throw new Error('broken')
    return node
  })
  expect(() => cache.get(5, 0)).toThrow('broken')
  isBroken = false
  expect(cache.get(5, 0)).toBe(5)
})

test('each thing is closed once, when it is given up', () => {
  const closed: string[] = []
  let made = 0
  const cache = new HandleCache(
    2,
    (node) => `${node}.${++made}`,
    (value) => closed.push(value),
  )
  cache.get(1, 0)
  cache.get(2, 0)
  cache.get(3, 0) // the oldest makes room
  expect(closed).toEqual(['1.1'])
  cache.get(2, 1) // another file
  expect(closed).toEqual(['1.1', '2.2'])
  cache.drop(3)
  cache.drop(3)
  cache.clear()
  cache.clear()
  expect(closed).toEqual(['1.1', '2.2', '3.3', '2.4'])
  expect(cache.size).toBe(0)
  expect(cache.get(2, 1)).toBe('2.5')
})
