/** The real bcachefs-tools as a judge. */

import { needPlace } from './place.ts'
import { run, type Ended, type RunOptions } from './run.ts'

export interface ToolOptions extends RunOptions {
  /** Run once more if the tool crashed, which version 1.13 does now and then; true by default. */
  readonly retry?: boolean
}

/** The tool's end, its output as text. */
export interface Verdict {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Exit statuses of a crash: panic of its Rust part, and, behind a shell, abort, bus error, segmentation fault. */
const CRASHES = new Set([101, 134, 135, 139])
const TIMEOUT_MS = 300_000

/**
 * Runs the real `bcachefs ARGS`. Some of its commands write to the volume even where it is only looked at: give it a
 * copy of what must stay as it is.
 */
export async function bcachefs(args: readonly string[], options: ToolOptions = {}): Promise<Verdict> {
  const tool = needPlace().bcachefs
  const { retry = true, ...rest } = options
  const once = () => run(tool, args, { timeoutMs: TIMEOUT_MS, ...rest })
  const first = await once()
  const { code, stdout, stderr } = retry && crashed(first) ? await once() : first
  return { code, stdout: stdout.toString(), stderr: stderr.toString() }
}

function crashed({ code, signal }: Ended): boolean {
  return CRASHES.has(code) || (signal !== null && signal !== 'SIGKILL')
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
  // It wants the kernel's driver first, which this machine hasn't got.
  /^modprobe: FATAL: Module bcachefs not found/,
  // A race in its own start, on sound volumes too.
  /^insufficient writeable journal devices available: have 0/,
  /^rw journal devs:/,
  /^Enter passphrase:/,
  /^$/,
]

/** `bcachefs fsck -n` of a volume, given all its images; nothing is repaired. */
export async function fsck(images: readonly string[], options: ToolOptions = {}): Promise<FsckVerdict> {
  const verdict = await bcachefs(['fsck', '-n', ...images], options)
  const lines = `${verdict.stdout}\n${verdict.stderr}`.split('\n')
  const complaints = lines.filter((line) => !HARMLESS.some((pattern) => pattern.test(line)))
  return { ...verdict, complaints, clean: verdict.code === 0 && complaints.length === 0 }
}
