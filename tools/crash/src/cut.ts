/**
 * What a power cut may leave. A disk keeps what was flushed, and what was written through. Of everything else each sector of 512 bytes is
 * what it was before, or what any of the writes since made of it: so writes are lost, torn and reordered as a disk may do. The
 * command in which the power fails has begun and may have done anything it might, but promises nothing.
 *
 * Chance decides, by sectors, by whole commands, or as a cache that is written back in order up to some point: each finds other faults.
 */

import type { Random } from '@cowherd/fuzz'
import type { Image } from './image.ts'
import type { Command, Recorded } from './recording.ts'

const SECTOR = 512

/** Whether a sector of what isn't safe reaches the disk: `age` counts the disk's unsafe commands from the oldest, 0. */
type Fate = (age: number, sector: number) => boolean

/**
 * The disks after a cut in command number `point`: all before it have returned. `point` may be the number of all commands. What is on the
 * disks follows from `random` alone.
 */
export function cut(recording: Recorded, point: number, random: Random): Image[] {
  return recording.before.map((before, disk) => {
    const image = before.copy()
    const commands = recording.commands.slice(0, point).filter((command) => command.disk === disk)
    const flushed = commands.findLastIndex(({ kind }) => kind === 'flush') + 1
    for (const command of commands.slice(0, flushed)) obey(image, command, random)
    const begun = recording.commands.slice(point, point + 1).filter((command) => command.disk === disk)
    const unsafe = [...commands.slice(flushed), ...begun]
    const fate = fateOf(unsafe.length, random)
    unsafe.forEach((command, age) => {
      const isSafe = command.kind === 'write through' && !begun.includes(command)
      obey(image, command, random, isSafe ? () => true : (sector) => fate(age, sector))
    })
    return image
  })
}

/** The points after a flush or a write through, where something was promised, and the start. */
export function promises({ commands }: Recorded): number[] {
  const kept = commands.flatMap(({ kind }, index) => (kind === 'flush' || kind === 'write through' ? [index + 1] : []))
  return [0, ...kept]
}

/** Does what the command says with the sectors that `reaches` names. */
function obey(image: Image, command: Command, random: Random, reaches: (sector: number) => boolean = () => true): void {
  if (command.kind === 'flush') return
  const { offset } = command
  const length = command.kind === 'discard' ? command.length : command.bytes.length
  for (let at = offset; at < offset + length;) {
    const end = Math.min(offset + length, at - (at % SECTOR) + SECTOR)
    if (reaches(Math.floor(at / SECTOR))) {
      const bytes =
        command.kind === 'discard' ? rubbish(end - at, random) : command.bytes.subarray(at - offset, end - offset)
      if (bytes !== undefined) image.write(bytes, at)
    }
    at = end
  }
}

/** What is read where something was discarded: zeros, the same as ever (undefined), or anything. */
function rubbish(length: number, random: Random): Uint8Array | undefined {
  const kind = random.below(3)
  if (kind === 0) return undefined
  const bytes = new Uint8Array(length)
  return kind === 1 ? bytes : random.fill(bytes)
}

function fateOf(count: number, random: Random): Fate {
  const kind = random.below(5)
  if (kind === 0) return () => false
  if (kind === 1) return () => true
  if (kind === 2) return () => random.chance(0.5)
  if (kind === 3) {
    const whole = Array.from({ length: count }, () => random.chance(0.5))
    return (age) => whole[age]
  }
  // in order; the last one reaches the disk in part
  const last = random.below(count)
  return (age) => age < last || (age === last && random.chance(0.5))
}
