/**
 * What threads do with the files that they are given: a task. It is the same in every thread, the main thread included, and an item of
 * it says all that is needed: items and results are posted, so they are plain data.
 */

import type { FileSystemReader } from '@cowherd/fs'
import type { CopyItem, CopyResult } from './copy-task.ts'
import type { DigestItem, DigestResult } from './digest-task.ts'
import type { Said } from './messages.ts'

export interface Task<Item, Result> {
  /** What messages call the item's file: notes about it begin so. */
  nameOf(item: Item): string
  /**
   * Does one item. Yields `undefined` between two pieces of work, where its caller may do other things, or give up (then it leaves nothing
   * half done); the result last. `fail` hears what can't be done; the rest goes on.
   */
  run(item: Item, fail: (text: string) => void): Generator<Result | undefined, void, undefined>
}

/** The note of the volume that came while the item with that index was done. */
export function noteSaid<Item>(
  task: Pick<Task<Item, unknown>, 'nameOf'>,
  item: Item,
  index: number,
  text: string,
): Said {
  return [index, text.startsWith(`${task.nameOf(item)}: `) ? 'file' : 'volume', text]
}

/** The tasks there are, and what they are made with. */
export interface Tasks {
  readonly digest: { readonly item: DigestItem; readonly result: DigestResult; readonly settings: undefined }
  readonly copy: {
    readonly item: CopyItem
    readonly result: CopyResult
    readonly settings: { readonly force: boolean }
  }
}

export type TaskName = keyof Tasks

/** A task by name, with what it is made with. */
export type TaskChoice = {
  readonly [Name in TaskName]: { readonly name: Name; readonly settings: Tasks[Name]['settings'] }
}[TaskName]

/** Makes the task over this thread's view of the filesystem. */
export async function makeTask(choice: TaskChoice, fs: FileSystemReader): Promise<Task<never, unknown>> {
  if (choice.name === 'digest') return new (await import('./digest-task.ts')).DigestTask(fs)
  const { CopyTask } = await import('./copy-task.ts')
  const { loadNative } = await import('@cowherd/shim')
  return new CopyTask(fs, { ...choice.settings, native: loadNative() })
}
