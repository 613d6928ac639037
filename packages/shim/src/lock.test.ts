import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { lockDevice } from './lock.ts'
import { loadNative } from './native.ts'

const linux = process.platform === 'linux'
const native = loadNative()
const ways = [...(native === undefined ? [] : [['with koffi', native] as const]), ['without koffi', undefined] as const]

let folder: string
let image: string
let children: ChildProcess[]
let fds: number[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cowherd-lock-'))
  image = join(folder, 'a b.img')
  writeFileSync(image, 'x'.repeat(4096))
  children = []
  fds = []
})

afterEach(async () => {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await ended
  }
  for (const fd of fds) closeSync(fd)
  rmSync(folder, { recursive: true })
})

/** Runs a shell command that prints a line when it is ready, and then waits on its standard input. */
async function other(command: string): Promise<number> {
  const child = spawn('sh', ['-c', command], { stdio: ['pipe', 'pipe', 'inherit'] })
  children.push(child)
  await new Promise((resolve) => child.stdout.once('data', resolve))
  return child.pid ?? 0
}

function open(path = image): number {
  const fd = openSync(path, 'r')
  fds.push(fd)
  return fd
}

function messageOf(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    return error instanceof Error ? error.message : 'not an error'
  }
  return 'nothing thrown'
}

describe.skipIf(!linux).each(ways)('locks %s', (_, native) => {
  test('readers do not disturb each other, in one process or several', async () => {
    lockDevice(open(), image, 'shared', { native })
    lockDevice(open(), image, 'shared', { native })
    await other(`exec 3<"${image}"; flock -s -n 3 && echo ready; read wait`)
  })

  test('a reader is refused while another process holds the exclusive lock, and told which', async () => {
    const pid = await other(`exec 3<"${image}"; flock -x 3; echo ready; read wait`)
    const message = messageOf(() => lockDevice(open(), image, 'shared', { native }))
    expect(message).toBe(`${image}: in use: process ${pid} (sh) has it for writing`)
  })

  test('a writer is refused while another process reads', async () => {
    const pid = await other(`exec 3<"${image}"; flock -s 3; echo ready; read wait`)
    const message = messageOf(() => lockDevice(open(), image, 'exclusive', { native }))
    expect(message).toBe(`${image}: in use: process ${pid} (sh) has it open`)
  })

  test('the lock stays after the call, and goes with the descriptor', () => {
    const fd = openSync(image, 'r')
    lockDevice(fd, image, 'exclusive', { native })
    expect(spawnSync('flock', ['-s', '-n', image, 'true']).status).toBe(1)
    closeSync(fd)
    expect(spawnSync('flock', ['-s', '-n', image, 'true']).status).toBe(0)
  })

  test('a process that writes without locking is found too', async () => {
    const pid = await other(`exec 3>>"${image}"; echo ready; read wait`)
    const message = messageOf(() => lockDevice(open(), image, 'shared', { native }))
    expect(message).toBe(`${image}: in use: process ${pid} (sh) has it open for writing`)
    expect(spawnSync('flock', ['-x', '-n', image, 'true']).status).not.toBe(0) // our descriptor is still open
  })

  test('EBUSY is the code', async () => {
    await other(`exec 3<"${image}"; flock -x 3; echo ready; read wait`)
    expect(() => lockDevice(open(), image, 'shared', { native })).toThrow(expect.objectContaining({ code: 'EBUSY' }))
  })

  describe('block devices', () => {
    const loop = loopDevice()

    test.skipIf(loop === undefined)('a claimed device is refused, and so is the file behind it', async () => {
      truncateSync(image, 1 << 20)
      const device = spawnSync('losetup', ['-f', '--show', image]).stdout.toString().trim()
      try {
        lockDevice(open(device), device, 'shared', { native }) // attached, not claimed
        lockDevice(open(), image, 'shared', { native })
        const claim = `const fd = require('fs').openSync('${device}', require('fs').constants.O_EXCL); console.log('ready'); process.stdin.resume()`
        await other(`exec "${process.execPath}" -e "${claim}"`)
        expect(messageOf(() => lockDevice(open(device), device, 'shared', { native }))).toMatch(
          new RegExp(`^${device}: in use: open in process \\d+ \\(node|claimed`),
        )
        expect(messageOf(() => lockDevice(open(), image, 'shared', { native }))).toMatch(
          `${image}: in use: attached as ${device}`,
        )
      } finally {
        for (const child of children) child.kill('SIGKILL')
        spawnSync('losetup', ['-d', device])
      }
    })
  })
})

test.skipIf(!linux)('where no lock can be taken, one note says so', () => {
  const notes: string[] = []
  const path = process.env['PATH']
  process.env['PATH'] = '/nonexistent'
  try {
    const options = { native: undefined, note: (text: string) => notes.push(text) }
    lockDevice(open(), image, 'shared', options)
    lockDevice(open(), image, 'shared', options)
  } finally {
    process.env['PATH'] = path
  }
  expect(notes).toEqual([
    `${image} is not locked (neither koffi nor util-linux' flock is installed); other programs are not kept from writing`,
  ])
})

/** A free loop device, if this user and machine can attach one. */
function loopDevice(): string | undefined {
  if (!linux || process.getuid?.() !== 0) return undefined
  const found = spawnSync('losetup', ['-f'])
  return found.status === 0 ? found.stdout.toString().trim() : undefined
}
