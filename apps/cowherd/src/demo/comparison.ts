/**
 * Compares a tree with what it is to be, file by file and column by column, and shows the result. What this process can't see or keep (without
 * root, or without koffi) isn't compared.
 */

import { loadNative } from '@cowherd/shim'
import type { ManifestRow } from '../copy/local-tree.ts'
import type { Stage } from './stage.ts'

const isRoot = process.getuid?.() === 0
const hasNative = loadNative() !== undefined

/** A column of the result: what is compared, and of which files. */
interface Check {
  readonly name: string
  readonly value: (row: ManifestRow) => string | undefined
}

const CHECKS: readonly Check[] = [
  { name: 'type', value: ({ type }) => type },
  { name: 'mode', value: modeValue },
  { name: 'size', value: ({ type, size }) => (type === 'd' ? undefined : size) },
  { name: 'mtime', value: ({ mtimeNs }) => (hasNative ? mtimeNs : mtimeNs.slice(0, -9)) },
  { name: 'content', value: ({ type, content }) => (type === 'f' ? content : undefined) },
  { name: 'target', value: ({ type, content }) => (type === 'l' ? content : undefined) },
  { name: 'links', value: ({ type, links }) => (type === 'f' ? links : undefined) },
  { name: 'owner', value: ({ uid, gid }) => (isRoot ? `${uid}:${gid}` : undefined) },
  { name: 'device', value: ({ type, device }) => (type === 'b' || type === 'c' ? device : undefined) },
]

/** Set-id bits go with the owner, which only root can keep. */
function modeValue({ type, mode }: ManifestRow): string | undefined {
  if (type === 'l') return undefined
  return isRoot ? mode : (parseInt(mode, 8) & 0o1777).toString(8)
}

/** What is compared with what. */
export interface Comparison {
  /** How it is called: `default, copy`. */
  readonly title: string
  /** Whose word `expected` is. */
  readonly judge: string
  readonly expected: readonly ManifestRow[]
  readonly found: readonly ManifestRow[]
  /** True of files that may be missing, as they could not be made. */
  readonly mayBeMissing?: (row: ManifestRow) => boolean
}

/** Shows the comparison. Returns the number of differences. */
export function compare(stage: Stage, { title, judge, expected, found, mayBeMissing }: Comparison): number {
  const copied = new Map(found.map((row) => [row.path, row]))
  const left = expected.filter((row) => mayBeMissing?.(row) === true && !copied.has(row.path))
  const rows = expected.filter((row) => !left.includes(row))
  const missing = rows.filter(({ path }) => !copied.has(path))
  const known = new Set(expected.map(({ path }) => path))
  const surplus = [...copied.keys()].filter((path) => !known.has(path))

  let faults = missing.length + surplus.length
  const cells = CHECKS.map(({ name: check, value }) => {
    let equal = 0
    let compared = 0
    for (const row of rows) {
      const copy = copied.get(row.path)
      const wanted = value(row)
      if (copy === undefined || wanted === undefined) continue
      compared++
      if (value(copy) === wanted) equal++
      else stage.line(`  ${row.path}: ${check} is ${value(copy) ?? 'none'}, ${judge} showed ${wanted}`)
    }
    faults += compared - equal
    return { check, text: compared === 0 ? '-' : equal === compared ? `${equal} equal` : `${compared - equal} DIFFER` }
  })
  for (const { path } of missing) stage.line(`  ${path} is missing`)
  for (const path of surplus) stage.line(`  ${path} should not be there`)

  stage.line(`\n${title}: ${rows.length} files compared with what ${judge} showed of them`)
  for (const { check, text } of cells) stage.line(`  ${check.padEnd(10)}${text}`)
  if (left.length > 0) stage.line(`  (${left.length} devices and the like take root and koffi; not copied)`)
  return faults
}
