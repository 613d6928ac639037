/** Asynchronous I/O: the door of this room. */

export { AioService, type AioOptions } from './aio-service.ts'
export { AioMemory, type Geometry } from './aio-memory.ts'
export { Aio, type AioDescriptor, type AioState } from './aio.ts'
export type { CompletionQueue } from './completion-queue.ts'
export { errnoName } from './errno.ts'
export { RequestBatch, segmentListBytes } from './request-batch.ts'
export { IoThread } from './io-thread.ts'
export type { IoNews } from './performer.ts'
export { readFully, TransferError, writeFully } from './transfer.ts'
