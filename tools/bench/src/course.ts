/**
 * Courses: steps that build on one another, as one goes through them on a new filesystem from its making to its end. Each round every
 * contender makes a filesystem of its own and goes the whole way, so that no two of them lie in memory at the same time, and none gets old.
 *
 * The processor's time is that of the programs that work, with what the kernel does for them, and of the server.
 */

import { type Figure, figureOf, type Spent } from './measure.ts'
import { childrenNs, processNs } from './processor.ts'
import type { Row } from './row.ts'

/** A kind of filesystem, one at a time. */
export interface Stand {
  readonly name: string
  /** The process that serves it, if there is one. */
  readonly server?: () => number | undefined
  /** Makes a new, empty filesystem, and mounts it. Returns where. */
  begin(): Promise<string>
  /** Unmounts it and mounts it again: neither the kernel nor the server remembers anything. */
  renew(): Promise<void>
  /** Unmounts it, and throws it away. */
  end(): Promise<void>
}

export interface Step {
  readonly what: string
  /** Bytes that it handles; left out where that says nothing. */
  readonly bytes?: number
  /** The filesystem is mounted anew before it. */
  readonly isCold?: boolean
  /** Names of stands that can't do it. */
  readonly unable?: readonly string[]
  /** How often something is repeated in it; left out: once. */
  readonly times?: number
  /** Does it in the directory given, by programs that have ended then. Returns the nanoseconds that one of the repetitions took. */
  readonly work: (directory: string) => Promise<number>
}

/** Goes the course with all stands, `rounds` times in turns: a row for each step. `peer` is the name of a stand; where that is unable, the last one is it. */
export async function measureCourse(
  stands: readonly Stand[],
  steps: readonly Step[],
  rounds: number,
  peer: string,
): Promise<Row[]> {
  const samples = steps.map(() => stands.map((): Spent[] => []))
  for (let round = 0; round < rounds; round++) {
    for (const [of, stand] of stands.entries()) {
      const taken = await goCourse(stand, steps)
      for (const [i, spent] of taken.entries()) if (spent !== undefined) samples[i][of].push(spent)
    }
  }
  return steps.map(({ what, bytes, unable = [] }, i) => {
    const able = stands.filter(({ name }) => !unable.includes(name))
    const figures = able.map((stand): Figure => figureOf(stand.name, samples[i][stands.indexOf(stand)]))
    const own = unable.includes(peer) ? able[able.length - 1].name : peer
    return { what, figures, peer: own, ...(bytes === undefined ? {} : { bytes }) }
  })
}

async function goCourse(stand: Stand, steps: readonly Step[]): Promise<(Spent | undefined)[]> {
  const taken: (Spent | undefined)[] = []
  try {
    const directory = await stand.begin()
    for (const { work, isCold = false, times = 1, unable = [] } of steps) {
      if (unable.includes(stand.name)) {
        taken.push(undefined)
        continue
      }
      if (isCold) await stand.renew()
      const before = processorNs(stand)
      const ns = await work(directory)
      taken.push({ ns, processorNs: (processorNs(stand) - before) / times })
    }
  } finally {
    await stand.end()
  }
  return taken
}

function processorNs({ server }: Stand): number {
  const pid = server?.()
  return childrenNs() + (pid === undefined ? 0 : processNs(pid))
}
