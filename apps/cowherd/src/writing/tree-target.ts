/** What a tree of files is copied into: a volume that is in use (`volume-files.ts`), or one that is being made (`new-volume-files.ts`). */

import type { NodeRef } from '@cowherd/fs'
import type { Native } from '@cowherd/shim'
import type { Interruption } from '../cli/interruption.ts'
import type { Progress } from '../cli/progress.ts'
import type { LocalFile } from './local-files.ts'
import type { FileHead, Folder, NewFile } from './new-files.ts'
import type { Place } from './place.ts'

export interface TargetOptions {
  readonly native: Native | undefined
  readonly interruption: Pick<Interruption, 'due' | 'rest'>
  readonly progress: Progress
  /** Told what could not be copied. */
  readonly fail: (text: string) => void
  /** Told what is worth knowing. */
  readonly note: (text: string) => void
}

/** What a copy is to be. */
export interface TreeHead extends FileHead {
  /** Names of the original. */
  readonly linkCount: number
}

/** All calls throw VolumeError; what can't be done then leaves nothing behind. Heads have the type of the file that is made. */
export interface TreeTarget {
  /** A directory that is there already. */
  folder(ref: NodeRef): Folder
  /** What is there. */
  find(place: Place): { readonly ref: NodeRef; readonly isDirectory: boolean } | undefined
  /** Takes the name of a file away. */
  remove(place: Place): void
  /** Makes a directory, to be finished when all that is in it is there. */
  makeDirectory(folder: Folder, place: Place, head: FileHead): NewFile
  finishDirectory(made: NewFile, path: Uint8Array, head: FileHead): void
  /** Makes a directory that was there before as `head` says, but for what `finishDirectory` does, too. */
  adopt(ref: NodeRef, path: Uint8Array, head: FileHead): void
  /** Makes a device node, fifo or socket, whole. */
  makeNode(folder: Folder, place: Place, head: TreeHead): NodeRef
  makeLink(folder: Folder, place: Place, head: TreeHead, target: Uint8Array): NodeRef
  /** Makes another name for a file. Throws VolumeError EXDEV, EMLINK if there can't be one, too. */
  link(file: NodeRef, folder: Folder, name: Uint8Array): void
  /**
   * Copies a regular file, now or a little later, and adds `share` to the progress. Returns it if it has several names. Throws errors of system calls,
   * CommandError if nothing more can be copied, Interrupted.
   */
  copy(file: LocalFile, folder: Folder, place: Place, head: TreeHead, share: number): Promise<NodeRef | undefined>
  /** Nothing more comes into the directory that is being filled, for now. Throws CommandError. */
  settle(): void
  /** A file that could not be copied is given up. */
  giveUp(): void
  /** After something failed: makes what waits to be made, as far as that can be. */
  abort(): void
}
