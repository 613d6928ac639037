import { expect, test } from 'vitest'
import { globPattern } from './glob.ts'

test('patterns match whole names', () => {
  const matches = (pattern: string, ...names: string[]): boolean[] =>
    names.map((name) => globPattern(pattern).test(name))
  expect(matches('*.jpg', 'a.jpg', '.jpg', 'a.jpeg', 'a.jpg.txt')).toEqual([true, true, false, false])
  expect(matches('a?c', 'abc', 'a\nc', 'a😀c', 'ac')).toEqual([true, true, true, false])
  expect(matches('[a-c]x', 'bx', 'dx')).toEqual([true, false])
  expect(matches('[!a-c]x', 'bx', 'dx')).toEqual([false, true])
  expect(matches('[]-]', ']', '-', 'a')).toEqual([true, true, false])
  expect(matches('[abc', '[abc', 'a')).toEqual([true, false])
  expect(matches('\\*', '*', 'a')).toEqual([true, false])
  expect(matches('a.b+(c)$', 'a.b+(c)$', 'axb+(c)$')).toEqual([true, false])
  expect(globPattern('*.JPG', { ignoreCase: true }).test('x.jpg')).toBe(true)
})

test('many stars are quick', () => {
  expect(globPattern(`${'*'.repeat(50)}b`).test('a'.repeat(255))).toBe(false)
})
