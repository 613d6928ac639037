/**
 * What the main thread and its readers say to each other. Plain data, through a port; and a few words of shared memory, which are read
 * at any time:
 *
 *     0 the readers are to give up what they are at | 1 messages posted by them | from 2 on, for each reader: the number of
 *     its batch, and the item that it is at
 *
 * An item's word is its index in the batch and 1, and 0 where the reader is at none.
 */

import type { SharedVolume } from '@cowherd/db'
import type { MessagePort } from 'node:worker_threads'
import type { TaskChoice } from './task.ts'

export const Word = { stop: 0, posted: 1 } as const

export function wordsFor(readers: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4 * (2 + 2 * readers)))
}

export function batchWord(reader: number): number {
  return 2 + 2 * reader
}

export function itemWord(reader: number): number {
  return 3 + 2 * reader
}

/** How another thread opens the volume that is read. */
export interface SharedReading {
  /** Paths of the devices, in the order in which they were opened. */
  readonly devices: readonly string[]
  readonly volume: SharedVolume
}

/** What a reader is started with. */
export interface ReaderStart {
  /** Counted from 0. */
  readonly number: number
  readonly reading: SharedReading
  readonly task: TaskChoice
  readonly port: MessagePort
  readonly words: Int32Array
}

export interface BatchMessage<Item> {
  readonly batch: number
  readonly items: readonly Item[]
}

/** To a reader: a batch, or the wish that it ends. */
export type OrderMessage<Item> = BatchMessage<Item> | 'end'

/**
 * What is for the user's eyes, of the item with that index: a note about its file, a note about the volume (each view of the volume makes it
 * once, and it is told once), or what could not be done.
 */
export type Said = readonly [item: number, kind: 'file' | 'volume' | 'fail', text: string]

/** What came of a batch: the results of its items, up to one that threw or was given up; in order, what was said meanwhile. */
export interface Outcome<Result> {
  readonly results: readonly Result[]
  readonly said: readonly Said[]
  readonly thrown?: ThrownText
}

/** An error on its way between threads, which keep no classes. */
export interface ThrownText {
  /** It tells of the volume, a device or a system call, and is no bug. */
  readonly isOperational: boolean
  readonly name: string
  readonly message: string
  readonly stack: string
}

/** From a reader. */
export type ReaderMessage<Result> =
  | { readonly kind: 'ready' }
  | { readonly kind: 'refused'; readonly error: ThrownText }
  | { readonly kind: 'done'; readonly batch: number; readonly outcome: Outcome<Result> }
