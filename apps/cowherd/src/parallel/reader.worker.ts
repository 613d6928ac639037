/** A thread that reads: opens its own view of the volume, and does batches of a task until it is ended. */

import { openSharedVolume } from '@cowherd/db'
import { fsKeyTypes, openFileSystem } from '@cowherd/fs'
import { nativeCodecs, threadMain, type BlockDevice } from '@cowherd/shim'
import { openStore } from '@cowherd/store'
import { receiveMessageOnPort } from 'node:worker_threads'
import { batchWord, itemWord, Word } from './messages.ts'
import type { BatchMessage, OrderMessage, Outcome, ReaderMessage, ReaderStart, Said } from './messages.ts'
import { makeTask, noteSaid, type Task } from './task.ts'
import { describeThrown } from './thrown.ts'

class Reader {
  private readonly start: ReaderStart
  private task: Task<never, unknown> | undefined
  /** Hears the notes of this view of the volume. */
  private hearNote: (text: string) => void = () => undefined

  constructor(start: ReaderStart) {
    this.start = start
  }

  /** Opens the volume, and tells how that went. */
  async open(): Promise<void> {
    const { reading, task } = this.start
    try {
      const devices: BlockDevice[] = reading.devices.map((path) => openStore(path, { lock: false }))
      const volume = openSharedVolume(devices, reading.volume, {
        codecs: nativeCodecs(),
        keyTypes: fsKeyTypes,
        note: (text) => this.hearNote(text),
      })
      this.task = await makeTask(task, openFileSystem(volume))
      this.post({ kind: 'ready' })
    } catch (error) {
      this.post({ kind: 'refused', error: describeThrown(error) })
    }
  }

  /** Does what is ordered, and what was ordered meanwhile. Returns false when it is to end. */
  serve(first: OrderMessage<never>): boolean {
    for (let order: OrderMessage<never> | undefined = first; order !== undefined; order = this.next()) {
      if (order === 'end') return false
      this.post({ kind: 'done', batch: order.batch, outcome: this.outcomeOf(order) })
    }
    return true
  }

  private next(): OrderMessage<never> | undefined {
    return receiveMessageOnPort(this.start.port)?.message as OrderMessage<never> | undefined // nothing else is posted to us
  }

  private outcomeOf({ batch, items }: BatchMessage<never>): Outcome<unknown> {
    const { number, words } = this.start
    const results: unknown[] = []
    const said: Said[] = []
    Atomics.store(words, batchWord(number), batch)
    try {
      for (const item of items) {
        Atomics.store(words, itemWord(number), results.length + 1)
        const result = this.isStopped ? undefined : this.resultOf(item, results.length, said)
        if (result === undefined) break
        results.push(result)
      }
      return { results, said }
    } catch (error) {
      return { results, said, thrown: describeThrown(error) }
    } finally {
      Atomics.store(words, itemWord(number), 0)
    }
  }

  /** Undefined: it was given up. */
  private resultOf(item: never, index: number, said: Said[]): unknown {
    const { task } = this
    if (task === undefined) throw new RangeError('a batch before the volume is open')
    this.hearNote = (text) => said.push(noteSaid(task, item, index, text))
    for (const result of task.run(item, (text) => said.push([index, 'fail', text]))) {
      if (result !== undefined) return result
      if (this.isStopped) return undefined
    }
    throw new RangeError('a task without a result')
  }

  private get isStopped(): boolean {
    return Atomics.load(this.start.words, Word.stop) !== 0
  }

  private post(message: ReaderMessage<unknown>): void {
    this.start.port.postMessage(message)
    Atomics.add(this.start.words, Word.posted, 1)
  }
}

await threadMain<ReaderStart>(async ({ data }) => {
  const reader = new Reader(data)
  await reader.open()
  await new Promise<void>((resolve) => {
    data.port.on('message', (order: OrderMessage<never>) => {
      if (!reader.serve(order)) resolve()
    })
  })
})
