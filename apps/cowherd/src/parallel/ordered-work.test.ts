import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Interrupted } from '../cli/exit-code.ts'
import type { Said } from './messages.ts'
import { OrderedWork, type OrderedWorkOptions } from './ordered-work.ts'
import type { Batch, Crew, Done } from './readers.ts'
import type { Task } from './task.ts'

/** What an item does is written in it: `fail`, `note`, `same note`, `throw`, or nothing. Its result is its number. */
type Item = readonly [number: number, what: string]

class Speaking implements Task<Item, number> {
  *run([number, what]: Item, fail: (text: string) => void): Generator<number | undefined, void, undefined> {
    yield
    if (what === 'fail') fail(`${number} failed`)
    if (what === 'note') this.note(`noted at ${number}`)
    if (what === 'same note') this.note('noted once by each')
    if (what === 'throw') throw new RangeError(`thrown at ${number}`)
    yield number
  }

  nameOf([number]: Item): string {
    return `${number}`
  }

  note: (text: string) => void = () => undefined
}

/** Readers that are ready, and done, in whichever order chance says. */
class FakeCrew implements Crew<Item, number> {
  readonly ended: string[] = []
  private readonly had: Batch<Item>[] = []
  private readonly chance: () => number
  private readonly task = new Speaking()

  constructor(chance: () => number) {
    this.chance = chance
  }

  give(batch: Batch<Item>): boolean {
    if (this.had.length > 3 || this.chance() < 0.2) return false
    this.had.push(batch)
    return true
  }

  take(): Done<number> | undefined {
    if (this.had.length === 0 || this.chance() < 0.5) return undefined
    const [batch] = this.had.splice(Math.floor(this.chance() * this.had.length), 1)
    const said: Said[] = []
    const results: number[] = []
    const reader = Math.floor(this.chance() * 3)
    const done = (thrown?: Error): Done<number> => ({
      batch: batch.number,
      reader,
      outcome: {
        results,
        said,
        ...(thrown === undefined
          ? {}
          : { thrown: { isOperational: true, name: thrown.name, message: thrown.message, stack: '' } }),
      },
    })
    for (const [i, item] of batch.items.entries()) {
      this.task.note = (text) => said.push([i, 'volume', text])
      try {
        for (const result of this.task.run(item, (text) => said.push([i, 'fail', text]))) {
          if (result !== undefined) results.push(result)
        }
      } catch (error) {
        return done(error as Error)
      }
    }
    return done()
  }

  async wait(): Promise<void> {
    return Promise.resolve()
  }
  async stop(): Promise<Item[]> {
    this.ended.push('stop')
    return Promise.resolve([])
  }
  async end(): Promise<void> {
    this.ended.push('end')
    return Promise.resolve()
  }
}

const NEVER = { due: () => false, rest: async () => Promise.resolve() }

interface Plan {
  readonly items: readonly string[]
  readonly batchBytes: number
  readonly takesPart: boolean
}

/** All that is heard, in order; the error that ended it last. */
async function heardOf(plan: Plan, crew?: FakeCrew): Promise<string[]> {
  const heard: string[] = []
  const task = new Speaking()
  const options: OrderedWorkOptions<Item, number> = {
    task,
    interruption: NEVER,
    note: (text) => void heard.push(text),
    fail: (text) => void heard.push(text),
    batchBytes: plan.batchBytes,
    takesPart: plan.takesPart,
    ...(crew === undefined ? {} : { readers: () => crew, aloneMs: 0 }),
  }
  const work = new OrderedWork(options)
  task.note = (text) => work.noteHere(text)
  try {
    for (const [number, what] of plan.items.entries()) {
      if (what === 'action') work.then(() => void heard.push(`action ${number}`))
      else if (what === 'now') work.then(async () => void heard.push(`now ${await work.doNow([number, 'fail'])}`))
      else if (what === 'note of the walk') work.noteHere(`the walk at ${number}`)
      else work.add([number, what], 0, (result) => void heard.push(`result ${result}`))
      if (work.isFull) await work.advance()
    }
    await work.finish()
  } catch (error) {
    heard.push((error as Error).message)
  }
  return heard
}

const PLAN = fc.record({
  items: fc.array(
    fc.oneof(
      { weight: 6, arbitrary: fc.constant('') },
      fc.constantFrom('fail', 'note', 'same note', 'action', 'now', 'note of the walk'),
      { weight: 1, arbitrary: fc.constantFrom('throw', '') },
    ),
    { maxLength: 60 },
  ),
  batchBytes: fc.constantFrom(1, 100_000),
  takesPart: fc.boolean(),
})

test('whoever does it, and whenever: all is heard in the order of the walk', async () => {
  await fc.assert(
    fc.asyncProperty(PLAN, fc.infiniteStream(fc.double({ min: 0, max: 0.99, noNaN: true })), async (plan, stream) => {
      const chance = (): number => Number(stream.next().value)
      const alone = (await heardOf(plan)).filter((text) => text !== 'noted once by each')
      const together = await heardOf(plan, new FakeCrew(chance))
      expect(together.filter((text) => text !== 'noted once by each')).toEqual(alone)
    }),
  )
})

test('what several views of the volume note is told once', async () => {
  const items = Array.from({ length: 50 }, () => 'same note')
  let state = 1
  const chance = (): number => ((state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 8) / 2 ** 24
  const heard = await heardOf({ items, batchBytes: 1, takesPart: true }, new FakeCrew(chance))
  // (a thread says it as often as it likes: it has reasons)
  const told = heard.filter((text) => text === 'noted once by each').length
  expect(told).toBeGreaterThan(0)
  expect(told).toBeLessThan(50)
})

test('what is underway is bounded, and an end without items comes too', async () => {
  const order: string[] = []
  const work = new OrderedWork<Item, number>({
    task: new Speaking(),
    interruption: NEVER,
    note: () => undefined,
    fail: () => undefined,
    readers: () => new FakeCrew(() => 0.1), // takes nothing, does nothing
    aloneMs: 0,
  })
  work.add([0, ''], 0, () => order.push('first'))
  let most = 0
  for (let i = 1; i <= 10_000; i++) {
    work.then(() => void order.push(`${i}`))
    if (work.isFull) {
      most = Math.max(most, i - order.length)
      await work.advance()
    }
  }
  await work.finish()
  expect(order.length).toBe(10_001)
  expect(most).toBeLessThan(5000)
})

test('an interruption ends the work at once, and the readers can be ended', async () => {
  const crew = new FakeCrew(() => 0.1)
  const work = new OrderedWork<Item, number>({
    task: new Speaking(),
    interruption: {
      due: () => true,
      rest: async () => Promise.reject(new Interrupted('SIGINT')),
    },
    note: () => undefined,
    fail: () => undefined,
    readers: () => crew,
    aloneMs: 0,
  })
  work.add([0, ''], 2 ** 30, () => undefined)
  await expect(work.finish()).rejects.toThrow(Interrupted)
  await work.abort()
  await work.end()
  expect(crew.ended).toEqual([]) // they were not needed yet
})
