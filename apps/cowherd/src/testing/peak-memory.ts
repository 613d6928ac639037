/**
 * The built program as a process whose memory is measured. At its end it says itself how large it was at most: VmHWM of proc(5), which
 * counts from its start. (The greatest size that getrusage(2) tells of is no measure: it counts in what the parent was at the fork.)
 */

import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import type { Readable } from 'node:stream'
import { builtProgram } from './built.ts'

export interface Measured {
  readonly code: number | null
  /** Greatest resident size of the process. */
  readonly peakBytes: number
  /** Lines on standard output. */
  readonly lines: number
  readonly err: string
}

/** Where the program reports. */
const REPORT_FD = 3
/** Runs in the process before the program. */
const REPORT = `
  import { readFileSync, writeSync } from 'node:fs'
  process.on('exit', () => void writeSync(${REPORT_FD}, /VmHWM:\\s*(\\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1]))
`

/** Runs `cowherd ARGV` to its end. What it prints is read as it comes, and counted. Linux. */
export async function measured(argv: readonly string[]): Promise<Measured> {
  const report = `data:text/javascript,${encodeURIComponent(REPORT)}`
  const child = spawn(process.execPath, ['--import', report, builtProgram(), ...argv], {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  }) as ChildProcessByStdio<null, Readable, Readable>
  const [[code], lines, words, peakKiB] = await Promise.all([
    once(child, 'close') as Promise<[number | null]>,
    countLines(child.stdout),
    text(child.stderr),
    text(child.stdio[REPORT_FD] as Readable),
  ])
  return { code, peakBytes: Number(peakKiB) * 1024, lines, err: words }
}

async function countLines(stream: Readable): Promise<number> {
  let lines = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) lines++
  }
  return lines
}
