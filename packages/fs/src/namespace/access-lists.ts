/**
 * Access control lists and the permission bits of the mode: each follows from the other. acl(5), and the draft POSIX 1003.1e. Format chapter 5,
 * 5.6.2.
 *
 *     mode    owner      group                               other
 *     list    user_obj   mask, group_obj if there is none    other
 */

import { AclTag, type AclEntry } from '../acl.ts'

const RWX = 0o7
const PERMISSIONS = 0o777
const NO_ID = 0xffffffff
const ORDER: readonly number[] = [
  ...[AclTag.userObject, AclTag.user, AclTag.groupObject, AclTag.group, AclTag.mask, AclTag.other],
]

/** True if the list is one: its entries in order, those that must be there once, a mask if it names anybody. */
export function isValidAcl(entries: readonly AclEntry[]): boolean {
  let last = -1
  for (const { tag, permissions, id } of entries) {
    const rank = ORDER.indexOf(tag)
    const isNamed = tag === AclTag.user || tag === AclTag.group
    if (rank < last || (rank === last && !isNamed) || (permissions & ~RWX) !== 0 || (isNamed && id === NO_ID))
      return false
    last = rank
  }
  const has = (tag: number): boolean => entries.some((entry) => entry.tag === tag)
  const needsMask = has(AclTag.user) || has(AclTag.group)
  return has(AclTag.userObject) && has(AclTag.groupObject) && has(AclTag.other) && (!needsMask || has(AclTag.mask))
}

/** True if the list says no more than permission bits can. */
export function isPlainAcl(entries: readonly AclEntry[]): boolean {
  return entries.every(({ tag }) => tag === AclTag.userObject || tag === AclTag.groupObject || tag === AclTag.other)
}

/** `mode` with the permissions of the list. */
export function modeOfAcl(entries: readonly AclEntry[], mode: number): number {
  let permissions = 0
  for (const entry of entries) {
    const shift = shiftOf(entries, entry)
    if (shift !== undefined) permissions |= entry.permissions << shift
  }
  return (mode & ~PERMISSIONS) | permissions
}

/** The list with the permissions of `mode`. */
export function aclWithMode(entries: readonly AclEntry[], mode: number): AclEntry[] {
  return entries.map((entry) => {
    const shift = shiftOf(entries, entry)
    return shift === undefined ? entry : { ...entry, permissions: (mode >>> shift) & RWX }
  })
}

/** The list that a new file gets of its directory's default list, if it was to have `mode`: nobody gets more than either grants. */
export function inheritedAcl(entries: readonly AclEntry[], mode: number): AclEntry[] {
  return entries.map((entry) => {
    const shift = shiftOf(entries, entry)
    return shift === undefined ? entry : { ...entry, permissions: entry.permissions & (mode >>> shift) & RWX }
  })
}

/** Where in the mode an entry's permissions stand; undefined for those of named users and groups, and of the group under a mask. */
function shiftOf(entries: readonly AclEntry[], { tag }: AclEntry): number | undefined {
  switch (tag) {
    case AclTag.userObject:
      return 6
    case AclTag.mask:
      return 3
    case AclTag.groupObject:
      return entries.some((entry) => entry.tag === AclTag.mask) ? undefined : 3
    case AclTag.other:
      return 0
    default:
      return undefined
  }
}
