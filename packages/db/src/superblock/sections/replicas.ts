/**
 * Sections `replicas_v0` and `replicas`: every combination "data type on this set of devices" that exists in the volume,
 * so that a start can tell what is lost with a missing device. `replicas` wins if both exist; `replicas_v0` is for volumes
 * in which every entry requires one device. Format chapter 1, 4.4.
 */

export interface ReplicasEntry {
  /** Data type number (`DATA_TYPES`). */
  readonly dataType: number
  /** How many of the devices are needed to read; 0 for extents in stripes. */
  readonly required: number
  /** Device indices, ascending; 255 stands for none. */
  readonly devices: readonly number[]
}
