/**
 * Targets: where data should go, in options and inodes: a device or a disk group (label) by number.
 * 0 is none, 1 to 256 a device, from 257 on a disk group. Format chapter 1, 3.7.
 */

import { uuidText, visibleText } from '@cowherd/kernel-lib'
import { groupPath, type DiskGroup } from './sections/disk-groups.ts'
import type { Member } from './sections/members.ts'
import type { Superblock } from './superblock.ts'

const FIRST_GROUP = 257

export type Target =
  | { readonly kind: 'none' }
  | { readonly kind: 'device'; readonly index: number }
  | { readonly kind: 'group'; readonly index: number }

/** What the stored number means. */
export function decodeTarget(target: number): Target {
  if (target === 0) return { kind: 'none' }
  return target < FIRST_GROUP ? { kind: 'device', index: target - 1 } : { kind: 'group', index: target - FIRST_GROUP }
}

/** The number that is stored. */
export function encodeTarget(target: Target): number {
  if (target.kind === 'none') return 0
  return target.index + (target.kind === 'device' ? 1 : FIRST_GROUP)
}

/** The devices that a target stands for: one, or those whose label is the group or one below it. None for 0, and for what isn't there. */
export function targetDevices(
  target: number,
  groups: readonly DiskGroup[],
  members: readonly Member[],
): ReadonlySet<number> {
  const decoded = decodeTarget(target)
  if (decoded.kind === 'none') return NO_DEVICES
  const stands = ({ alive, index, group }: Member): boolean =>
    alive && (decoded.kind === 'device' ? index === decoded.index : isWithin(group, decoded.index, groups))
  return new Set(members.filter(stands).map(({ index }) => index))
}

const NO_DEVICES: ReadonlySet<number> = new Set()

/** Whether a group is `ancestor` or below it. */
function isWithin(group: number | undefined, ancestor: number, groups: readonly DiskGroup[]): boolean {
  // A damaged chain may be circular.
  for (let at = group, steps = 0; at !== undefined && steps <= groups.length; steps++) {
    if (at === ancestor) return true
    at = at < groups.length ? groups[at].parent : undefined
  }
  return false
}

/** As `show-super` prints it: `none`, the dotted path of a group, or `Device UUID (index)`. */
export function targetText(number: number, superblock: Superblock): string {
  const target = decodeTarget(number)
  switch (target.kind) {
    case 'none':
      return 'none'
    case 'group':
      return visibleText(groupPath(superblock.diskGroups, target.index) ?? `invalid label ${target.index}`)
    case 'device': {
      const member = superblock.members[target.index]
      return member?.alive === true ? `Device ${uuidText(member.uuid)} (${target.index})` : `Bad device ${target.index}`
    }
  }
}
