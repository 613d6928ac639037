/**
 * setattr, setxattr and removexattr, inside a transaction: what they do to an inode that was read, and is put by the caller. Format chapter 5,
 * 5.6 and 5.8.
 */

import { BtreeId, Key, KEY_WORDS, setBpos, VolumeError, type Bpos, type Updates } from '@cowherd/db'
import { decodeUtf8, encodeUtf8 } from '@cowherd/kernel-lib'
import { isAcl, parseAttributeName } from '../attributes.ts'
import { COOKIE } from '../extents/extent-key.ts'
import type { AttributeChanges, Time } from '../file-system-writer.ts'
import { Field } from '../inode-fields.ts'
import type { Inode } from '../inode.ts'
import { XattrType } from '../key-types/xattr.ts'
import { clearOption, EFFECTIVE_PREFIX, OPTION_PREFIX, setOption, wantsRebalance } from '../option-attributes.ts'
import { changeMode, removeAcl, setAcl, type AccessTree } from './access-changes.ts'
import { ATTRIBUTE_BYTES_MAX } from './attribute-table.ts'
import { killPrivileges, setField, setTime } from './inode-changes.ts'
import type { Tree } from './tree.ts'
import type { View } from './view.ts'

const CAPABILITY = encodeUtf8('capability')
/** With the prefix: as in Linux. */
const NAME_BYTES_MAX = 255
const ALL_ONES = 0xffffffff

/** All of setattr but the size; the rest of what that means is done here: times. */
export function applyChanges(tree: Tree, updates: Updates, view: View, inode: Inode, changes: AttributeChanges): void {
  const { mode, uid, gid, size, atime, mtime, ctime } = changes
  const isOwned = uid !== undefined || gid !== undefined
  if (uid !== undefined) setField(inode, Field.uid, uid >>> 0)
  if (gid !== undefined) setField(inode, Field.gid, gid >>> 0)
  if (mode !== undefined) changeMode(tree, updates, view, inode, mode)
  // Who is given a program hasn't asked for its rights: as chown(2) does for all callers.
  else if (isOwned) killPrivileges(inode)
  if (changes.killPrivileges === true) killPrivileges(inode)
  if ((isOwned || changes.killPrivileges === true) && !inode.isDirectory) {
    tree.attributes.remove(updates, view, inode, XattrType.security, CAPABILITY)
  }
  if (atime !== undefined) setTimeTo(tree, inode, Field.atime, atime)
  if (mtime !== undefined) setTimeTo(tree, inode, Field.mtime, mtime)
  else if (size !== undefined) setTime(inode, Field.mtime, tree.now)
  setTimeTo(tree, inode, Field.ctime, ctime ?? 'now')
}

/**
 * Sets an attribute of that whole name. Throws VolumeError EEXIST, ENODATA, ERANGE, EOPNOTSUPP, EINVAL, and what access lists throw; with them
 * there is no difference between making and replacing.
 */
export function setAttribute(
  tree: AccessTree & Pick<Tree, 'now'>,
  updates: Updates,
  view: View,
  inode: Inode,
  name: Uint8Array,
  value: Uint8Array,
  mode: 'create' | 'replace' | undefined,
): void {
  const { type, rest } = attributeName(name)
  setTime(inode, Field.ctime, tree.now)
  if (isAcl(type)) {
    setAcl(tree, updates, view, inode, type, value)
    return
  }
  const who = decodeUtf8(name)
  if (rest.length + value.length > ATTRIBUTE_BYTES_MAX)
    throw new VolumeError('ERANGE', who, `${value.length} bytes are too many`)
  if (mode !== undefined) {
    const isThere = tree.attributes.has(updates, view, inode, type, rest)
    if (isThere && mode === 'create') throw new VolumeError('EEXIST', who, 'is there already')
    if (!isThere && mode === 'replace') throw new VolumeError('ENODATA', who, 'there is no such attribute')
  }
  tree.attributes.set(updates, view, inode, type, rest, value)
}

/** Removes an attribute. Throws VolumeError ENODATA, EOPNOTSUPP, EINVAL. */
export function removeAttribute(tree: Tree, updates: Updates, view: View, inode: Inode, name: Uint8Array): void {
  const { type, rest } = attributeName(name)
  setTime(inode, Field.ctime, tree.now)
  if (isAcl(type)) removeAcl(tree, updates, view, inode, type)
  else if (!tree.attributes.remove(updates, view, inode, type, rest)) {
    throw new VolumeError('ENODATA', decodeUtf8(name), 'there is no such attribute')
  }
}

/** The option that an attribute stands for, undefined if it stands for none. An effective one is shown, but not set. Format chapter 5, 5.6.3. */
export function optionName(name: Uint8Array): { readonly name: string; readonly isEffective: boolean } | undefined {
  const text = decodeUtf8(name)
  for (const prefix of [OPTION_PREFIX, EFFECTIVE_PREFIX]) {
    if (text.startsWith(prefix)) return { name: text.slice(prefix.length), isEffective: prefix === EFFECTIVE_PREFIX }
  }
  return undefined
}

/** Sets an option on a file. No time changes by it. Throws VolumeError EINVAL. */
export function changeOption(tree: Tree, updates: Updates, inode: Inode, option: string, text: string): void {
  setOption(inode, option, text, tree.shape)
  if (wantsRebalance(option)) askForScan(updates, inode)
}

/** Lets an option be the directory's. Throws VolumeError EINVAL, ENODATA. */
export function removeOption(inode: Inode, option: string, directory: Inode | undefined): void {
  if (clearOption(inode, option, directory)) return
  throw new VolumeError('ENODATA', OPTION_PREFIX + option, 'is not set')
}

const cookie = new Key()
const pos: Bpos = new Uint32Array(5)

/** Who moves and compresses data in the background looks at the file again. Format chapter 6, 6.12. */
function askForScan(updates: Updates, { numberHi, numberLo }: Inode): void {
  setBpos(pos, numberHi, numberLo, ALL_ONES, ALL_ONES - 1, ALL_ONES)
  const value = new Uint8Array(8)
  const isThere = updates.get(BtreeId.rebalanceWork, pos, cookie) && cookie.type === COOKIE
  new DataView(value.buffer).setUint32(0, isThere ? cookie.words[KEY_WORDS] + 1 : 1, true)
  updates.put(BtreeId.rebalanceWork, cookie.make(COOKIE, pos, value))
}

function setTimeTo({ now, times }: Tree, inode: Inode, field: number, time: Time | 'now'): void {
  if (time === 'now') setTime(inode, field, now)
  else times.store(inode.fields, 2 * field, time.seconds, time.nanoseconds)
}

const NAME_SPACES = ['user.', 'trusted.', 'security.']

function attributeName(name: Uint8Array): { readonly type: number; readonly rest: Uint8Array } {
  if (name.length > NAME_BYTES_MAX) throw new VolumeError('ERANGE', decodeUtf8(name), 'the name is too long')
  const parsed = parseAttributeName(name)
  if (parsed === undefined) {
    // a name space that is kept, and nothing behind it: so Linux has it
    const code = NAME_SPACES.includes(decodeUtf8(name)) ? 'EINVAL' : 'EOPNOTSUPP'
    throw new VolumeError(code, decodeUtf8(name), 'attributes of such names are not kept')
  }
  if (name.includes(0)) throw new VolumeError('EINVAL', decodeUtf8(name), 'a zero byte in a name')
  return parsed
}
