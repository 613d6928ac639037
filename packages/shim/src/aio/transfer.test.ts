import { expect, test } from 'vitest'
import {
  readFully,
  readVectorFully,
  TransferError,
  writeFully,
  writeVectorFully,
  type TransferCalls,
} from './transfer.ts'

/** What a call is going to do: transfer at most so many bytes, or fail. */
type Step = number | string

/** Calls on `disk` that go as `steps` say, then without limit. */
function callsOn(disk: Uint8Array, steps: Step[]): TransferCalls {
  const next = (wanted: number): number => {
    const step = steps.shift() ?? Infinity
    if (typeof step === 'string') throw Object.assign(new Error(step), { code: step })
    return Math.min(wanted, step)
  }
  type Move = (memory: Uint8Array, at: number, length: number, offset: number) => number
  const take: Move = (memory, at, length, offset) => {
    const count = Math.min(length, disk.length - offset)
    memory.set(disk.subarray(offset, offset + count), at)
    return count
  }
  const give: Move = (memory, at, length, offset) => {
    const count = Math.min(length, disk.length - offset)
    disk.set(memory.subarray(at, at + count), offset)
    return count
  }
  const single = (move: Move) => (_fd: number, memory: Uint8Array, at: number, length: number, offset: number) =>
    move(memory, at, next(length), offset)
  /** Piece by piece, as far as one call comes. */
  const vector = (move: Move) => (_fd: number, segments: Uint8Array[], offset: number) => {
    const most = next(segments.reduce((sum, { length }) => sum + length, 0))
    let done = 0
    for (const segment of segments) done += move(segment, 0, Math.min(most - done, segment.length), offset + done)
    return done
  }
  const calls = { readSync: single(take), writeSync: single(give), readvSync: vector(take), writevSync: vector(give) }
  return calls as TransferCalls
}

const bytes = Uint8Array.from({ length: 100 }, (_, i) => i)

test('short and interrupted transfers are continued', () => {
  const target = new Uint8Array(50)
  expect(readFully(0, target, 10, 30, 20, callsOn(bytes, [7, 'EINTR', 1, 'EAGAIN', 'EINTR', 4]))).toBe(30)
  expect(target).toEqual(Uint8Array.from({ length: 50 }, (_, i) => (i >= 10 && i < 40 ? i + 10 : 0)))
  const disk = new Uint8Array(50)
  expect(writeFully(0, bytes, 10, 30, 20, callsOn(disk, ['EAGAIN', 7, 'EINTR', 1]))).toBe(30)
  expect(disk).toEqual(Uint8Array.from({ length: 50 }, (_, i) => (i >= 20 ? i - 10 : 0)))
})

test('also those of several pieces, at any place', () => {
  for (let first = 0; first <= 12; first++) {
    const pieces = [new Uint8Array(5), new Uint8Array(0), new Uint8Array(4), new Uint8Array(3)]
    expect(readVectorFully(0, [...pieces], 8, callsOn(bytes, first === 0 ? ['EINTR'] : [first, 'EINTR', 1]))).toBe(12)
    expect(pieces.flatMap((piece) => [...piece])).toEqual([8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19])
    const disk = new Uint8Array(20)
    expect(writeVectorFully(0, [...pieces], 8, callsOn(disk, first === 0 ? [] : [first, 'EAGAIN', 2]))).toBe(12)
    expect([...disk]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19])
  }
  const many = Array.from({ length: 3000 }, () => new Uint8Array(1))
  const disk = Uint8Array.from({ length: 3000 }, (_, i) => i)
  expect(readVectorFully(0, [...many], 0, callsOn(disk, [1024, 1000]))).toBe(3000)
  expect(many.map(([byte]) => byte)).toEqual([...disk])
})

test('the end of a file ends a transfer', () => {
  expect(readFully(0, new Uint8Array(50), 0, 50, 80, callsOn(bytes, []))).toBe(20)
  expect(writeFully(0, bytes, 0, 50, 20, callsOn(new Uint8Array(30), []))).toBe(10)
  expect(readVectorFully(0, [new Uint8Array(15), new Uint8Array(15)], 80, callsOn(bytes, []))).toBe(20)
})

test('a failure says what was done before', () => {
  const failure = (action: () => unknown): unknown => {
    try {
      action()
    } catch (error) {
      if (error instanceof TransferError) return [error.code, error.done]
      throw error
    }
    return undefined
  }
  const target = new Uint8Array(50)
  expect(failure(() => readFully(0, target, 0, 50, 0, callsOn(bytes, [7, 'EIO'])))).toEqual(['EIO', 7])
  expect(failure(() => writeFully(0, bytes, 0, 9, 0, callsOn(target, [3, 3, 'ENOSPC'])))).toEqual(['ENOSPC', 6])
  expect(failure(() => writeVectorFully(0, [bytes], 0, callsOn(target, [3, 'EIO'])))).toEqual(['EIO', 3])
  // what never comes to anything ends
  const interrupted = Array.from({ length: 1100 }, () => 'EINTR')
  expect(failure(() => readFully(0, target, 0, 9, 0, callsOn(bytes, [2, ...interrupted])))).toEqual(['EINTR', 2])
  expect(() => readFully(-1, target, 0, 9, 0)).toThrow(RangeError)
})
