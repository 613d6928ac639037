import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fuseAvailable } from '@cowherd/fixtures'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { findMount } from './mount-table.ts'
import { mountFuse } from './mount.ts'
import { serveBarely, unmountAll } from './testing/bare-server.ts'
import { unmount } from './unmount.ts'

let folder: string
let children: ChildProcess[]

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'cowherd-unmount-')))
  children = []
})
afterEach(async () => {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }
  unmountAll(folder)
  rmSync(folder, { recursive: true })
})

/** Mounts and serves; the server ends with the mount. */
function mountAndServe(): ChildProcess {
  const fd = mountFuse(folder, { source: 'volume', subtype: 'cowherd', options: [] })
  const server = serveBarely(fd)
  closeSync(fd)
  children.push(server)
  return server
}

/** A shell that stays in the mount; returns when it is there. */
async function stay(): Promise<ChildProcess> {
  const child = spawn('sh', ['-c', 'cd "$0" && echo ready && read wait', folder], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  children.push(child)
  await once(child.stdout, 'data')
  return child
}

async function statusOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  return child.exitCode
}

describe.skipIf(!fuseAvailable())('unmounting as root', () => {
  test('a served mount; its server sees the end', async () => {
    const server = mountAndServe()
    expect(spawnSync('timeout', ['10', 'stat', '-c', '%F', folder]).stdout.toString()).toBe('directory\n')
    await unmount(folder)
    expect(findMount(folder)).toBeUndefined()
    expect(await statusOf(server)).toBe(0)
  })

  test('a mount that is in use stays, and the user is named', async () => {
    const server = mountAndServe()
    const user = await stay()
    await expect(unmount(folder)).rejects.toThrow(
      expect.objectContaining({ code: 'EBUSY', message: `${folder}: in use by sh (${user.pid})` }),
    )
    expect(findMount(folder)).toBeDefined()
    user.kill()
    await statusOf(user)
    await unmount(folder)
    expect(await statusOf(server)).toBe(0)
  })

  test('of many users three are named', async () => {
    mountAndServe()
    await Promise.all([stay(), stay(), stay(), stay(), stay()])
    await expect(unmount(folder)).rejects.toThrow(/in use by sh \(\d+\), sh \(\d+\), sh \(\d+\) and 2 more$/)
  })

  test('lazily: gone from the directory at once, for its users when they leave', async () => {
    const server = mountAndServe()
    const user = await stay()
    await unmount(folder, { lazy: true })
    expect(findMount(folder)).toBeUndefined()
    expect(server.exitCode).toBeNull()
    user.kill()
    expect(await statusOf(server)).toBe(0)
  })

  test('a mount below it is named', async () => {
    mountAndServe()
    const below = join(folder, 'below')
    expect(spawnSync('timeout', ['10', 'mount', '-t', 'tmpfs', 'none', below]).status).toBe(0)
    await expect(unmount(folder)).rejects.toThrow(
      expect.objectContaining({ code: 'EBUSY', message: `${folder}: in use: ${below} is mounted below it` }),
    )
    await expect(unmount('/proc')).rejects.toThrow('/proc: not a FUSE mount but proc')
  })

  test('a mount that nobody serves, and one whose server is gone', async () => {
    const fd = mountFuse(folder, { source: 'volume', subtype: 'cowherd', options: [] })
    await unmount(folder)
    expect(findMount(folder)).toBeUndefined()
    closeSync(fd)
    closeSync(mountFuse(folder, { source: 'volume', subtype: 'cowherd', options: [] }))
    await unmount(folder)
    expect(findMount(folder)).toBeUndefined()
  })

  test('a mount whose server does not answer', async () => {
    const fd = mountFuse(folder, { source: 'volume', subtype: 'cowherd', options: [] })
    children.push(serveBarely(fd, 'silently'))
    closeSync(fd)
    await unmount(folder)
    expect(findMount(folder)).toBeUndefined()
  })

  test('nothing there', async () => {
    await expect(unmount(folder)).rejects.toThrow(
      expect.objectContaining({ code: 'EINVAL', message: `${folder}: nothing is mounted there` }),
    )
    await expect(unmount(join(folder, 'none'))).rejects.toThrow(expect.objectContaining({ code: 'ENOENT' }))
  })

  test('without umount', async () => {
    const fd = mountFuse(folder, { source: 'volume', subtype: 'cowherd', options: [] })
    const path = process.env['PATH']
    process.env['PATH'] = '/nonexistent'
    try {
      await expect(unmount(folder)).rejects.toThrow('the program umount is missing (Debian: package mount)')
    } finally {
      process.env['PATH'] = path
      closeSync(fd)
    }
  })
})
