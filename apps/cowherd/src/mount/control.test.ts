/** The control channel and those who don't keep to it: nothing that comes through it is believed, waited for, or kept without bound. */

import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { until } from '../testing/mount-place.ts'
import { listen, reach } from './control.ts'
import { nameOfDevice, ownSocket, socketsOfAll } from './run-folder.ts'
import { deviceIdentity, findVolumeMount } from './volume-mount.ts'

let folder: string
let path: string
let server: Server | undefined
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cowherd-control-'))
  path = join(folder, 's')
})
afterEach(() => {
  server?.close()
  server = undefined
  rmSync(folder, { recursive: true })
})

/** What is said to whoever sends these bytes, until the other side ends or so many lines have come. */
async function said(bytes: readonly (string | Uint8Array)[], lines = Infinity): Promise<unknown[]> {
  const socket = connect(path)
  socket.on('error', () => socket.destroy())
  let text = ''
  const enough = new Promise<void>((resolve) => {
    socket.on('data', (data: Buffer) => {
      text += data.toString()
      if (text.split('\n').length > lines) resolve()
    })
    socket.once('close', () => resolve())
  })
  for (const each of bytes) socket.write(each)
  await enough
  socket.destroy()
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as unknown)
}

const greeting = { pid: process.pid }

describe('a mount that is asked', () => {
  beforeEach(async () => {
    server = await listen(path, (question) => {
      if (question === 'broken') throw new Error('a bug')
      return question === 'hello' ? { answer: 1 } : undefined
    })
  })

  test('belongs to its owner alone', () => {
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  test('answers, several questions too, and in pieces', async () => {
    expect(await said(['hello\nhel', 'lo\n', 'what?\n'], 4)).toEqual([
      greeting,
      { answer: 1 },
      { answer: 1 },
      { error: 'unknown question' },
    ])
  })

  test.each([
    [
      'foreign bytes',
      [Uint8Array.from({ length: 300 }, (_, i) => (i === 10 ? 0 : i)), '\n'],
      { error: 'unknown question' },
    ],
    ['a line that is too long', ['x'.repeat(5000), '\n'], { error: 'a question of more than 4096 bytes' }],
    ['no end of line at all', Array(200).fill('y'.repeat(4000)), { error: 'a question of more than 4096 bytes' }],
  ])('answers %s by an error, and lives on', async (_, bytes, answer) => {
    expect((await said(bytes as string[], 2)).slice(0, 2)).toEqual([greeting, answer])
    expect(await said(['hello\n'], 2)).toEqual([greeting, { answer: 1 }])
  })

  test('ends the connection after a bug, and lives on', async () => {
    expect(await said(['broken\n'])).toEqual([greeting])
    expect(await said(['hello\n'], 2)).toEqual([greeting, { answer: 1 }])
  })

  test('asks nobody to listen: answers that are not read do not pile up', async () => {
    let answered = 0
    const other = join(folder, 'other')
    const own = await listen(other, () => {
      answered++
      return 'z'.repeat(10_000)
    })
    const socket = connect(other)
    await once(socket, 'connect')
    socket.pause()
    socket.write('q\n'.repeat(1000))
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(answered).toBeLessThan(500) // there is room for some in the socket's buffers
    let received = 0
    socket.on('data', (data: Buffer) => (received += data.length))
    socket.resume()
    expect(await until(() => received > 1000 * 10_000)).toBe(true)
    expect(answered).toBe(1000)
    socket.destroy()
    own.close()
  })

  test('takes so many connections, and others when these have gone', async () => {
    let greeted = 0
    const sockets = Array.from({ length: 70 }, () => {
      const socket = connect(path)
      socket.on('error', () => socket.destroy())
      socket.once('data', () => greeted++)
      return socket
    })
    expect(await until(() => sockets.filter(({ destroyed }) => destroyed).length === 6)).toBe(true)
    expect(await until(() => greeted === 64)).toBe(true)
    for (const socket of sockets) socket.destroy()
    expect(await until(async () => (await said(['hello\n'], 2)).length === 2)).toBe(true)
  })
})

describe('whoever asks', () => {
  const entry = { mountPoint: '/', type: '', source: '', major: 0, minor: 4711, options: [], superOptions: [] }
  const env = (): Record<string, string> => ({ XDG_RUNTIME_DIR: folder })

  /** Somebody else behind the socket. */
  async function impostor(at: string, behave: (socket: Socket) => void): Promise<void> {
    server = createServer((socket) => {
      socket.on('error', () => socket.destroy())
      behave(socket)
    })
    server.listen(at)
    await once(server, 'listening')
  }

  test.each<[string, (socket: Socket) => void]>([
    ['says nothing of use', (socket) => socket.write('\u0000\u0001 hello\n')],
    ['gives no number', (socket) => socket.write('{"pid":"x"}\n')],
    ['ends at once', (socket) => socket.end()],
  ])('passes over a process that %s', async (_, behave) => {
    await impostor(path, behave)
    expect(await reach([path], 500)).toBeUndefined()
  })

  test('waits for a silent one so long and no longer', async () => {
    await impostor(path, () => undefined)
    expect(await reach([path], 50)).toBeUndefined()
  })

  test('takes no answer without an end', async () => {
    await impostor(path, (socket) => {
      socket.write(`${JSON.stringify(greeting)}\n`)
      const more = (): void => {
        socket.write('a'.repeat(1 << 20), (error) => error ?? more())
      }
      socket.once('data', more)
    })
    const peer = await reach([path])
    await expect(peer?.ask('hello')).rejects.toThrow('more than it should')
    peer?.close()
  })

  test.skipIf(process.geteuid?.() === 0)('passes over folders that others may enter', () => {
    mkdirSync(join(folder, 'cowherd'), { mode: 0o755 })
    expect(ownSocket(entry, env())).toBe(undefined)
  })

  test('finds the mount of a volume by what its devices are, and believes no other answers', async () => {
    const image = join(folder, 'image')
    writeFileSync(image, '')
    const at = ownSocket(entry, env())
    if (at === undefined) throw new Error('no folder for the socket')
    try {
      for (const wrong of [
        'null',
        '[]',
        '{"directory":"relative","isWritable":true,"devices":[]}',
        '{"devices":[1]}',
      ]) {
        await impostor(at, (socket) => socket.write(`${JSON.stringify(greeting)}\n${wrong}\n`))
        expect(socketsOfAll(env())).toContain(at)
        expect(await findVolumeMount([image], env())).toBeUndefined()
        server?.close()
        rmSync(at, { force: true })
      }
      const shown = { directory: '/somewhere', isWritable: false, devices: [deviceIdentity(image)] }
      server = await listen(at, () => shown)
      expect(await findVolumeMount([join(folder, '.', 'image')], env())).toEqual({
        ...{ ...shown, subvolume: undefined, pid: process.pid, device: nameOfDevice(entry) },
      })
      expect(await findVolumeMount([path], env())).toBeUndefined()
    } finally {
      rmSync(at, { force: true })
    }
  })
})
