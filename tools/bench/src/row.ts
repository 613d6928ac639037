/** Results: rows of contenders for the same work, as a table and as JSON. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import type { Figure } from './measure.ts'

/** One piece of work and what each contender took for it. */
export interface Row {
  readonly what: string
  /** Bytes that one execution handles; undefined where that says nothing. */
  readonly bytes?: number
  readonly figures: readonly Figure[]
  /** The contender that the others are compared with, by name. */
  readonly peer: string
  /** What else is to be known about how they were measured. */
  readonly note?: string
}

/** How many times as fast as the row's peer a contender is. */
export function ratioToPeer(row: Row, figure: Figure): number {
  const peer = row.figures.find(({ name }) => name === row.peer)
  if (peer === undefined) throw new Error(`${row.what}: no contender is called ${row.peer}`)
  return peer.medianNs / figure.medianNs
}

/** The rows as text, one line a contender. A ratio above 1 is faster than the peer. */
export function tableOf(rows: readonly Row[]): string {
  const lines = [['work', 'by', 'time', 'MB/s', 'of peer']]
  for (const row of rows) {
    row.figures.forEach((figure, i) => {
      lines.push([
        i === 0 ? row.what : '',
        figure.name === row.peer ? `${figure.name} (peer)` : figure.name,
        timeText(figure.medianNs),
        row.bytes === undefined ? '' : ((row.bytes / figure.medianNs) * 1000).toFixed(0),
        `${ratioToPeer(row, figure).toFixed(2)} x`,
      ])
    })
  }
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

/** Writes the rows, with what they were measured on. */
export function writeResults(path: string, set: string, rows: readonly Row[]): void {
  mkdirSync(new URL('.', `file://${path}`).pathname, { recursive: true })
  const machine = { cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, node: process.version }
  const measured = rows.map((row) => ({
    ...row,
    figures: row.figures.map((figure) => ({ ...figure, ratioToPeer: ratioToPeer(row, figure) })),
  }))
  const date = new Date().toISOString()
  writeFileSync(path, `${JSON.stringify({ set, date, machine, rows: measured }, undefined, 2)}\n`)
}

function timeText(ns: number): string {
  if (ns < 1e3) return `${ns.toFixed(0)} ns`
  if (ns < 1e6) return `${(ns / 1e3).toFixed(2)} us`
  if (ns < 1e9) return `${(ns / 1e6).toFixed(2)} ms`
  return `${(ns / 1e9).toFixed(2)} s`
}
