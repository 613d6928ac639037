/**
 * What a tree of files should be: the calls of a filesystem on `TreeState`s, by the rules of POSIX. Only what may be is asked for: nothing is
 * refused here. Who makes something calls with the inode that it has got.
 */

import { idOf, type Kind, type TreeNode, type TreeState } from './tree-state.ts'
import type { NodeRef } from '@cowherd/fs'

const NOTHING: Uint8Array = new Uint8Array(0)
/** A file before anything is known of it. */
const BLANK = {
  ...{ uid: 0, gid: 0, sectors: 0, content: NOTHING },
  entries: new Map<string, string>(),
  attributes: new Map<string, string>(),
}

export class TreeModel {
  /** Seconds: what a change leaves as times. */
  now = 0
  readonly root: string
  private readonly nodes: Map<string, TreeNode>
  /** Files that somebody uses, and how often. */
  private readonly held = new Map<string, number>()

  constructor(state: TreeState, root: string) {
    this.nodes = new Map(state)
    this.root = root
  }

  get state(): TreeState {
    return new Map(this.nodes)
  }

  /** Goes back to what was. Nobody uses anything. */
  reset(state: TreeState): void {
    this.nodes.clear()
    this.held.clear()
    for (const [id, node] of state) this.nodes.set(id, node)
  }

  /** Throws RangeError if there is none. */
  node(id: string): TreeNode {
    const node = this.nodes.get(id)
    if (node === undefined) throw new RangeError(`the model has no inode ${id}`)
    return node
  }

  /** All that there is, with and without names. */
  ids(kind?: Kind): string[] {
    return [...this.nodes].filter(([, node]) => kind === undefined || node.kind === kind).map(([id]) => id)
  }

  heldIds(): string[] {
    return [...this.held.keys()]
  }

  make(directory: string, name: string, ref: Readonly<NodeRef>, kind: Kind, mode: number, content = NOTHING): void {
    this.born(ref, kind, mode, 1, content)
    this.enter(directory, name, idOf(ref))
  }

  makeNameless(ref: Readonly<NodeRef>, mode: number): void {
    this.born(ref, 'file', mode, 0, NOTHING)
  }

  link(id: string, directory: string, name: string): void {
    this.change(id, { links: this.node(id).links + 1 })
    this.enter(directory, name, id)
  }

  /** unlink(2), and rmdir(2) of an empty directory. */
  remove(directory: string, name: string): void {
    const id = this.child(directory, name)
    this.leave(directory, name)
    this.drop(id)
  }

  rename(directory: string, name: string, newDirectory: string, newName: string, isExchange: boolean): void {
    const id = this.child(directory, name)
    const other = this.node(newDirectory).entries.get(newName)
    if (id === other) return
    this.leave(directory, name)
    if (other !== undefined) this.leave(newDirectory, newName)
    this.enter(newDirectory, newName, id)
    this.change(id, {})
    if (other === undefined) return
    if (!isExchange) return this.drop(other)
    this.enter(directory, name, other)
    this.change(other, {})
  }

  write(id: string, offset: number, data: Uint8Array): void {
    const { content } = this.node(id)
    const written = resized(content, Math.max(content.length, offset + data.length))
    written.set(data, offset)
    this.change(id, { content: written, mtime: this.now })
  }

  resize(id: string, size: number): void {
    this.change(id, { content: resized(this.node(id).content, size), mtime: this.now })
  }

  /** Zeros from `start` to `end`, as far as the file goes. */
  zero(id: string, start: number, end: number): void {
    const content = this.node(id).content.slice()
    content.fill(0, start, end)
    this.change(id, { content, mtime: this.now })
  }

  /** Changes what is given, and when it was changed. */
  change(id: string, changes: Partial<TreeNode>): void {
    this.nodes.set(id, { ...this.node(id), ctime: this.now, ...changes })
  }

  /** What the model can't know. */
  learnSectors(id: string, sectors: number): void {
    this.nodes.set(id, { ...this.node(id), sectors })
  }

  hold(id: string): void {
    this.held.set(id, (this.held.get(id) ?? 0) + 1)
  }

  forget(id: string): void {
    const left = (this.held.get(id) ?? 0) - 1
    if (left > 0) return void this.held.set(id, left)
    this.held.delete(id)
    if (this.node(id).links === 0) this.nodes.delete(id)
  }

  isHeld(id: string): boolean {
    return this.held.has(id)
  }

  /** Whether a directory is `other`, or below it. */
  isWithin(directory: string, other: string): boolean {
    if (directory === other) return true
    return [...this.node(other).entries.values()].some(
      (child) => this.node(child).kind === 'directory' && this.isWithin(directory, child),
    )
  }

  child(directory: string, name: string): string {
    const id = this.node(directory).entries.get(name)
    if (id === undefined) throw new RangeError(`the model has no name ${name}`)
    return id
  }

  private born(ref: Readonly<NodeRef>, kind: Kind, mode: number, names: number, content: Uint8Array): void {
    const { now } = this
    const links = kind === 'directory' ? 2 : names
    this.nodes.set(idOf(ref), {
      ...{ ...BLANK, ref, kind, mode, links, content },
      ...{ atime: now, mtime: now, ctime: now, otime: now },
    })
  }

  private enter(directory: string, name: string, id: string): void {
    this.changeEntries(directory, id, 1, (entries) => entries.set(name, id))
  }

  private leave(directory: string, name: string): void {
    this.changeEntries(directory, this.child(directory, name), -1, (entries) => entries.delete(name))
  }

  private changeEntries(directory: string, id: string, by: 1 | -1, how: (entries: Map<string, string>) => void): void {
    const { entries: old, links } = this.node(directory)
    const entries = new Map(old)
    how(entries)
    const isDirectory = this.node(id).kind === 'directory'
    this.change(directory, { entries, mtime: this.now, links: links + (isDirectory ? by : 0) })
  }

  /** A name is gone. */
  private drop(id: string): void {
    const { kind, links } = this.node(id)
    const left = kind === 'directory' ? 0 : links - 1
    this.change(id, { links: left })
    if (left === 0 && (kind === 'directory' || !this.isHeld(id))) this.nodes.delete(id)
  }
}

function resized(content: Uint8Array, size: number): Uint8Array {
  const copy = new Uint8Array(size)
  copy.set(content.subarray(0, size))
  return copy
}
