/**
 * Section `ext`: what the next start has to do and may do silently. The passes are bits by their stable ids.
 * Format chapter 1, 4.12 to 4.14.
 */

export interface ExtSection {
  /** Recovery passes that must run at the next start: bit = stable pass id. */
  readonly passesRequired: bigint
  /** Errors to repair without a report: bit = error id. */
  readonly errorsSilent: bigint
  /** Btrees known to have lost data: bit = btree id. */
  readonly btreesLostData: bigint
}
