/**
 * How much more two threads do than one. Besides by the clock it is told by the time that the threads had a processor: on a machine on
 * which others work too, that says what two free processors would do, as long as the threads don't wait for each other.
 */

import type { Contender, Figure } from '../measure.ts'
import { spanOf, type Team } from './team.ts'

/** The same work on one thread and on two. */
export interface Scaled {
  readonly contenders: Contender[]
  /** What two threads do more than one, in words. */
  note(figures: readonly Figure[]): string
}

/** `operations` of a task by each of one and two members; a sample is nanoseconds for one operation. */
export function scaling<Task>(
  name: string,
  team: Team<Task>,
  operations: number,
  taskOf: (member: number) => Task,
): Scaled {
  const processorNs: number[][] = [[], []]
  const contenders = [1, 2].map((members): Contender => {
    return {
      name: nameOf(name, members),
      async sample() {
        const reports = await team.run(Array.from({ length: members }, (_, i) => taskOf(i)))
        const used = reports.map((report) => report.processorNs ?? NaN).reduce((a, b) => a + b)
        processorNs[members - 1].push(used / (members * operations))
        return spanOf(reports) / (members * operations)
      },
    }
  })
  const note = (figures: readonly Figure[]): string => {
    const [one, two] = [1, 2].map((members) => figures.find((figure) => figure.name === nameOf(name, members)))
    if (one === undefined || two === undefined) throw new Error(`${name} was not measured`)
    const byClock = (one.medianNs / two.medianNs).toFixed(2)
    const byBest = (one.leastNs / two.leastNs).toFixed(2)
    const byProcessor = ((2 * medianOf(processorNs[0])) / medianOf(processorNs[1])).toFixed(2)
    return `${name}: two threads do ${byClock} times as much as one (best samples ${byBest}, by processor time ${byProcessor})`
  }
  return { contenders, note }
}

function nameOf(name: string, members: number): string {
  return `${name}, ${members} ${members === 1 ? 'thread' : 'threads'}`
}

function medianOf(samples: number[]): number {
  return samples.sort((a, b) => a - b)[samples.length >> 1]
}
