/**
 * The real bcachefs-tools as a judge. Version 1.13 has failures of its own, which say nothing about a volume: here they are
 * known by their signatures, and the tool is run again from the same bytes. What it says of a volume passes unchanged.
 * `docs/how-to/referees.md` tells what they are and how often they come.
 */

import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { needPlace } from './place.ts'
import { must, run, type Ended, type RunOptions } from './run.ts'

/** The tool's end, its output as text. */
export interface Verdict {
  /** Exit status; 137 if a signal ended it. */
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  /** How often it was run: more than once if it failed in a way of its own. */
  readonly runs: number
}

/** One run in twelve fails by itself at worst, so all of these do once in 250,000 times. */
const RUNS_MAX = 5
/** It may be the volume at which it hangs, and finding that out takes its time. */
const HANGS_MAX = 2
const TIMEOUT_MS = 300_000
/** It waits for nobody but disks. */
const IDLE_MS = 10_000

/**
 * How the tool fails by itself. It leaves parts of the heap in disorder when it shuts down, and a thread that ends then, the
 * volume all written, stumbles over them, or waits for ever. A failed assertion (SIGABRT with other words) or a panic isn't among these: that
 * may be the volume's doing.
 */
const OWN_FAILURES: readonly ((ended: Ended) => boolean)[] = [
  ({ signal, stderr }) => signal === 'SIGABRT' && /^tcache_thread_shutdown\(\): /m.test(stderr.toString()),
  ({ signal }) => signal === 'SIGSEGV',
  ({ hung }) => hung,
]

/** Said behind its last words, in up to a run in three: the journal is looked at when the devices have been let go. */
const AFTERTHOUGHT =
  /(?<=^(?:un)?shutdown complete.*\n)insufficient writeable journal devices available: have 0, .*\nrw journal devs: *\n/m

/**
 * Runs the real `bcachefs ARGS`; again, up to RUNS_MAX times, as long as it fails in a way of its own. A command that writes
 * starts from the same bytes each time: image files among the arguments are put back before.
 */
export async function bcachefs(args: readonly string[], options: RunOptions = {}): Promise<Verdict> {
  const tool = needPlace().bcachefs
  const kept = writes(args) ? await keep(args.filter(isImage)) : undefined
  try {
    for (let runs = 1; ; runs++) {
      const ended = await run(tool, args, { timeoutMs: TIMEOUT_MS, idleMs: IDLE_MS, ...options })
      const most = ended.hung ? HANGS_MAX : RUNS_MAX
      if (runs >= most || !OWN_FAILURES.some((isIt) => isIt(ended))) return verdictOf(ended, runs)
      await kept?.putBack()
    }
  } finally {
    kept?.remove()
  }
}

function verdictOf({ code, stdout, stderr }: Ended, runs: number): Verdict {
  return { code, stdout: stdout.toString().replace(AFTERTHOUGHT, ''), stderr: stderr.toString(), runs }
}

/** Commands that leave an image as it is to the byte; of others it isn't known. */
const READING = new Set(['version', 'show-super', 'list', 'list_journal'])

function writes([command = '', ...args]: readonly string[]): boolean {
  return command === 'fsck' ? !args.includes('-n') : !READING.has(command)
}

function isImage(argument: string): boolean {
  return fs.statSync(argument, { throwIfNoEntry: false })?.isFile() === true
}

/** Files as they were. */
interface Kept {
  putBack(): Promise<void>
  remove(): void
}

async function keep(files: readonly string[]): Promise<Kept> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cowherd-kept-'))
  const copies = files.map((file, index) => ({ file, copy: path.join(folder, String(index)) }))
  const kept: Kept = {
    async putBack() {
      for (const { file, copy } of copies) await copySparse(copy, file)
    },
    remove() {
      fs.rmSync(folder, { recursive: true, force: true })
    },
  }
  try {
    for (const { file, copy } of copies) await copySparse(file, copy)
    return kept
  } catch (error) {
    kept.remove()
    throw error
  }
}

async function copySparse(from: string, to: string): Promise<void> {
  await must('cp', ['--sparse=always', '--', from, to])
}

export interface FsckVerdict extends Verdict {
  /** The tool found nothing to say against the volume: exit status 0 and no complaint. */
  readonly clean: boolean
  /** The lines that a check of a sound volume doesn't print. */
  readonly complaints: readonly string[]
}

/** What a check of a sound volume prints: its passes, its start and end, and what it can't help. */
const HARMLESS = [
  /^\w+\.\.\. ?done$/,
  /^Running userspace offline fsck$/,
  /^starting version /,
  /^recovering from (clean|unclean) shutdown/,
  /^journal read done, replaying entries /,
  /^going read-write$/,
  /^shutdown complete/,
  // It wants the kernel's driver first, which this machine hasn't got; some haven't got modprobe, and the shell says so.
  /^(sh: .*)?modprobe: /,
  /^Enter passphrase:/,
  /^$/,
]

/** `bcachefs fsck -n` of a volume, given all its images; nothing is repaired, or written at all. */
export async function fsck(images: readonly string[], options: RunOptions = {}): Promise<FsckVerdict> {
  const verdict = await bcachefs(['fsck', '-n', ...images], options)
  const lines = `${verdict.stdout}\n${verdict.stderr}`.split('\n')
  const complaints = lines.filter((line) => !HARMLESS.some((pattern) => pattern.test(line)))
  return { ...verdict, complaints, clean: verdict.code === 0 && complaints.length === 0 }
}
