/**
 * A volume that is nearly full is written for long: as long as `df` says that there is room, there is; and the real fsck has nothing to
 * say against what comes of it.
 */

import { Random } from '@cowherd/fuzz'
import { referee } from '@cowherd/referee'
import { describe, expect, test } from 'vitest'
import { databaseStates, fullLifeSteps, seed, statesPerFsck, timeoutMs } from './budget.ts'
import { cut } from './cut.ts'
import { devicesOf, faultsOn } from './database-run.ts'
import { emptyFileSystem, FullLife, readAll, type LifeOptions } from './full-life.ts'
import { Recording } from './recording.ts'
import { faultsOf } from './testing.ts'

const MIB = 2 ** 20
const LIVES: Readonly<Record<string, LifeOptions>> = {
  'one device': { sizeBytes: 64 * MIB },
  compressed: { sizeBytes: 64 * MIB, volume: { compression: { type: 'lz4', level: 0 } }, isCompressible: true },
  'two copies': { devices: 2, sizeBytes: 64 * MIB, volume: { dataReplicas: 2, metadataReplicas: 2 } },
}

describe('a nearly full volume', () => {
  test.each(Object.keys(LIVES))('%s', { timeout: timeoutMs }, async (name) => {
    const images = emptyFileSystem(LIVES[name])
    const life = new FullLife(devicesOf(images), LIVES[name], seed)
    life.fill(0.1)
    for (let step = 0; step < fullLifeSteps; step++) {
      try {
        life.step(0.05)
      } catch (error) {
        throw new Error(`seed ${seed}, step ${step}, ${life.left} left`, { cause: error })
      }
    }
    life.check()
    life.fs.close()
    expect(faultsOn(devicesOf(images))).toEqual([])
    if (referee.available()) expect(await faultsOf(images)).toBe('')
  })

  /** Steps at the end of which the power is cut somewhere; before, buckets are filled and become fragmented. */
  const CUT_STEPS = 300

  test('whose power is cut while buckets are emptied', { timeout: timeoutMs }, async () => {
    const options = LIVES['compressed']
    const before = new Recording(emptyFileSystem(options))
    const life = new FullLife(before.devices, options, seed)
    life.fill(0.1)
    for (let step = 0; step < fullLifeSteps / 2; step++) life.step(0.05)
    life.fs.sync()
    const start = before.commands.length
    for (let step = 0; step < CUT_STEPS; step++) {
      life.step(0.05)
      if (step % 20 === 0) life.fs.sync()
    }
    for (let number = 0; number < databaseStates / 4; number++) {
      const random = new Random(seed, number)
      const point = start + random.below(before.commands.length - start + 1)
      const images = cut(before, point, random)
      try {
        expect(faultsOn(devicesOf(images), true)).toEqual([])
        if (number % (statesPerFsck / 8) === 0 && referee.available()) expect(await faultsOf(images)).toBe('')
        readAll(devicesOf(images))
        expect(faultsOn(devicesOf(images))).toEqual([])
      } catch (error) {
        throw new Error(`seed ${seed}, state ${number}, cut in command ${point}`, { cause: error })
      }
    }
  })
})
