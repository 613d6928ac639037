/**
 * Section `downgrade`: tells older implementations what to check when they take over the volume. Records follow one
 * another on two-byte boundaries. Format chapter 1, 4.15.
 */

/** What to do when the volume goes to a version below `version`. */
export interface DowngradeEntry {
  readonly version: number
  /** Bit = stable pass id. */
  readonly passes: bigint
  /** Error ids to repair silently. */
  readonly errors: readonly number[]
}
