/**
 * Access control lists: as an xattr value stores them, and as Linux shows them. Format chapter 5, 5.6.2.
 *
 *     stored   version 1 (u32), then entries: tag (u16), permissions (u16), and an id (u32) for named users and groups only
 *     shown    version 2 (u32), then entries: tag, permissions, id, 8 bytes each; id all ones where there is none
 *
 * What lists mean for permissions is in namespace/access-lists.ts.
 */

import { struct, u16, u32 } from '@cowherd/kernel-lib'

const STORED_VERSION = 1
const SHOWN_VERSION = 2
const NO_ID = 0xffffffff

export const AclHead = struct({ version: u32 })
export const AclEntryShort = struct({ tag: u16, permissions: u16 })
export const AclEntryNamed = struct({ tag: u16, permissions: u16, id: u32 })

/** Whom an entry of a list is about. */
export const AclTag = { userObject: 0x01, user: 0x02, groupObject: 0x04, group: 0x08, mask: 0x10, other: 0x20 } as const

/** Tags by number, with the words the reference tools print. */
const TAGS: Readonly<Record<number, { readonly name: string; readonly idName?: string }>> = {
  [AclTag.userObject]: { name: 'user_obj' },
  [AclTag.user]: { name: 'user', idName: 'uid' },
  [AclTag.groupObject]: { name: 'group_obj' },
  [AclTag.group]: { name: 'group', idName: 'gid' },
  [AclTag.mask]: { name: 'mask' },
  [AclTag.other]: { name: 'other' },
}

export interface AclEntry {
  readonly tag: number
  /** r 4, w 2, x 1. */
  readonly permissions: number
  /** Of a named user or group. */
  readonly id: number | undefined
}

/** The list as Linux shows it in `system.posix_acl_*`, or undefined if the stored value is malformed. */
export function aclShown(stored: Uint8Array): Uint8Array | undefined {
  const entries = parseAcl(stored)
  if (entries === undefined) return undefined
  const shown = new Uint8Array(AclHead.size + entries.length * AclEntryNamed.size)
  const view = new DataView(shown.buffer)
  AclHead.write(view, 0, { version: SHOWN_VERSION })
  entries.forEach(({ tag, permissions, id }, i) =>
    AclEntryNamed.write(view, AclHead.size + i * AclEntryNamed.size, { tag, permissions, id: id ?? NO_ID }),
  )
  return shown
}

/** The entries of a list as Linux shows it and takes it; undefined if it is malformed. */
export function parseShownAcl(shown: Uint8Array): AclEntry[] | undefined {
  const view = new DataView(shown.buffer, shown.byteOffset, shown.byteLength)
  const isWhole = shown.length >= AclHead.size && (shown.length - AclHead.size) % AclEntryNamed.size === 0
  if (!isWhole || AclHead.read(view, 0).version !== SHOWN_VERSION) return undefined
  const entries: AclEntry[] = []
  for (let at = AclHead.size; at < shown.length; at += AclEntryNamed.size) {
    const { tag, permissions, id } = AclEntryNamed.read(view, at)
    entries.push({ tag, permissions, id: TAGS[tag]?.idName === undefined ? undefined : id })
  }
  return entries
}

/** The list as it is stored. */
export function storedAcl(entries: readonly AclEntry[]): Uint8Array {
  const stored = new Uint8Array(AclHead.size + entries.length * AclEntryNamed.size)
  const view = new DataView(stored.buffer)
  AclHead.write(view, 0, { version: STORED_VERSION })
  let at = AclHead.size
  for (const { tag, permissions, id } of entries) {
    if (id === undefined) AclEntryShort.write(view, at, { tag, permissions })
    else AclEntryNamed.write(view, at, { tag, permissions, id })
    at += id === undefined ? AclEntryShort.size : AclEntryNamed.size
  }
  return stored.subarray(0, at)
}

/** The list in the words of the reference tools, as far as it makes sense. */
export function aclText(stored: Uint8Array): string {
  return entriesOf(stored, [])
    .map(({ tag, permissions, id }) => {
      const { name = `tag ${tag}`, idName = '' } = TAGS[tag] ?? {}
      return `${name}${id === undefined ? '' : ` ${idName} ${id}`} ${permissions.toString(8)}`
    })
    .join(' ')
}

/** The entries of a stored list; undefined if it is malformed. */
export function parseAcl(stored: Uint8Array): AclEntry[] | undefined {
  const damage: string[] = []
  const entries = entriesOf(stored, damage)
  return damage.length === 0 ? entries : undefined
}

/** All entries up to the first damage, which is put into `damage`. */
function entriesOf(stored: Uint8Array, damage: string[]): AclEntry[] {
  const view = new DataView(stored.buffer, stored.byteOffset, stored.byteLength)
  const entries: AclEntry[] = []
  if (stored.length < AclHead.size || AclHead.read(view, 0).version !== STORED_VERSION) {
    damage.push('unknown version')
    return entries
  }
  let at = AclHead.size
  while (at < stored.length) {
    if (at + AclEntryShort.size > stored.length) {
      damage.push('truncated entry')
      break
    }
    const { tag, permissions } = AclEntryShort.read(view, at)
    const kind = TAGS[tag]
    const size = kind?.idName === undefined ? AclEntryShort.size : AclEntryNamed.size
    if (kind === undefined || at + size > stored.length) {
      damage.push(kind === undefined ? `unknown tag ${tag}` : 'truncated entry')
      break
    }
    entries.push({
      tag,
      permissions,
      id: kind.idName === undefined ? undefined : AclEntryNamed.read(view, at).id,
    })
    at += size
  }
  return entries
}
