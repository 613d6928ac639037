import { expect, test } from 'vitest'
import { parseMountOptions } from './volume-options.ts'

test('lists of mount options', () => {
  const none = { degraded: false, veryDegraded: false, norecovery: false, nolock: false }
  expect(parseMountOptions()).toEqual(none)
  expect(parseMountOptions(['ro,norecovery', 'degraded'])).toEqual({ ...none, norecovery: true, degraded: true })
  expect(parseMountOptions(['very_degraded,nolock'])).toEqual({
    degraded: true,
    veryDegraded: true,
    norecovery: false,
    nolock: true,
  })
  expect(() => parseMountOptions(['degraded,nodiratime'])).toThrow('-o nodiratime: no such option')
  expect(() => parseMountOptions(['toString'])).toThrow('no such option')
})
