/**
 * Section `disk_groups`: the tree of labels. A dotted label (`ssd.fast`) is a chain of groups; a device belongs to the
 * group that its label's last part names, and to that one's ancestors. Format chapter 1, 4.6.
 */

export interface DiskGroup {
  /** One component of a dotted label. */
  readonly label: string
  /** Index of the parent group, undefined at the top. */
  readonly parent: number | undefined
  readonly deleted: boolean
  readonly dataAllowed: number
}

/** The dotted path of a group (`ssd.fast`), undefined if it doesn't exist. */
export function groupPath(groups: readonly DiskGroup[], index: number): string | undefined {
  const labels: string[] = []
  for (let at: number | undefined = index, steps = 0; at !== undefined; at = groups[at].parent) {
    // A damaged chain may be circular.
    if (at >= groups.length || groups[at].deleted || steps++ > groups.length) return undefined
    labels.unshift(groups[at].label)
  }
  return labels.join('.')
}
