/**
 * A filesystem at work on recorded disks: operations at random with a journal of what was begun, what was done and what was promised when; so that
 * of a tree that a cut leaves it can be said whether it may be there.
 *
 * What may be there is what was after one of the operations, or after one of the transactions of an operation that takes several: all before it,
 * and nothing behind it. It is not older than what was flushed.
 */

import { VolumeError, type Database } from '@cowherd/db'
import type { WritableFileSystem } from '@cowherd/fs'
import { Random } from '@cowherd/fuzz'
import { FileOperations } from './file-operations.ts'
import { openRunning, ROOT, treeOn, type OpenedFileSystem } from './file-system-run.ts'
import type { Image } from './image.ts'
import { LateThread } from './late-thread.ts'
import type { ChangingFile, Operation } from './operation.ts'
import { Recording } from './recording.ts'
import { TreeModel } from './tree-model.ts'
import {
  ANY_SECTORS,
  newestChange,
  readNode,
  readTree,
  treeDifference,
  type TreeNode,
  type TreeState,
} from './tree-state.ts'

export interface WorkloadOptions {
  readonly blockBytes: number
  /** Chance, and what is made by it. */
  readonly seeds: readonly number[]
  /** What is on the disks; left out: it is read. */
  readonly tree?: TreeState
}

/** What happens in a run, in order. */
interface Step {
  readonly what: string
  /** How many commands had returned when it began. */
  readonly begun: number
  /** What may be found when all of it is there, and before that, when some of its transactions are: those but the last, in their order. */
  readonly after: DatedTree
  readonly between: readonly DatedTree[]
  /** The journal entry that has the last of it. */
  readonly seq: number
}

/** With the newest change in it, by which it is found quickly. */
interface DatedTree {
  readonly tree: TreeState
  readonly time: number
}

/** From some command on a step is there, and all before it. */
interface Promised {
  readonly point: number
  readonly step: number
}

/** From some command on these can't be there: a process began without them. */
interface Lost {
  readonly point: number
  readonly first: number
  readonly last: number
}

/** What is told of each transaction. */
interface Hook {
  /** Called before it. */
  before: () => void
  /** The journal entry that has the last one. */
  seq: number
}

export interface Recognized {
  readonly step: number
  readonly tree: TreeState
}

/** With less of a volume free, files are removed. */
const ROOM_LEAST = 0.2
/** Seconds since 1970 of the first operation. */
const EPOCH = 1_800_000_000

export class FileSystemWorkload {
  readonly recording: Recording
  private readonly random: Random
  private readonly options: WorkloadOptions
  private readonly model: TreeModel
  private readonly steps: Step[] = []
  private readonly promises: Promised[] = [{ point: 0, step: 0 }]
  private readonly losses: Lost[] = []
  private opened = 0
  private clockMs = 0

  constructor(disks: readonly Image[], options: WorkloadOptions) {
    this.recording = new Recording(disks)
    this.random = new Random(...options.seeds)
    this.options = options
    const tree = options.tree ?? treeOn(disks)
    this.model = new TreeModel(tree, ROOT)
    this.model.now = Math.max(EPOCH, newestChange(tree, ROOT))
    this.steps.push({ what: 'the start', begun: 0, after: dated(tree), between: [], seq: 0 })
  }

  /** Works from a start to the end of the process: a shutdown, or a crash, after which what it had in memory is lost. */
  run(operations: number, end: 'shutdown' | 'crash'): void {
    const { recording, random, options } = this
    const devices = recording.devices.map((device) => ({ ...device, close: () => undefined }))
    const seeds = [...options.seeds, ++this.opened]
    const thread = random.chance(0.5) ? { journalThread: new LateThread(devices, new Random(...seeds, 1)) } : {}
    const opened = openRunning(devices, { seeds, now: () => this.model.now, ...thread })
    if (this.opened > 1) this.takeUp(opened)
    const hook = hookOf(opened.db)
    const { capacity } = opened.db
    const choice = new FileOperations(opened.fs, this.model, random, {
      blockBytes: options.blockBytes,
      hasRoom: () => capacity.freeSectors > ROOM_LEAST * capacity.totalSectors,
    })
    for (let i = 0; i < operations; i++) {
      const operation = choice.next()
      try {
        this.perform(operation, opened.fs, hook)
        this.sometimes(opened)
      } catch (error) {
        throw new Error(`step ${this.steps.length} (${operation.what})`, { cause: error })
      }
    }
    if (end === 'crash') return opened.db.abandon()
    opened.fs.close()
    this.promise(this.steps.length - 1)
  }

  /** A command to cut the power in: more often than by chance alone one of an operation of several transactions. */
  somePoint(random: Random): number {
    const { steps, recording } = this
    const { length } = recording.commands
    const long = steps.flatMap(({ between }, step) => (between.length > 0 ? [step] : []))
    if (long.length === 0 || random.chance(0.7)) return random.below(length + 1)
    const step = random.pick(long)
    const { begun } = steps[step]
    const end = step + 1 < steps.length ? steps[step + 1].begun : length
    return begun + random.below(end - begun + 1)
  }

