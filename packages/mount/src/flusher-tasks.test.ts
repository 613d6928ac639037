/** What is brought to devices, and what is told of it. */

import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DescriptorHandle } from '@cowherd/shim'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { nameOf } from './flusher-errors.ts'
import * as memory from './flusher-memory.ts'
import { newFlusherMemory, Task } from './flusher-memory.ts'
import { bringToDevices } from './flusher-tasks.ts'

const ENTRY = new Uint8Array(4096).fill(7)

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cowherd-flusher-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** The words for so many devices, each with its task, of which the entry goes to byte 8192. */
function wordsFor(tasks: readonly number[]): Int32Array {
  const words = new Int32Array(newFlusherMemory(tasks.length, ENTRY.length).words)
  words[memory.LENGTH] = ENTRY.length
  for (const [number, task] of tasks.entries()) {
    words[memory.rowOf(number) + memory.TASK] = task
    words[memory.rowOf(number) + memory.OFFSET_LO] = 8192
  }
  return words
}

function device(name: string, flags: string): DescriptorHandle {
  return { kind: 'descriptor', name, size: 1 << 20, fd: openSync(join(folder, name), flags), isWritable: flags !== 'r' }
}

test('the entry goes to the devices that are to have it', () => {
  const devices = [device('a', 'w+'), device('b', 'w+')]
  const words = wordsFor([Task.flush | Task.write, Task.flush])
  bringToDevices(words, ENTRY, devices)
  for (const { fd } of devices) closeSync(fd)
  expect(readFileSync(join(folder, 'a')).subarray(8192).equals(ENTRY)).toBe(true)
  expect(readFileSync(join(folder, 'b')).length).toBe(0)
  for (const number of [0, 1]) {
    expect(words[memory.rowOf(number) + memory.FLUSH_RESULT]).toBe(0)
    expect(words[memory.rowOf(number) + memory.WRITE_RESULT]).toBe(0)
  }
  expect(words[memory.TOOK_US]).toBeGreaterThanOrEqual(0)
})

test('a device that fails is told, and the others get theirs', () => {
  closeSync(openSync(join(folder, 'a'), 'w'))
  const devices = [device('a', 'r'), device('b', 'w+')]
  const words = wordsFor([Task.write, Task.write])
  bringToDevices(words, ENTRY, devices)
  for (const { fd } of devices) closeSync(fd)
  expect(nameOf(words[memory.rowOf(0) + memory.WRITE_RESULT])).toBe('EBADF')
  expect(words[memory.rowOf(1) + memory.WRITE_RESULT]).toBe(0)
  expect(readFileSync(join(folder, 'b')).subarray(8192).equals(ENTRY)).toBe(true)
})

test('what could not be flushed gets no entry', () => {
  const gone = device('a', 'w+')
  closeSync(gone.fd)
  const words = wordsFor([Task.flush | Task.write])
  bringToDevices(words, ENTRY, [{ ...gone, fd: -1 }])
  expect(words[memory.rowOf(0) + memory.FLUSH_RESULT]).not.toBe(0)
  expect(words[memory.rowOf(0) + memory.WRITE_RESULT]).toBe(0)
})
