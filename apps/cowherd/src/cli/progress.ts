/**
 * The progress of long work: a bar with rate and time left on a terminal, nothing in a pipe.
 *
 * Work is synchronous, so the bar draws itself inside `add`, at most ten times a second.
 */

import { sizeText } from './text.ts'

export interface Progress {
  /** `bytes` more are done. */
  add(bytes: number): void
  /** Removes the bar, for other text or at the end; a later `add` draws it again. */
  clear(): void
}

export const NO_PROGRESS: Progress = { add: () => undefined, clear: () => undefined }

/** The part of a terminal that the bar needs. */
export interface Terminal {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

const REDRAW_EVERY_MS = 100
const CLEAR_LINE = '\r\x1b[K'

/** A bar for `total` bytes on `terminal`, or nothing if that isn't one. Where the total isn't known, what is done is shown. */
export function progressBar(total: number | undefined, terminal: Terminal): Progress {
  if (terminal.isTTY !== true || total === 0) return NO_PROGRESS
  const startedMs = performance.now()
  let done = 0
  let drawnMs = startedMs
  let visible = false
  return {
    add(bytes) {
      done += bytes
      const nowMs = performance.now()
      if (nowMs - drawnMs < REDRAW_EVERY_MS) return
      drawnMs = nowMs
      visible = true
      const elapsedMs = nowMs - startedMs
      const text =
        total === undefined
          ? amountText(done, elapsedMs)
          : barText(Math.min(done, total), total, elapsedMs, terminal.columns ?? 80)
      terminal.write(CLEAR_LINE + text)
    },
    clear() {
      if (visible) terminal.write(CLEAR_LINE)
      visible = false
    },
  }
}

/** `[=====     ]  42%  1.2 GiB of 2.9 GiB  310 MiB/s  5 s left` */
export function barText(value: number, total: number, elapsedMs: number, columns: number): string {
  const seconds = Math.max(elapsedMs / 1000, 0.001)
  const rate = value / seconds
  const left = rate === 0 ? '' : `${durationText((total - value) / rate)} left`
  const part = total === 0 ? 1 : value / total
  const numbers = `${Math.floor(part * 100)
    .toString()
    .padStart(3)}%  ${sizeText(value)} of ${sizeText(total)}  ${sizeText(rate)}/s  ${left}`
  const width = Math.max(0, Math.min(40, columns - numbers.length - 4))
  if (width < 5) return numbers
  const filled = Math.round(part * width)
  return `[${'='.repeat(filled)}${' '.repeat(width - filled)}] ${numbers}`
}

/** `1.2 GiB  310 MiB/s` */
function amountText(value: number, elapsedMs: number): string {
  return `${sizeText(value)}  ${sizeText(value / Math.max(elapsedMs / 1000, 0.001))}/s`
}

/** `42 s`, `3 min 20 s`, `2 h 5 min` */
export function durationText(seconds: number): string {
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`
}