  /** Says which of the trees that may be there after a cut in command `point` was found. Throws what differs if it is none. */
  recognize(found: TreeState, point: number): Recognized {
    const least = Math.max(...this.promises.filter((each) => each.point <= point).map(({ step }) => step))
    const time = newestChange(found, ROOT)
    let nearest = `none of the steps from ${least} on has its last change`
    for (let step = this.steps.length - 1; step >= least; step--) {
      const { begun, after, between, what } = this.steps[step]
      if (begun > point || this.isLost(step, point)) continue
      for (const each of step === least ? [after] : [after, ...between]) {
        if (each.time !== time) continue
        const difference = treeDifference(found, each.tree, ROOT)
        if (difference === undefined) return { step, tree: each.tree }
        nearest = `step ${step} (${what}): ${difference}`
      }
    }
    throw new Error(nearest)
  }

  private isLost(step: number, point: number): boolean {
    return this.losses.some((lost) => lost.point <= point && lost.first <= step && step <= lost.last)
  }

  /** Begins with what another process has left. */
  private takeUp({ db, fs }: OpenedFileSystem): void {
    const { recording, model, steps } = this
    const point = recording.commands.length
    const found = readTree(fs)
    const { step } = this.recognize(found, point)
    this.losses.push({ point, first: step + 1, last: steps.length - 1 })
    model.reset(found)
    model.now++
    steps.push({ what: 'another start', begun: point, after: dated(found), between: [], seq: db.seq })
  }

  private perform({ what, changing, transactionsMax, run }: Operation, fs: WritableFileSystem, hook: Hook): void {
    const { model, recording, steps } = this
    model.now++
    const begun = recording.commands.length
    const before = model.state
    const seen: TreeNode[] = []
    let transactions = 0
    hook.before = () => {
      if (transactions++ === 0) return
      if (changing !== undefined) seen.push(readNode(fs, model.node(changing.id).ref))
      // as when the journal's entry is full
      if (this.random.chance(0.4)) fs.sync()
    }
    try {
      run()
    } catch (error) {
      const isRefused = error instanceof VolumeError && error.code === 'ENOSPC' && transactions === 0
      if (!isRefused) throw error
      return // for want of room, before anything was changed
    } finally {
      hook.before = () => undefined
    }
    if (transactions > transactionsMax) throw new Error(`took ${transactions} transactions`)
    const after = model.state
    const between = changing === undefined ? [] : seen.map((node) => dated(treeBetween(before, after, node, changing)))
    steps.push({ what, begun, after: dated(after), between, seq: hook.seq })
  }

  /** What goes on besides the operations. */
  private sometimes({ db, fs }: OpenedFileSystem): void {
    const { random, steps } = this
    const step = steps.length - 1
    const part = random.below(100)
    if (part < 10) {
      fs.sync()
      this.promise(step)
    } else if (part < 28) {
      db.flushLater((error) => {
        if (error !== undefined) throw error
        this.promise(step)
      })
    } else if (part < 30) db.writeBack()
    else if (part < 40) db.work((this.clockMs += 1000))
    if (random.chance(0.3)) db.poll()
    this.promise(steps.findLastIndex(({ seq }) => seq <= db.flushedSeq))
  }

  private promise(step: number): void {
    const { promises, recording } = this
    if (step > (promises.at(-1)?.step ?? -1)) promises.push({ point: recording.commands.length, step })
  }
}

function dated(tree: TreeState): DatedTree {
  return { tree, time: newestChange(tree, ROOT) }
}

/** Has the caller told of each transaction of `db`. */
function hookOf(db: Database): Hook {
  const hook: Hook = { before: () => undefined, seq: db.seq }
  const write = db.write.bind(db)
  db.write = (change, options) => {
    hook.before()
    return (hook.seq = write(change, options))
  }
  return hook
}

/** The tree when a file was seen on its way. Throws if it was not on the way that it should go. */
function treeBetween(before: TreeState, after: TreeState, seen: TreeNode, changing: ChangingFile): TreeState {
  const { id, isFinished, from, to } = changing
  const [old, next] = [before.get(id), after.get(id)]
  if (old === undefined || next === undefined) throw new Error(`${id} is not there`)
  const node = isFinished ? { ...next, sectors: ANY_SECTORS } : seen
  if (isFinished) {
    const difference = treeDifference(new Map([[id, seen]]), new Map([[id, { ...node, entries: new Map() }]]), id)
    if (difference !== undefined) throw new Error(`cut short: ${difference}`)
  } else if (!isOnTheWay(old.content, next.content, seen.content, from, to) || seen.ctime !== next.ctime) {
    throw new Error(`${seen.content.length} bytes of ${id} are not on the way to ${next.content.length}`)
  }
  return new Map(before).set(id, node)
}

/** Whether the bytes from `from` to `to` are new up to some place, old behind it, and the rest is new. Behind the end all are zeros. */
function isOnTheWay(old: Uint8Array, next: Uint8Array, seen: Uint8Array, from: number, to: number): boolean {
  if (seen.length < Math.min(old.length, next.length) || seen.length > Math.max(old.length, next.length)) return false
  const byte = (content: Uint8Array, at: number): number => content[at] ?? 0
  let border = to
  while (border > from && byte(seen, border - 1) === byte(old, border - 1)) border--
  for (let at = 0; at < seen.length; at++) {
    const isOld = border <= at && at < to
    if (seen[at] !== byte(isOld ? old : next, at)) return false
  }
  return true
}
