/**
 * Work on many files, done by several threads and told in order. Whoever walks over the files hands over, in the order of the walk, items
 * of a task, and actions; what came of an item is given out, and an action is run, when everything before is done. So all that is printed
 * is what one thread would print, in the same order.
 *
 * Items travel in batches. Readers are given batches as long as they have not enough to do; the main thread, which walks, does what is
 * left, between two pieces of which it looks after the readers. Readers are started when there turns out to be enough work for them; what
 * is held in memory meanwhile is bounded by `isFull`.
 *
 *     add, then -> the open batch -> waiting -> at a reader, or done here -> in order: what was said, results, actions
 */

import { Interrupted } from '../cli/exit-code.ts'
import type { Interruption } from '../cli/interruption.ts'
import type { Outcome, Said } from './messages.ts'
import type { Batch, Crew } from './readers.ts'
import { noteSaid, type Task } from './task.ts'
import { thrownHere } from './thrown.ts'

export interface OrderedWorkOptions<Item, Result> {
  /** The same task as that of the readers, over the main thread's view. */
  readonly task: Task<Item, Result>
  readonly interruption: Pick<Interruption, 'due' | 'rest'>
  readonly note: (text: string) => void
  readonly fail: (text: string) => void
  /** Starts the readers; absent where the main thread does everything. */
  readonly readers?: () => Crew<Item, Result>
  /** How long the main thread works alone before it starts the readers. */
  readonly aloneMs?: number
  /** The main thread does what the readers can't take. (Tests leave everything to them.) */
  readonly takesPart?: boolean
  readonly batchBytes?: number
}

type Action = () => void | Promise<void>

/** What came of a batch here: nothing is lost of what was thrown. */
interface OutcomeHere<Result> extends Outcome<Result> {
  readonly error?: unknown
}

/** Items, and what follows each: the taker of its result, and actions. */
interface OrderedBatch<Item, Result> extends Batch<Item> {
  readonly items: Item[]
  readonly steps: ({ readonly take: (result: Result) => void } | { readonly action: Action })[]
  costBytes: number
  /** By whom it was done. */
  reader: number
  outcome: OutcomeHere<Result> | undefined
}

/** What a file costs beside its bytes, in the time that these take. */
const ITEM_BYTES = 32 << 10
const BATCH_BYTES = 1 << 20
/** Items and actions that may be underway. */
const HELD_MAX = 2048
/** Batches that wait for the next reader that has nothing to do. */
const WAITING_MAX = 4
/**
 * Starting a thread takes about as much of a processor's time, until it has loaded its code and the compiler has seen to that (measured:
 * 0.1 s until it is ready, 0.2 s in all). When that much was done alone, as much again is likely to follow.
 */
const ALONE_MS = 200
const MAIN = -1
/** After so many different notes we fall silent. */
const NOTES_MAX = 1000

export class OrderedWork<Item, Result> {
  private readonly options: OrderedWorkOptions<Item, Result>
  private readonly startedMs = performance.now()
  private readers: Crew<Item, Result> | undefined
  /** All that is not given out yet, in order. The last one may be open. */
  private readonly batches: OrderedBatch<Item, Result>[] = []
  private readonly waiting: OrderedBatch<Item, Result>[] = []
  private readonly given = new Map<number, OrderedBatch<Item, Result>>()
  private open: OrderedBatch<Item, Result> | undefined
  private held = 0
  private batchCount = 0
  /** Where notes of the main thread's view of the volume go now. */
  private hearNote: (text: string) => void
  /** Which thread said a note first: the others' would be its repetition. */
  private readonly notes = new Map<string, number>()

  constructor(options: OrderedWorkOptions<Item, Result>) {
    this.options = options
    this.hearNote = (text) => this.then(() => this.note(text, MAIN))
  }

  /** Hands over an item; its content is `bytes` long. `take` gets what comes of it. */
  add(item: Item, bytes: number, take: (result: Result) => void): void {
    const batch = this.openBatch()
    batch.items.push(item)
    batch.steps.push({ take })
    batch.costBytes += ITEM_BYTES + bytes
    this.held++
    if (batch.costBytes >= (this.options.batchBytes ?? BATCH_BYTES)) this.seal()
  }

  /** Has `action` run when all that was handed over before is done. */
  then(action: Action): void {
    this.openBatch().steps.push({ action })
    this.held++
  }

  /** A note of the main thread's view of the volume, whatever that is doing. */
  noteHere(text: string): void {
    this.hearNote(text)
  }

  /** Enough is underway: `advance` before more is handed over. */
  get isFull(): boolean {
    return this.held > HELD_MAX || this.waiting.length > (this.readers === undefined ? 0 : WAITING_MAX)
  }

  /** Works until there is room for more. Throws what an item or an action threw, Interrupted, and the failure of a reader. */
  async advance(): Promise<void> {
    const { readers, aloneMs = ALONE_MS } = this.options
    if (this.readers === undefined && readers !== undefined && performance.now() - this.startedMs >= aloneMs) {
      this.readers = readers()
    }
    if (this.held > HELD_MAX) this.seal() // it may be all there is
    do await this.turn()
    while (this.isFull)
  }

