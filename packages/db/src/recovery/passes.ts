/**
 * Recovery passes: what is done to a volume when it is opened for writing, in the order of `superblock/recovery-passes.ts`. The database
 * brings those that concern its own btrees; who knows of files brings others. Format chapter 3, 3.6.6.
 *
 * A volume whose superblock demands a pass that nobody brings is not opened for writing: something is wrong with it that writing could
 * make worse.
 */

import { VolumeError } from '../errors.ts'
import { RECOVERY_PASSES, type RecoveryPass } from '../superblock/recovery-passes.ts'

/** Passes by their names. `T` is what they work on. */
export type PassTable<T> = Readonly<Record<string, (on: T) => void>>

/** Those that are to run: those of every start, and those that the superblock demands. Throws VolumeError EROFS. */
export function passesToRun(required: bigint, own: PassTable<never>, others: PassTable<never>): RecoveryPass[] {
  const isThere = ({ name }: RecoveryPass): boolean => name in own || name in others
  const isRequired = ({ id }: RecoveryPass): boolean => ((required >> BigInt(id)) & 1n) === 1n
  const missing = RECOVERY_PASSES.filter((pass) => isRequired(pass) && !isThere(pass))
  if (missing.length > 0) {
    const names = missing.map(({ name }) => name).join(', ')
    throw new VolumeError(
      'EROFS',
      'superblock',
      `demands a check that is not done here (${names}): it can only be read`,
    )
  }
  return RECOVERY_PASSES.filter((pass) => isThere(pass) && (pass.when === 'always' || isRequired(pass)))
}
