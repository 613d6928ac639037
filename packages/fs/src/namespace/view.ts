/** A subvolume as a transaction changes it: what is written goes to its own snapshot. Format chapter 5, 5.1.4. */

export interface View {
  /** The subvolume's id; 0 for a snapshot that none sees the volume through. */
  readonly subvolume: number
  readonly snapshot: number
  /** The snapshot itself and all above it. */
  readonly ancestors: ReadonlySet<number>
}
