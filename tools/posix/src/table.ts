/** A run as a person reads it. */

import { deviationOf, faultsOf } from './deviations.ts'
import type { CaseResult, PosixRun, SkippedCase } from './results.ts'

type Standing = 'ok' | 'failed' | 'known to differ' | 'skipped'
const STANDINGS: readonly Standing[] = ['ok', 'failed', 'known to differ', 'skipped']

/** A line for each subject, then what was skipped and why, what is known to differ, what failed, and the sum. */
export function tableOf(run: PosixRun): string {
  const standingOf = (result: CaseResult): Standing =>
    result.outcome === 'failed' && deviationOf(run.filesystem, result.name) !== undefined
      ? 'known to differ'
      : result.outcome
  return [
    `${run.filesystem}, Linux ${run.kernel}${run.root ? ', as root' : ''}`,
    ...[...groupBy(run.results, subjectOf)].map(
      ([subject, results]) => `  ${subject.padEnd(12)} ${countsOf(results.map(standingOf))}`,
    ),
    ...skips(run),
    ...deviations(run),
    ...failures(run),
    countsOf(run.results.map(standingOf)).trim(),
  ].join('\n')
}

function subjectOf({ name }: CaseResult): string {
  return name.slice(0, name.indexOf('/'))
}

function countsOf(standings: readonly Standing[]): string {
  return STANDINGS.map((standing) => [standing, standings.filter((each) => each === standing).length] as const)
    .filter(([standing, count]) => count > 0 || standing === 'ok')
    .map(([standing, count]) => `${String(count).padStart(4)} ${standing}`)
    .join('')
}

function skips({ results }: PosixRun): string[] {
  const skipped = results.filter((result): result is SkippedCase => result.outcome === 'skipped')
  return [...groupBy(skipped, ({ reason }) => reason)].map(
    ([reason, cases]) => `skipped: ${reason}\n  ${cases.map(({ name }) => name).join(' ')}`,
  )
}

function deviations({ filesystem, results }: PosixRun): string[] {
  return results
    .filter(({ outcome }) => outcome === 'failed')
    .map(({ name }) => [name, deviationOf(filesystem, name)] as const)
    .filter(([, reason]) => reason !== undefined)
    .map(([name, reason]) => `known to differ: ${name}: ${reason}`)
}

function failures(run: PosixRun): string[] {
  return faultsOf(run).map(({ name, title, at, expected, seen }) =>
    [`FAILED ${name}: ${title}`, `  ${at}`, `  expected: ${expected}`, `  seen:     ${seen}`].join('\n'),
  )
}

function groupBy<T>(values: readonly T[], keyOf: (value: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const value of values) {
    const group = groups.get(keyOf(value))
    if (group === undefined) groups.set(keyOf(value), [value])
    else group.push(value)
  }
  return groups
}