  /** Works until all is done. Throws as `advance`. */
  async finish(): Promise<void> {
    this.seal()
    while (this.batches.length > 0) await this.turn()
  }

  /** Does an item here and now: within an action. What it says and throws is its own. */
  async doNow(item: Item): Promise<Result> {
    const said: Said[] = []
    const result = await this.resultHere(item, 0, said)
    for (const each of said) this.say(each, MAIN)
    return result
  }

  /** Has all readers give up what they are at. Returns the items that can't be stopped. */
  async abort(): Promise<Item[]> {
    return (await this.readers?.stop()) ?? []
  }

  /** Ends the readers. */
  async end(): Promise<void> {
    await this.readers?.end()
  }

  /** One step towards the end. */
  private async turn(): Promise<void> {
    this.collect()
    const before = this.batches.length
    await this.deliver()
    const batch = this.options.takesPart === false && this.readers !== undefined ? undefined : this.waiting.shift()
    if (batch !== undefined) await this.doHere(batch)
    else if (this.batches.length === before && this.given.size + this.waiting.length > 0) await this.readers?.wait()
    if (this.options.interruption.due()) await this.options.interruption.rest()
  }

  private openBatch(): OrderedBatch<Item, Result> {
    if (this.open !== undefined) return this.open
    const number = this.batchCount++
    const batch = { number, items: [], steps: [], costBytes: 0, reader: MAIN, outcome: undefined }
    this.batches.push(batch)
    return (this.open = batch)
  }

  private seal(): void {
    const { open } = this
    this.open = undefined
    if (open === undefined || open.items.length === 0) return
    this.waiting.push(open)
    this.feed()
  }

  /** Gives waiting batches to readers. */
  private feed(): void {
    for (
      let next = this.waiting.at(0);
      next !== undefined && this.readers?.give(next) === true;
      next = this.waiting.at(0)
    ) {
      this.given.set(next.number, next)
      this.waiting.shift()
    }
  }

  /** Hears what readers have done, and gives them more. */
  private collect(): void {
    for (let done = this.readers?.take(); done !== undefined; done = this.readers?.take()) {
      const batch = this.given.get(done.batch)
      if (batch === undefined) throw new RangeError(`batch ${done.batch} was not given out`)
      this.given.delete(done.batch)
      batch.reader = done.reader
      batch.outcome = done.outcome
    }
    this.feed()
  }

  /** Gives out what is done, as far as everything before is. */
  private async deliver(): Promise<void> {
    const hearNote = this.hearNote
    this.hearNote = (text) => this.note(text, MAIN)
    for (let batch = this.batches.at(0); batch !== undefined; batch = this.batches.at(0)) {
      if (batch.items.length > 0 && batch.outcome === undefined) break
      this.batches.shift()
      if (batch === this.open) this.open = undefined
      this.held -= batch.steps.length
      await this.giveOut(batch)
    }
    this.hearNote = hearNote
  }

  private async giveOut({ steps, outcome = NOTHING, reader }: OrderedBatch<Item, Result>): Promise<void> {
    let item = 0
    let nextSaid = 0
    for (const step of steps) {
      if ('action' in step) {
        await step.action()
        continue
      }
      for (let said = outcome.said.at(nextSaid); said?.[0] === item; said = outcome.said.at(nextSaid)) {
        nextSaid++
        this.say(said, reader)
      }
      if (item === outcome.results.length) throw failureOf(outcome)
      step.take(outcome.results[item++])
    }
  }

  private say([, kind, text]: Said, reader: number): void {
    if (kind === 'fail') this.options.fail(text)
    else if (kind === 'file') this.options.note(text)
    else this.note(text, reader)
  }

  /** Each view of the volume says once what it says of nodes; several views shall say it once. */
  private note(text: string, reader: number): void {
    const first = this.notes.get(text)
    if (first === undefined && this.notes.size < NOTES_MAX) this.notes.set(text, reader)
    if (first === undefined || first === reader) this.options.note(text)
  }

  private async doHere(batch: OrderedBatch<Item, Result>): Promise<void> {
    const results: Result[] = []
    const said: Said[] = []
    try {
      for (const item of batch.items) results.push(await this.resultHere(item, results.length, said))
      batch.outcome = { results, said }
    } catch (error) {
      if (error instanceof Interrupted) throw error
      batch.outcome = { results, said, error }
    }
  }

  private async resultHere(item: Item, index: number, said: Said[]): Promise<Result> {
    const { interruption, task } = this.options
    const hearNote = this.hearNote
    this.hearNote = (text) => void said.push(noteSaid(task, item, index, text))
    try {
      for (const result of task.run(item, (text) => said.push([index, 'fail', text]))) {
        if (result !== undefined) return result
        this.collect()
        if (interruption.due()) await interruption.rest()
      }
      throw new RangeError('a task without a result')
    } finally {
      this.hearNote = hearNote
    }
  }
}

const NOTHING: OutcomeHere<never> = { results: [], said: [] }

/** Why an item of a batch has no result. */
function failureOf({ error, thrown }: OutcomeHere<unknown>): unknown {
  if (error !== undefined) return error
  return thrown === undefined ? new RangeError('an item was given up') : thrownHere(thrown)
}
