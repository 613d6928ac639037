import { existsSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openVolume } from '@cowherd/db'
import { fixture } from '@cowherd/fixtures'
import { fsKeyTypes, openFileSystem, walk, type FileSystem, type WalkEntry } from '@cowherd/fs'
import { loadNative, nativeCodecs } from '@cowherd/shim'
import { openStore } from '@cowherd/store'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Interrupted } from '../cli/exit-code.ts'
import { NO_PROGRESS } from '../cli/progress.ts'
import { findFile } from '../cli/volume-path.ts'
import { progressShare, TreeCopy } from './tree-copy.ts'

let folder: string
let fs: FileSystem
let close: () => void

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cowherd-copy-'))
  const devices = fixture('default').devices.map((path) => openStore(path))
  fs = openFileSystem(openVolume(devices, { codecs: nativeCodecs(), keyTypes: fsKeyTypes }))
  close = () => devices.forEach((device) => device.close())
})
afterEach(() => {
  close()
  rmSync(folder, { recursive: true })
})

const NEVER = { due: () => false, rest: async () => Promise.resolve() }

function copier(failures: string[], interruption = NEVER, progress = NO_PROGRESS): TreeCopy {
  const fail = (text: string): void => void failures.push(text)
  return new TreeCopy(fs, { force: false, native: loadNative(), interruption, progress, fail })
}

test.each(['../evil', '..', '.', 'a/b', '/tmp/evil', 'a\0b', ''])(
  'a volume with the name %j writes nothing outside',
  async (name) => {
    const open = fs.openDirectory.bind(fs)
    fs.openDirectory = (ref) =>
      Object.create(open(ref), { name: { get: () => new TextEncoder().encode(name) } }) as ReturnType<typeof open>
    const failures: string[] = []
    const target = join(folder, 'inside')
    await copier(failures).copy(findFile(fs, 'tree'), Buffer.from(target))
    expect(failures.length).toBeGreaterThan(10)
    expect(failures.every((text) => text.includes('a name that no file may have'))).toBe(true)
    expect(readdirSync(folder)).toEqual(['inside'])
    expect(readdirSync(target)).toEqual([])
  },
)

test('interrupted within a file: what was written of it is removed', async () => {
  let rests = 0
  const interruption = {
    due: () => true,
    rest: async () => {
      const isInFile = existsSync(join(folder, 'tree', 'big'))
      if (isInFile && ++rests === 2) throw new Interrupted('SIGINT')
      return Promise.resolve()
    },
  }
  const copying = copier([], interruption).copy(findFile(fs, 'tree'), Buffer.from(join(folder, 'tree')))
  await expect(copying).rejects.toThrow(Interrupted)
  expect(existsSync(join(folder, 'tree', 'big'))).toBe(false)
})

test('progress ends at what was promised', async () => {
  let done = 0
  const progress = { add: (bytes: number) => void (done += bytes), clear: () => undefined }
  await copier([], NEVER, progress).copy(findFile(fs, 'tree'), Buffer.from(join(folder, 'tree')))
  let expected = 0
  const linkCounts = new Set<number>()
  const visit = ({ inode }: WalkEntry): void => {
    expected += progressShare(inode)
    if (inode.isRegular) linkCounts.add(inode.linkCount)
  }
  walk(fs, { visit, fail: () => undefined }, fs.resolve('tree'))
  expect(done).toBe(expected)
  expect(linkCounts.size).toBeGreaterThan(1)
})

test('directories are closed to others while they are filled', async () => {
  const modes: number[] = []
  const interruption = {
    due: () => true,
    rest: async () => {
      if (existsSync(join(folder, 'many'))) modes.push(lstatSync(join(folder, 'many')).mode & 0o777)
      return Promise.resolve()
    },
  }
  await copier([], interruption).copy(findFile(fs, 'many'), Buffer.from(join(folder, 'many')))
  expect([...new Set(modes)]).toEqual([0o700, 0o755])
  expect(readFileSync(join(folder, 'many', 'file-00000')).length).toBeGreaterThan(0)
})
