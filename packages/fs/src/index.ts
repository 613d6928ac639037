export { isAttributeName } from './attributes.ts'
export type { Attribute } from './attributes.ts'
export { fsDatabaseParts } from './database-parts.ts'
export { DirectoryReader, FIRST_NAME } from './directory.ts'
export { addFirstKeys } from './first-start.ts'
export type { FirstStart } from './first-start.ts'
export { FileSystem, openFileSystem } from './file-system.ts'
export type { FileSystemOptions } from './file-system.ts'
export type { DataReader, FileSystemReader, NameReader } from './file-system-reader.ts'
export type {
  AllocateMode,
  AttributeChanges,
  Caller,
  FileSystemWriter,
  RenameOptions,
  Time,
  WholeFile,
} from './file-system-writer.ts'
export { FileType, INODE_V1, INODE_V2, INODE_V3, Inode, InodeFlag, ROOT_INODE } from './inode.ts'
export { fsKeyTypes } from './key-types/index.ts'
export { NewTree, type NewNode, type NewNodeHead, type NewTreeOptions } from './new-tree/new-tree.ts'
export { NodeRef } from './node-ref.ts'
export { OpenFile } from './open-file.ts'
export type { ByteRange } from './open-file.ts'
export { resolvePath } from './path.ts'
export type { ResolveOptions } from './path.ts'
export { newShownInode, showInode } from './shown-inode.ts'
export type { ShownAttributes } from './shown-inode.ts'
export type { Space } from './space.ts'
export { ROOT_SUBVOLUME } from './subvolumes.ts'
export type { Subvolume } from './subvolumes.ts'
export { TimeScale } from './time-scale.ts'
export type { VolumeAccess } from './volume-access.ts'
export { TreeWalk, walk } from './walk.ts'
export type { WalkEntry, WalkVisitor } from './walk.ts'
export { openWritableFileSystem, writableFileSystem, WritableFileSystem } from './writable-file-system.ts'
export type { WritableFileSystemOptions } from './writable-file-system.ts'
