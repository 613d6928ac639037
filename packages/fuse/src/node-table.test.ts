import { existsSync } from 'node:fs'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { ThreadRegistry } from '@cowherd/shim'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { NodeTable, type NodeTableDescriptor } from './node-table.ts'
import { ROOT_NODE } from './protocol.ts'

const registry = ThreadRegistry.create()
registry.enter()

const NODES_MAX = 1 << 17
const tableOf = (a: number, b: number, c: number): NodeTable => NodeTable.create(a, b, c, NODES_MAX)

test('the root is node 1 and stays', () => {
  const nodes = tableOf(4096, 0, 1)
  expect(nodes.retain(4096, 0, 1)).toBe(ROOT_NODE)
  nodes.forget(ROOT_NODE, 100)
  expect([nodes.has(ROOT_NODE), nodes.size, nodes.lookups]).toEqual([true, 1, 0])
  expect([nodes.word(ROOT_NODE, 0), nodes.word(ROOT_NODE, 1), nodes.word(ROOT_NODE, 2)]).toEqual([4096, 0, 1])
})

test('a file keeps its node until all lookups are given back; then it may be another, with another generation', () => {
  const nodes = tableOf(1, 0, 0)
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

test('finding a node counts no lookup', () => {
  const nodes = tableOf(1, 0, 0)
  expect([nodes.find(1, 0, 0), nodes.find(2, 0, 0)]).toEqual([ROOT_NODE, 0])
  const node = nodes.retain(2, 0, 0)
  expect([nodes.find(2, 0, 0), nodes.find(0, 2, 0), nodes.size, nodes.lookups]).toEqual([node, 0, 2, 1])
  nodes.forget(node, 1)
  expect(nodes.find(2, 0, 0)).toBe(0)
})

test('what the kernel may not say is passed over', () => {
  const nodes = tableOf(1, 0, 0)
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
  const nodes = tableOf(1, 0, 0)
  const count = 100_000
  const numbers = Array.from({ length: count }, (_, i) => nodes.retain(i, i >>> 3, 7))
  expect(new Set(numbers).size).toBe(count)
  expect([nodes.size, nodes.lookups]).toEqual([count + 1, count])
  expect(nodes.bytes / count).toBeLessThan(37)
  for (const [i, node] of numbers.entries()) if (i % 2 === 1) nodes.forget(node, 1)
  expect(numbers.every((node, i) => nodes.has(node) === (i % 2 === 0))).toBe(true)
  expect(numbers.every((node, i) => i % 2 === 1 || nodes.retain(i, i >>> 3, 7) === node)).toBe(true)
  for (const node of numbers) nodes.forget(node, 2)
  expect([nodes.size, nodes.lookups]).toEqual([1, 0])
  const before = nodes.bytes
  for (let i = 0; i < count; i++) nodes.retain(i, 0, 9)
  expect(nodes.bytes).toBe(before)
})

test('no more nodes than there may be: ENOMEM, until some are forgotten', () => {
  const nodes = NodeTable.create(1, 0, 0, 5)
  const [second = 0] = Array.from({ length: 4 }, (_, i) => nodes.retain(i + 2, 0, 0))
  const full = expect.objectContaining({ code: 'ENOMEM' }) as unknown
  expect(() => nodes.retain(6, 0, 0)).toThrow(full)
  expect(nodes.retain(2, 0, 0)).toBe(second) // those that are there are found
  nodes.forget(second, 2)
  expect(nodes.retain(6, 0, 0)).toBe(second)
  expect(() => nodes.retain(7, 0, 0)).toThrow(full)
  expect([nodes.size, nodes.lookups]).toEqual([5, 4])
})

test('as large as the system lets it be, if nothing else is said', () => {
  const nodes = NodeTable.create(1, 0, 0)
  expect(nodes.retain(2, 0, 0)).toBe(2)
  expect(nodes.bytes).toBeLessThan(8192)
})

test('others look without taking part', () => {
  const nodes = tableOf(1, 0, 0)
  const node = nodes.retain(2, 3, 4)
  const view = new NodeTable(structuredClone(nodes.descriptor))
  expect([view.has(node), view.word(node, 0), view.word(node, 1), view.word(node, 2)]).toEqual([true, 2, 3, 4])
  view.forget(node, 1)
  expect([nodes.has(node), nodes.size, view.lookups, view.bytes]).toEqual([false, 1, 0, nodes.bytes])
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
        const nodes = tableOf(0xaaaa, 0xaaaa, 0xaaaa)
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

/** What a thread needs to hammer on a table. */
interface Hammer {
  readonly built: string
  readonly shim: string
  readonly registry: ThreadRegistry['place']
  readonly id: number
  readonly table: NodeTableDescriptor
  readonly gate: Int32Array
  readonly files: number
  readonly rounds: number
}

/**
 * Counts and gives back lookups of few files, so that threads meet at nodes that come and go. While it holds a lookup, the node has to be
 * that file's. Then it holds each file once and tells the nodes, and gives all back when it is let through the gate.
 */
const HAMMER = `
const { parentPort, workerData } = require('node:worker_threads')
const { built, shim, registry, id, table, gate, files, rounds } = workerData
Promise.all([import(built), import(shim)]).then(([{ NodeTable }, { ThreadRegistry }]) => {
  new ThreadRegistry(registry).enter(id)
  const nodes = new NodeTable(table)
  let random = id * 2654435761 >>> 0
  const below = (n) => (random = (Math.imul(random, 1664525) + 1013904223) >>> 0, Math.floor(random / 2 ** 32 * n))
  const held = Array.from({ length: files }, () => ({ node: 0, generation: 0, count: 0 }))
  const check = (file) => {
    const { node, generation } = held[file]
    const isRight = nodes.has(node) && nodes.word(node, 0) === file && nodes.word(node, 1) === file * 7 && nodes.word(node, 2) === 5
    if (!isRight || nodes.generation(node) !== generation) throw new Error('node ' + node + ' is not file ' + file)
  }
  const retain = (file) => {
    const node = nodes.retain(file, file * 7, 5)
    const hold = held[file]
    if (hold.count > 0 && hold.node !== node) throw new Error('file ' + file + ' has two nodes')
    if (hold.count === 0) Object.assign(hold, { node, generation: nodes.generation(node) })
    hold.count++
    check(file)
  }
  const forget = (file, count) => {
    if (count > 0) nodes.forget(held[file].node, count)
    held[file].count -= count
    if (held[file].count > 0) check(file)
  }
  for (let round = 0; round < rounds; round++) {
    const file = below(files)
    if (below(2) === 0) retain(file)
    else if (held[file].count > 0) {
      check(file)
      forget(file, below(3) > 0 ? held[file].count : 1)
    }
  }
  for (let file = 0; file < files; file++) retain(file)
  parentPort.postMessage(held.map(({ node }) => node))
  Atomics.wait(gate, 0, 0, 30000)
  for (let file = 0; file < files; file++) forget(file, held[file].count)
})
`

describe('threads count and give back at the same time', () => {
  const rounds = process.env['COWHERD_SOAK'] === '1' ? 20_000_000 : 200_000

  test.each([
    ['a handful of files', 3],
    ['many files', 3000],
  ])('%s', { timeout: 600_000 }, async (_, files) => {
    const built = new URL('../dist/index.js', import.meta.url)
    if (!existsSync(built)) throw new Error("the package isn't built: npm run build")
    const nodes = tableOf(0xaaaa, 0, 0)
    const gate = new Int32Array(new SharedArrayBuffer(4))
    const shim = new URL('../../shim/dist/index.js', import.meta.url).href
    const ends: Promise<unknown>[] = []
    const told: Promise<unknown[]>[] = []
    for (let thread = 0; thread < 3; thread++) {
      const id = registry.reserve()
      const common = { built: built.href, shim, registry: registry.place, table: nodes.descriptor, gate, files, rounds }
      const worker = new Worker(HAMMER, { eval: true, workerData: { ...common, id } satisfies Hammer })
      registry.watch(worker, id)
      told.push(once(worker, 'message'))
      ends.push(once(worker, 'exit'))
    }
    const [first, ...others] = await Promise.all(told)
    for (const other of others) expect(other).toEqual(first)
    expect(nodes.size).toBe(files + 1)
    Atomics.store(gate, 0, 1)
    Atomics.notify(gate, 0)
    await Promise.all(ends)
    expect([nodes.size, nodes.lookups]).toEqual([1, 0])
    const again = Array.from({ length: files }, (_, file) => nodes.retain(file, file * 7, 5))
    expect(new Set(again).size).toBe(files)
  })
})
