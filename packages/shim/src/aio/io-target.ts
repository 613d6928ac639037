/**
 * What an I/O thread performs requests on: a device as it is seen in that thread. Memory is given as a buffer and a place in it, so
 * that nothing is allocated for a read or write. All throw what has an errno name in `code`; transfers outside the device are EIO.
 */

import fs from 'node:fs'
import {
  DeviceError,
  isWritable,
  refuseOutside,
  type BlockDevice,
  type DescriptorHandle,
  type DeviceHandle,
  type DeviceModule,
  type MemoryHandle,
} from '../block-device.ts'
import { loadNative } from '../native.ts'
import { readFully, readVectorFully, writeFully, writeVectorFully } from './transfer.ts'

export interface IoTarget {
  read(memory: Uint8Array, at: number, length: number, offset: number): void
  /** `through`: on stable storage when it returns. */
  write(memory: Uint8Array, at: number, length: number, offset: number, through: boolean): void
  /** `segments` have `length` bytes together, and are used up. */
  readVector(segments: Uint8Array[], length: number, offset: number): void
  writeVector(segments: Uint8Array[], length: number, offset: number, through: boolean): void
  flush(): void
  discard(offset: number, length: number): void
}

/** The target behind a handle; a promise if a module must be loaded for it. */
export function targetOf(handle: DeviceHandle): IoTarget | Promise<IoTarget> {
  if (handle.kind === 'descriptor') return descriptorTarget(handle)
  if (handle.kind === 'memory') return memoryTarget(handle)
  return loadTarget(handle.url, handle.data)
}

async function loadTarget(url: string, data: unknown): Promise<IoTarget> {
  const module = (await import(url)) as DeviceModule
  return deviceTarget(module.openDevice(data))
}

/** A target over descriptors that belong to somebody else. */
export function descriptorTarget({ name, size, fd, isWritable, throughFd, discards }: DescriptorHandle): IoTarget {
  const whole = (done: number, length: number): void => {
    if (done !== length) throw new DeviceError('EIO', name, `it ended ${length - done} bytes too soon`)
  }
  const written = (done: number, length: number, through: boolean): void => {
    whole(done, length)
    if (through && throughFd === undefined) fs.fdatasyncSync(fd)
  }
  const writeFd = (through: boolean): number => {
    if (!isWritable) throw readOnly(name)
    return through && throughFd !== undefined ? throughFd : fd
  }
  return {
    read(memory, at, length, offset) {
      refuseOutside(name, size, offset, length)
      whole(readFully(fd, memory, at, length, offset), length)
    },
    write(memory, at, length, offset, through) {
      const to = writeFd(through)
      refuseOutside(name, size, offset, length)
      written(writeFully(to, memory, at, length, offset), length, through)
    },
    readVector(segments, length, offset) {
      refuseOutside(name, size, offset, length)
      whole(readVectorFully(fd, segments, offset), length)
    },
    writeVector(segments, length, offset, through) {
      const to = writeFd(through)
      refuseOutside(name, size, offset, length)
      written(writeVectorFully(to, segments, offset), length, through)
    },
    flush() {
      if (isWritable) fs.fdatasyncSync(fd)
    },
    discard(offset, length) {
      if (!isWritable) throw readOnly(name)
      refuseOutside(name, size, offset, length)
      const native = discards === undefined ? undefined : loadNative()
      if (native === undefined) throw new DeviceError('EOPNOTSUPP', name, 'nothing can be discarded here')
      if (length > 0) native.discard(fd, offset, length, discards === 'device')
    },
  }
}

/** A target over memory: writes are as durable as they get. What is discarded reads as zeros. */
export function memoryTarget({
  name,
  bytes,
  isWritable,
}: Omit<MemoryHandle, 'bytes'> & { bytes: Uint8Array }): IoTarget {
  const size = bytes.length
  const refuse = (offset: number, length: number): void => {
    if (!isWritable) throw readOnly(name)
    refuseOutside(name, size, offset, length)
  }
  const write = (memory: Uint8Array, at: number, length: number, offset: number): void => {
    refuse(offset, length)
    bytes.set(memory.subarray(at, at + length), offset)
  }
  const read = (memory: Uint8Array, at: number, length: number, offset: number): void => {
    refuseOutside(name, size, offset, length)
    memory.set(bytes.subarray(offset, offset + length), at)
  }
  return {
    read,
    write,
    readVector: (segments, _length, offset) =>
      eachSegment(segments, offset, (segment, from) => read(segment, 0, segment.length, from)),
    writeVector: (segments, _length, offset) =>
      eachSegment(segments, offset, (segment, to) => write(segment, 0, segment.length, to)),
    flush: () => undefined,
    discard(offset, length) {
      refuse(offset, length)
      bytes.fill(0, offset, offset + length)
    },
  }
}

/** A target over any device. */
export function deviceTarget(device: BlockDevice): IoTarget {
  const writable = () => {
    if (isWritable(device)) return device
    throw readOnly(device.name)
  }
  const write = (bytes: Uint8Array, offset: number, through: boolean): void => {
    const to = writable()
    if (through) to.writeThrough(bytes, offset)
    else to.write(bytes, offset)
  }
  return {
    read: (memory, at, length, offset) => device.read(memory.subarray(at, at + length), offset),
    write: (memory, at, length, offset, through) => write(memory.subarray(at, at + length), offset, through),
    readVector: (segments, _length, offset) =>
      eachSegment(segments, offset, (segment, from) => device.read(segment, from)),
    writeVector: (segments, _length, offset, through) =>
      eachSegment(segments, offset, (segment, to) => write(segment, to, through)),
    flush() {
      if (isWritable(device)) device.flush()
    },
    discard: (offset, length) => writable().discard(offset, length),
  }
}

function eachSegment(segments: readonly Uint8Array[], offset: number, act: (segment: Uint8Array, at: number) => void) {
  let at = offset
  for (const segment of segments) {
    act(segment, at)
    at += segment.length
  }
}

function readOnly(name: string): DeviceError {
  return new DeviceError('EROFS', name, 'is open for reading only')
}
