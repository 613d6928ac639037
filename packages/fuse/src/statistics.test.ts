import { expect, test } from 'vitest'
import { Opcode } from './protocol.ts'
import { Statistics } from './statistics.ts'

test('counts, errors and times of each operation', () => {
  const statistics = new Statistics()
  expect(statistics.list()).toEqual([])
  for (let i = 0; i < 98; i++) statistics.count(Opcode.lookup, 0.003, i < 10)
  statistics.count(Opcode.lookup, 0.5, false)
  statistics.count(Opcode.lookup, 20, false)
  statistics.count(Opcode.read, 0, false)
  const [lookup, read] = statistics.list()
  expect(lookup).toMatchObject({
    operation: 'lookup',
    count: 100,
    errors: 10,
    medianUs: 4,
    p99Us: 512,
    greatestUs: 20_000,
  })
  expect(lookup?.meanUs).toBeCloseTo((98 * 3 + 500 + 20_000) / 100)
  expect(read).toEqual({
    operation: 'read',
    count: 1,
    errors: 0,
    meanUs: 0,
    medianUs: 0,
    p99Us: 0,
    greatestUs: 0,
  })
})

test('unknown operations have a place of their own', () => {
  const statistics = new Statistics()
  for (const opcode of [64, 99, 4096, 0xffff_ffff]) statistics.count(opcode, 1, true)
  expect(statistics.list()).toMatchObject([{ operation: 'operation 0', count: 4, errors: 4 }])
})

test('times that no clock shows', () => {
  const statistics = new Statistics()
  statistics.count(Opcode.read, -0.01, false) // of another thread's clock
  statistics.count(Opcode.read, 1e12, false)
  expect(statistics.list()).toMatchObject([{ count: 2, medianUs: 1, greatestUs: 1e15 }])
})

test('threads count for themselves; more than there are blocks share the last', () => {
  const first = new Statistics()
  const threads = [first, ...Array.from({ length: 20 }, () => new Statistics(first.memory))]
  for (const thread of threads) for (let i = 0; i < 3; i++) thread.count(Opcode.getattr, 0.001, false)
  for (const thread of threads) expect(thread.list()).toMatchObject([{ operation: 'getattr', count: 63 }])
})
