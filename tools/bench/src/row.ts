/** Results: rows of contenders for the same work, as a table and as JSON. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import type { Figure } from './measure.ts'

/** What the contenders did, or what they take. */
export type AnyRow = Row | SizeRow

interface RowHead {
  readonly what: string
  /** The contender that the others are compared with, by name. */
  readonly peer: string
  /** What else is to be known about how they were measured. */
  readonly note?: string
}

/** One piece of work and what each contender took for it. */
export interface Row extends RowHead {
  /** Bytes that one execution handles; undefined where that says nothing. */
  readonly bytes?: number
  readonly figures: readonly Figure[]
}

/** Something that takes room, and how much each contender takes for it. */
export interface SizeRow extends RowHead {
  readonly sizes: readonly SizeFigure[]
}

export interface SizeFigure {
  readonly name: string
  readonly bytes: number
}

/** How many times as fast as the row's peer a contender is. */
export function ratioToPeer(row: Row, figure: Figure): number {
  return peerOf(row, row.figures).medianNs / figure.medianNs
}

const HEAD = ['work', 'by', 'takes', 'processor', 'per s', 'MB/s', 'of peer', 'of best']

/** The rows as text, one line a contender. A ratio above 1 is faster, or smaller, than the peer, or the best contender. */
export function tableOf(rows: readonly AnyRow[]): string {
  const all = [HEAD, ...rows.flatMap(linesOf)]
  const used = HEAD.map((_, column) => all.some((line, i) => i > 0 && line[column] !== ''))
  const lines = all.map((line) => line.filter((_, column) => used[column]))
  const notes = rows.filter(({ note }) => note !== undefined).map(({ what, note }) => `\n${what}: ${note}`)
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)))
  const table = lines.map((line) =>
    line
      .map((cell, column) => (column < 2 ? cell.padEnd(widths[column]) : cell.padStart(widths[column])))
      .join('  ')
      .trimEnd(),
  )
  return [...table, ...notes].join('\n')
}

function linesOf(row: AnyRow): string[][] {
  const entries =
    'sizes' in row
      ? row.sizes.map(({ name, bytes }) => ({ name, amount: bytes, cells: [sizeText(bytes), '', '', ''] }))
      : row.figures.map((figure) => ({
          name: figure.name,
          amount: figure.medianNs,
          cells: timeCells(figure, row.bytes),
        }))
  const best = Math.min(...entries.map(({ amount }) => amount))
  const peer = peerOf(row, entries).amount
  return entries.map(({ name, amount, cells }, i) => [
    i === 0 ? row.what : '',
    name === row.peer ? `${name} (peer)` : name,
    ...cells,
    `${(peer / amount).toFixed(2)} x`,
    `${(best / amount).toFixed(2)} x`,
  ])
}

function peerOf<T extends { readonly name: string }>(row: RowHead, contenders: readonly T[]): T {
  const peer = contenders.find(({ name }) => name === row.peer)
  if (peer === undefined) throw new Error(`${row.what}: no contender is called ${row.peer}`)
  return peer
}

function timeCells({ medianNs: ns, processorNs }: Figure, bytes: number | undefined): string[] {
  const processor = processorNs === undefined ? '' : timeText(processorNs)
  return [timeText(ns), processor, rateText(1e9 / ns), bytes === undefined ? '' : ((bytes / ns) * 1000).toFixed(0)]
}

/** Writes the rows, with what they were measured on. */
export function writeResults(path: string, set: string, rows: readonly AnyRow[]): void {
  mkdirSync(new URL('.', `file://${path}`).pathname, { recursive: true })
  const machine = { cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, node: process.version }
  const measured = rows.map((row) =>
    'sizes' in row
      ? row
      : { ...row, figures: row.figures.map((figure) => ({ ...figure, ratioToPeer: ratioToPeer(row, figure) })) },
  )
  const date = new Date().toISOString()
  writeFileSync(path, `${JSON.stringify({ set, date, machine, rows: measured }, undefined, 2)}\n`)
}

function timeText(ns: number): string {
  if (ns < 1e3) return `${ns.toFixed(0)} ns`
  if (ns < 1e6) return `${(ns / 1e3).toFixed(2)} us`
  if (ns < 1e9) return `${(ns / 1e6).toFixed(2)} ms`
  return `${(ns / 1e9).toFixed(2)} s`
}

function rateText(perSecond: number): string {
  if (perSecond < 10) return perSecond.toFixed(2)
  return Math.round(perSecond).toLocaleString('en')
}

function sizeText(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`
}
