export { fsKeyTypes } from './key-types/index.ts'
export { FileType, INODE_V1, INODE_V2, INODE_V3, Inode, InodeFlag, ROOT_INODE } from './inode.ts'
export { TimeScale } from './time-scale.ts'
