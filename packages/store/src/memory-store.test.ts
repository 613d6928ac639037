import fc from 'fast-check'
import { expect, test } from 'vitest'
import { memoryStore } from './memory-store.ts'

test('bytes, and refusals outside them', () => {
  const store = memoryStore(new Uint8Array([1, 2, 3, 4]), 'disk')
  const target = new Uint8Array(2)
  store.read(target, 2)
  expect([...target]).toEqual([3, 4])
  expect(() => store.read(target, 3)).toThrow('disk: 2 bytes at 3 are outside its 4 bytes')
  expect(() => store.read(target, -1)).toThrow('disk')
  store.close()
  expect(() => store.read(target, 0)).toThrow('closed')
})

test('pages read like the bytes they stand for', () => {
  const pageSize = 8
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 100 }), fc.nat(), fc.nat(), (bytes, a, b) => {
      for (let at = 0; at < bytes.length; at += 3 * pageSize) bytes.fill(0, at, at + pageSize) // missing pages
      const pages = new Map<number, Uint8Array>()
      for (let page = 0; page * pageSize < bytes.length; page++) {
        const part = bytes.subarray(page * pageSize, (page + 1) * pageSize)
        if (part.some((byte) => byte !== 0)) pages.set(page, part)
      }
      const store = memoryStore({ size: bytes.length, pageSize, pages })
      const offset = a % bytes.length
      const target = new Uint8Array(b % (bytes.length - offset + 1)).fill(255)
      store.read(target, offset)
      expect([...target]).toEqual([...bytes.subarray(offset, offset + target.length)])
    }),
  )
})
