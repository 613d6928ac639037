/** Changes of files at random, for tests of file data: all that is done follows from seeds. */

import { Random } from '@cowherd/fuzz'
import type { FileRig, Twin } from './file-rig.ts'

const KIB = 1024
/** Files stay below this. */
const FILE_BYTES = 1 << 20

export class RandomFileChanges {
  private readonly rig: FileRig
  private readonly random: Random

  constructor(rig: FileRig, ...seeds: readonly number[]) {
    this.rig = rig
    this.random = new Random(...seeds)
  }

  some(count: number): void {
    for (let i = 0; i < count; i++) this.one()
    this.rig.data.settle()
  }

  one(): void {
    const { rig, random } = this
    const twin = random.pick(rig.twins)
    const size = twin.bytes.length
    const offset = this.place(size)
    const length = this.length()
    switch (random.below(12)) {
      case 0:
        rig.resize(twin, this.place(size))
        break
      case 1:
        rig.resize(twin, Math.min(FILE_BYTES, size + length))
        break
      case 2:
        rig.allocate(twin, offset, length, random.pick(['allocate', 'allocate-keep-size'] as const))
        break
      case 3:
        rig.allocate(twin, offset, length, 'punch-hole')
        break
      case 4:
        rig.allocate(twin, offset, length, random.pick(['zero-range', 'zero-range-keep-size'] as const))
        break
      case 5:
      case 6:
        this.copy(twin)
        break
      case 7:
        rig.write(twin, size, this.bytes(Math.max(0, Math.min(length, FILE_BYTES - size))))
        break
      case 8:
        this.gather(twin)
        break
      default:
        rig.write(twin, offset, this.bytes(length))
    }
  }

  /** Blocks here and there, of this file mostly; some lie behind its end, and some are parts of blocks. */
  private gather(twin: Twin): void {
    const { rig, random } = this
    for (let count = 1 + random.below(60); count > 0; count--) {
      const to = random.chance(0.05) ? random.pick(rig.twins) : twin
      const offset = random.below(to.bytes.length / 4096 + 1) * 4096
      rig.gather(to, offset, this.bytes(random.chance(0.95) ? 4096 : 1000))
    }
  }

  private copy(to: Twin): void {
    const { rig, random } = this
    const from = random.pick(rig.twins)
    const fromOffset = this.place(from.bytes.length)
    const toOffset = random.chance(0.3) ? fromOffset : this.place(to.bytes.length)
    const length = random.chance(0.2) ? from.bytes.length - fromOffset : this.length()
    const overlaps = from.ref.equals(to.ref) && Math.abs(fromOffset - toOffset) < length
    if (!overlaps) rig.copy(from, fromOffset, to, toOffset, length)
  }

  /** A byte in a file, on a block's border more often than not, or a little behind its end. */
  private place(size: number): number {
    const { random } = this
    const place = random.chance(0.1) ? size : random.below(Math.min(size + 20 * KIB, FILE_BYTES / 2))
    return random.chance(0.6) ? place - (place % 4096) : place
  }

  private length(): number {
    const { random } = this
    const length = 1 + random.below(random.pick([100, 1200, 5000, 70 * KIB, 300 * KIB]))
    return random.chance(0.5) ? Math.ceil(length / 4096) * 4096 : length
  }

  /** Half of it repeats. */
  private bytes(length: number): Uint8Array {
    const { random } = this
    const bytes = new Uint8Array(length)
    for (let at = 0; at < length; at += 2048) {
      const part = bytes.subarray(at, at + 2048)
      if (random.chance(0.6)) part.fill(random.below(256))
      else random.fill(part)
    }
    return bytes
  }
}
