/**
 * A server of a few lines for tests of mounting, in a process of its own: its root is an empty directory in which each
 * name is an empty directory. And the end of whatever a test mounted.
 */

import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { unescapeField } from '@cowherd/shim'

/**
 * Serves the device `fd`, in a child that has its own copy of the descriptor. It ends with status 0 when the filesystem
 * is unmounted.
 * @param how `silently`: answers INIT, and takes all other requests without answering
 */
export function serveBarely(fd: number, how: 'well' | 'silently' = 'well'): ChildProcess {
  return spawn(process.execPath, ['-e', BARE_SERVER, how], { stdio: ['ignore', 'inherit', 'inherit', fd] })
}

/** Unmounts everything at or below `folder`, lazily and without looking at it. */
export function unmountAll(folder: string): void {
  const points = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => unescapeField(line.split(' ')[4] ?? ''))
    .filter((point) => point === folder || point.startsWith(`${folder}/`))
  for (const point of points.reverse()) spawnSync('umount', ['-c', '-i', '-l', '--', point], { timeout: 10_000 })
}

/** The server, which has the device as descriptor 3. */
export const BARE_SERVER = `
const { readSync, writeSync } = require('node:fs')
const silently = process.argv[1] === 'silently'
const request = Buffer.alloc(65536)
const attributes = Buffer.alloc(88)
attributes.writeUInt32LE(0o40755, 60)
attributes.writeUInt32LE(2, 64)
for (;;) {
  try {
    readSync(3, request)
  } catch (error) {
    if (error.code === 'ENODEV') break
    throw error
  }
  const opcode = request.readUInt32LE(4)
  if ([2, 36, 42].includes(opcode)) continue // FORGET, INTERRUPT, BATCH_FORGET have no answer
  if (silently && opcode !== 26) continue
  let body
  if (opcode === 26) { // INIT
    body = Buffer.alloc(64)
    body.writeUInt32LE(7, 0)
    body.writeUInt32LE(request.readUInt32LE(44), 4)
    body.writeUInt32LE(4096, 20)
  } else if (opcode === 1) { // LOOKUP
    const entry = Buffer.alloc(40)
    entry.writeBigUInt64LE(2n)
    body = Buffer.concat([entry, attributes])
  } else if (opcode === 3) { // GETATTR
    body = Buffer.concat([Buffer.alloc(16), attributes])
  }
  const head = Buffer.alloc(16)
  head.writeUInt32LE(16 + (body?.length ?? 0), 0)
  head.writeInt32LE(body === undefined ? -38 : 0, 4)
  request.copy(head, 8, 8, 16)
  writeSync(3, Buffer.concat([head, body ?? Buffer.alloc(0)]))
}
`
