/** Section `errors`: how often each kind of damage was ever found, and when last. Informative. Format chapter 1, 4.11. */

export interface ErrorCount {
  /** Error id (`ERROR_NAMES`). */
  readonly id: number
  readonly count: bigint
  /** Seconds since 1970. */
  readonly lastTime: bigint
}
