export { AttributeChanges } from './attribute-changes.ts'
export { Attributes, Entry } from './attributes.ts'
export type { Connection, ConnectionOptions } from './connection.ts'
export { Doorbell } from './doorbell.ts'
export { FuseError } from './errno.ts'
export type { ErrnoName } from './errno.ts'
export { MountError } from './mount-error.ts'
export { findMount } from './mount-table.ts'
export type { MountEntry } from './mount-table.ts'
export { clearStale, mountFuse } from './mount.ts'
export type { MountOptions } from './mount.ts'
export { NodeTable } from './node-table.ts'
export type { NodeTableDescriptor } from './node-table.ts'
export { Notifier, invalidation } from './notifier.ts'
export type { Operations } from './operations.ts'
export {
  Opcode,
  AllocateFlag,
  OpenFlag,
  ROOT_NODE,
  RenameFlag,
  SetattrFlag,
  WriteFlag,
  XattrFlag,
  opcodeName,
} from './protocol.ts'
export type { FeatureName } from './protocol.ts'
export { Reply } from './reply.ts'
export type { Channel, DeferredRequest, FilesystemRoom } from './reply.ts'
export { RequestTable } from './request-table.ts'
export type { OpenRequest } from './request-table.ts'
export type { Request } from './request.ts'
export { Session, newSessionMemory } from './session.ts'
export type { SessionMemory, SessionOptions } from './session.ts'
export { Statistics } from './statistics.ts'
export type { OperationStatistics } from './statistics.ts'
export { deviceTransport } from './transport.ts'
export type { Transport } from './transport.ts'
export { isFuse, unmount } from './unmount.ts'
export type { UnmountOptions } from './unmount.ts'
