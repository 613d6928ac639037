import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { NodeTable } from './node-table.ts'
import { ROOT_NODE } from './protocol.ts'

test('the root is node 1 and stays', () => {
  const nodes = new NodeTable(4096, 0, 1)
  expect(nodes.retain(4096, 0, 1)).toBe(ROOT_NODE)
  nodes.forget(ROOT_NODE, 100)
  expect([nodes.has(ROOT_NODE), nodes.size, nodes.lookups]).toEqual([true, 1, 0])
  expect([nodes.word(ROOT_NODE, 0), nodes.word(ROOT_NODE, 1), nodes.word(ROOT_NODE, 2)]).toEqual([4096, 0, 1])
})

test('a file keeps its node until all lookups are given back; then it may be another, with another generation', () => {
  const nodes = new NodeTable(1, 0, 0)
  const node = nodes.retain(2, 0, 0)
  expect(nodes.retain(2, 0, 0)).toBe(node)
  const generation = nodes.generation(node)
  nodes.forget(node, 1)
  expect(nodes.has(node)).toBe(true)
  nodes.forget(node, 1)
  expect(nodes.has(node)).toBe(false)
  expect(nodes.retain(3, 0, 0)).toBe(node)
  expect(nodes.generation(node)).not.toBe(generation)
  expect(nodes.word(node, 0)).toBe(3)
})

test('what the kernel may not say is passed over', () => {
  const nodes = new NodeTable(1, 0, 0)
  const node = nodes.retain(2, 0, 0)
  for (const unknown of [0, -1, node + 1, 2 ** 32 + node, 2 ** 53, 2 ** 63, 1.8446744073709552e19]) {
    expect(nodes.has(unknown)).toBe(false)
    nodes.forget(unknown, 1)
  }
  expect([nodes.size, nodes.lookups]).toEqual([2, 1])
  nodes.forget(node, 2 ** 63)
  expect([nodes.size, nodes.lookups, nodes.has(node)]).toEqual([1, 0, false])
  nodes.forget(node, 1)
  expect(nodes.size).toBe(1)
})

test('a hundred thousand nodes, and none again', () => {
  const nodes = new NodeTable(1, 0, 0)
  const count = 100_000
  const numbers = Array.from({ length: count }, (_, i) => nodes.retain(i, i >>> 3, 7))
  expect(new Set(numbers).size).toBe(count)
  expect([nodes.size, nodes.lookups]).toEqual([count + 1, count])
  expect(nodes.bytes / count).toBeLessThan(72)
  for (const [i, node] of numbers.entries()) if (i % 2 === 1) nodes.forget(node, 1)
  expect(numbers.every((node, i) => nodes.has(node) === (i % 2 === 0))).toBe(true)
  expect(numbers.every((node, i) => i % 2 === 1 || nodes.retain(i, i >>> 3, 7) === node)).toBe(true)
  for (const node of numbers) nodes.forget(node, 2)
  expect([nodes.size, nodes.lookups]).toEqual([1, 0])
  const before = nodes.bytes
  for (let i = 0; i < count; i++) nodes.retain(i, 0, 9)
  expect(nodes.bytes).toBe(before)
})

/** What the table should be: files by their words, with a plain Map. */
class Model {
  readonly counts = new Map<string, { node: number; count: number }>()
  readonly owners = new Map<number, string>()
  /** How many files a node stood for before. */
  readonly pasts = new Map<number, number>()
}

const word = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constantFrom(0xffff_ffff, 0x8000_0000, 0x7fff_ffff))
const file = fc.tuple(fc.integer({ min: 0, max: 40 }), word, word)
const commands = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('retain' as const), file }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('forget' as const),
        node: fc.integer({ min: 0, max: 400 }),
        count: fc.integer({ min: 0, max: 4 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('forget all' as const), file }) },
  ),
  { maxLength: 2000, size: 'max' },
)

describe('like a Map', () => {
  test.each([
    ['few files', 0],
    ['among many', 5000],
  ])('%s', (_, others) => {
    fc.assert(
      fc.property(commands, (list) => {
        const nodes = new NodeTable(0xaaaa, 0xaaaa, 0xaaaa)
        for (let i = 0; i < others; i++) nodes.retain(i, 0xbbbb, 0xbbbb)
        const model = new Model()
        let sum = others
        for (const command of list) {
          if (command.kind === 'retain') {
            const node = nodes.retain(...command.file)
            const key = command.file.join()
            const known = model.counts.get(key)
            const isRight =
              (known?.node ?? node) === node &&
              (model.owners.get(node) ?? key) === key &&
              nodes.generation(node) === (model.pasts.get(node) ?? 0)
            if (!isRight) expect.unreachable(`node ${node} for ${key}`)
            model.counts.set(key, { node, count: (known?.count ?? 0) + 1 })
            model.owners.set(node, key)
            sum++
            continue
          }
          const node =
            command.kind === 'forget' ? command.node + others : (model.counts.get(command.file.join())?.node ?? 0)
          const count = command.kind === 'forget' ? command.count : 1000
          const key = model.owners.get(node)
          const known = key === undefined ? undefined : model.counts.get(key)
          if (others === 0 || known !== undefined) nodes.forget(node, count)
          if (key === undefined || known === undefined) continue
          const left = Math.max(0, known.count - count)
          sum -= known.count - left
          known.count = left
          if (left > 0) continue
          model.counts.delete(key)
          model.owners.delete(node)
          model.pasts.set(node, (model.pasts.get(node) ?? 0) + 1)
        }
        expect([nodes.size, nodes.lookups]).toEqual([model.counts.size + others + 1, sum])
        for (const [node, key] of model.owners) {
          const words = [nodes.word(node, 0), nodes.word(node, 1), nodes.word(node, 2)]
          if (!nodes.has(node) || words.join() !== key) expect.unreachable(`node ${node} is not ${key}`)
        }
        for (let i = 0; i < others; i += 7) {
          if (nodes.retain(i, 0xbbbb, 0xbbbb) !== i + 2) expect.unreachable(`file ${i} has lost its node`)
        }
        for (const { node, count } of model.counts.values()) nodes.forget(node, count)
        for (let i = 0; i < others; i++) nodes.forget(i + 2, 2)
        expect([nodes.size, nodes.lookups]).toEqual([1, 0])
      }),
      { numRuns: 60 },
    )
  })
})
