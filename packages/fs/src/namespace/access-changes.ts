/** Changing access control lists, and the mode with them. Format chapter 5, 5.6.2. */

import { KeyError, VolumeError, type Updates } from '@cowherd/db'
import { parseAcl, parseShownAcl, storedAcl, type AclEntry } from '../acl.ts'
import type { Inode } from '../inode.ts'
import { XattrType } from '../key-types/xattr.ts'
import { aclWithMode, isPlainAcl, isValidAcl, modeOfAcl } from './access-lists.ts'
import { ATTRIBUTE_BYTES_MAX } from './attribute-table.ts'
import { setPermissions } from './inode-changes.ts'
import type { Tree } from './tree.ts'
import type { View } from './view.ts'

/** What access lists need of the tree. */
export type AccessTree = Pick<Tree, 'attributes' | 'hasAcls'>

const NO_NAME = new Uint8Array(0)

/** chmod(2): the access list says the same then. Throws VolumeError EOPNOTSUPP for symbolic links. */
export function changeMode(tree: AccessTree, updates: Updates, view: View, inode: Inode, mode: number): void {
  if (inode.isSymlink)
    throw new VolumeError('EOPNOTSUPP', `inode ${inode.number}`, 'a symbolic link has no permissions')
  setPermissions(inode, mode)
  if (!tree.hasAcls) return
  const stored = tree.attributes.get(updates, view, inode, XattrType.aclAccess, NO_NAME)
  if (stored === undefined) return
  const entries = parseAcl(stored)
  if (entries === undefined) throw new KeyError('EIO', `inode ${inode.number}`, 'a malformed access control list')
  put(tree, updates, view, inode, XattrType.aclAccess, aclWithMode(entries, mode))
}

/**
 * Sets an access control list, given as Linux shows it; one without entries is none. `type`: aclAccess or aclDefault of `XattrType`. Throws
 * VolumeError EINVAL for a malformed list, EACCES for a default list of something else than a directory, ERANGE, EOPNOTSUPP.
 */
export function setAcl(
  tree: AccessTree,
  updates: Updates,
  view: View,
  inode: Inode,
  type: number,
  shown: Uint8Array,
): void {
  const entries = parseShownAcl(shown)
  if (entries === undefined || (entries.length > 0 && !isValidAcl(entries))) {
    throw new VolumeError('EINVAL', `inode ${inode.number}`, 'a malformed access control list')
  }
  if (entries.length === 0) {
    removeAcl(tree, updates, view, inode, type)
    return
  }
  refuseWithoutAcls(tree, inode)
  if (type === XattrType.aclDefault) {
    if (!inode.isDirectory)
      throw new VolumeError('EACCES', `inode ${inode.number}`, 'only directories have default lists')
    put(tree, updates, view, inode, type, entries)
    return
  }
  inode.mode = modeOfAcl(entries, inode.mode)
  if (isPlainAcl(entries)) tree.attributes.remove(updates, view, inode, type, NO_NAME)
  else put(tree, updates, view, inode, type, entries)
}

/** Nothing happens if there is none: that is what lists are like in Linux. Throws VolumeError EOPNOTSUPP. */
export function removeAcl(tree: AccessTree, updates: Updates, view: View, inode: Inode, type: number): void {
  refuseWithoutAcls(tree, inode)
  tree.attributes.remove(updates, view, inode, type, NO_NAME)
}

function refuseWithoutAcls({ hasAcls }: AccessTree, inode: Inode): void {
  if (hasAcls && !inode.isSymlink) return
  throw new VolumeError('EOPNOTSUPP', `inode ${inode.number}`, 'has no access control lists')
}

function put(
  { attributes }: AccessTree,
  updates: Updates,
  view: View,
  inode: Inode,
  type: number,
  entries: readonly AclEntry[],
): void {
  const value = storedAcl(entries)
  if (value.length > ATTRIBUTE_BYTES_MAX)
    throw new VolumeError('ERANGE', `inode ${inode.number}`, 'the list is too long')
  attributes.set(updates, view, inode, type, NO_NAME, value)
}
