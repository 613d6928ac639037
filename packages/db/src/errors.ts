/**
 * The errors of the database. An operating error is typed and says where on the volume it is; frontends turn `code` into
 * an errno in one table. Nothing read from a device ever surfaces as another kind of exception.
 */

import { visibleText } from '@cowherd/kernel-lib'

/** errno names that volume operations end with. */
export type ErrorCode =
  | 'EPERM' // not for this kind of file, or one that may not be changed
  | 'EACCES' // wrong or missing passphrase
  | 'EINVAL' // not a volume, wrong devices, malformed request
  | 'EIO' // damaged or unreadable
  | 'ENOENT'
  | 'EEXIST'
  | 'ENOSPC'
  | 'ENODATA'
  | 'ENOTDIR'
  | 'EISDIR'
  | 'ENOTEMPTY'
  | 'EXDEV' // from one subvolume to another
  | 'EMLINK'
  | 'EFBIG'
  | 'ERANGE'
  | 'ELOOP'
  | 'ENAMETOOLONG'
  | 'EROFS'
  | 'EBUSY' // in use by another process
  | 'ENODEV' // a member device is missing
  | 'EOPNOTSUPP' // newer version, unknown incompatible feature

/** The name of something, for messages: a string, or an object that finds it out only if there is a message. */
export interface Named {
  toString(): string
}

/** Base of all errors about a volume. `where` names the structure and its address, e.g. `dev 0 sector 8: superblock`. */
export class VolumeError extends Error {
  override readonly name: string = 'VolumeError'
  readonly code: ErrorCode
  readonly where: string

  constructor(code: ErrorCode, where: string, message: string, options?: { cause?: unknown }) {
    // One line, whatever names the volume has to offer.
    super(visibleText(where === '' ? message : `${where}: ${message}`), options)
    this.code = code
    this.where = where
  }
}

/** The superblock is missing, damaged, foreign, too new, or asks for what we can't do. */
export class SuperblockError extends VolumeError {
  override readonly name = 'SuperblockError'
}

/** The journal is damaged or incomplete. */
export class JournalError extends VolumeError {
  override readonly name = 'JournalError'
}

/** No copy of a btree node could be read, or the tree's structure is broken. */
export class BtreeError extends VolumeError {
  override readonly name = 'BtreeError'
}

/** A key's value is malformed. */
export class KeyError extends VolumeError {
  override readonly name = 'KeyError'
}

/** File data could not be read: all copies failed, were stale or missing. */
export class DataError extends VolumeError {
  override readonly name = 'DataError'
}
