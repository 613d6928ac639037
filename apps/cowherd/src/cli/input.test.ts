/** Standard input of every kind, read by the program as a process of its own. */

import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { builtProgram } from '../testing/built.ts'
import { cowherd } from '../testing/command-line.ts'
import { newVolume } from '../testing/new-volume.ts'
import { noise } from '../testing/sample-tree.ts'

const folder = mkdtempSync(join(tmpdir(), 'cowherd-input-'))
const content = noise(3_000_001)
let volume: string
let program: string

beforeAll(async () => {
  program = builtProgram()
  volume = await newVolume(folder)
  writeFileSync(join(folder, 'content'), content)
})
afterAll(() => rmSync(folder, { recursive: true }))

let files = 0

/** Runs a line of shell in which `$put` puts its standard input. Returns its end, and what was put. */
async function put(line: string): Promise<{ status: number | null; stderr: string; bytes: Uint8Array }> {
  const name = `/file-${files++}`
  const words = [process.execPath, program, 'put', volume, '-', name].map((word) => `'${word}'`).join(' ')
  const { status, stderr } = spawnSync('sh', ['-c', line.replace('$put', words)], { cwd: folder, encoding: 'utf8' })
  return { status, stderr, bytes: (await cowherd(['cat', volume, name])).bytes }
}

test.each([
  ['a file', '$put < content'],
  ['a file from where it is read to', '(dd bs=1 count=0 skip=0 2>/dev/null; $put) < content'],
  ['a pipe', 'cat content | $put'],
  ['a pipe that gives little at a time', 'dd if=content bs=700 2>/dev/null | $put'],
  ['a pipe that waits', '(head -c 1000000; sleep 0.3; cat) < content | $put'],
])('%s', async (_name, line) => {
  const { status, stderr, bytes } = await put(line)
  expect([status, stderr]).toEqual([0, ''])
  expect(Buffer.compare(bytes, content)).toBe(0)
})

test.each([
  ['an empty file', '$put < /dev/null'],
  ['an empty pipe', 'true | $put'],
])('%s', async (_name, line) => {
  const { status, stderr, bytes } = await put(line)
  expect([status, stderr, bytes.length]).toEqual([0, '', 0])
})

test('a directory', async () => {
  expect(await put('$put < .')).toMatchObject({ status: 2, stderr: 'cowherd: standard input is a directory\n' })
})

test('a command that fails does not wait for the end of its input', async () => {
  const child = spawn(process.execPath, [program, 'untar', volume], { stdio: ['pipe', 'ignore', 'ignore'] })
  child.stdin.on('error', () => undefined) // it is closed at the other end
  child.stdin.write(Buffer.alloc(2000, 'no archive'))
  const code = await new Promise((resolve) => child.once('close', resolve))
  expect(code).toBe(1)
})
