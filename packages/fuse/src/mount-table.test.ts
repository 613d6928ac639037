import { closeSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fuseAvailable } from '@cowherd/fixtures'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { findMount, isBelow, mountsBelow, parseMountTable, resolveMountPoint, topmostAt } from './mount-table.ts'
import { mountFuse } from './mount.ts'
import { unmountAll } from './testing/bare-server.ts'

let folder: string
beforeEach(() => void (folder = realpathSync(mkdtempSync(join(tmpdir(), 'cowherd-table-')))))
afterEach(() => {
  unmountAll(folder)
  rmSync(folder, { recursive: true })
})

describe('the table', () => {
  test('a line with all kinds of fields', () => {
    const table = [
      '22 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard',
      '42 22 0:39 / /mnt/a\\040b\\134c rw,nosuid,nodev shared:1 master:2 - fuse.cowherd -a,b\\040c\\012 rw,user_id=0,group_id=0',
      '43 22 0:40 / /mnt/empty rw - fuse.x  rw,user_id=1',
      '',
    ].join('\n')
    const [root, fuse, unnamed] = parseMountTable(table)
    expect(root).toMatchObject({ mountPoint: '/', type: 'ext4', source: '/dev/vda', major: 254, minor: 0 })
    expect(fuse).toEqual({
      id: '42',
      parent: '22',
      mountPoint: '/mnt/a b\\c',
      type: 'fuse.cowherd',
      source: '-a,b c\n',
      major: 0,
      minor: 39,
      options: ['rw', 'nosuid', 'nodev'],
      superOptions: ['rw', 'user_id=0', 'group_id=0'],
    })
    expect(unnamed).toMatchObject({ source: '', superOptions: ['rw', 'user_id=1'] })
  })

  test('broken lines are left out', () => {
    expect(parseMountTable('\n1 2 3\n1 2 0:1 / /x rw without a separator\n')).toEqual([])
  })

  const line = (id: number, parent: number, mountPoint: string): string =>
    `${id} ${parent} 0:${id} / ${mountPoint} rw - tmpfs number${id} rw`
  const topmost = (path: string, ...lines: string[]): string | undefined =>
    topmostAt(path, parseMountTable(lines.join('\n')))?.source

  test('of mounts upon each other, the topmost, whatever their order', () => {
    const lines = [line(1, 0, '/'), line(2, 1, '/a'), line(3, 2, '/a'), line(4, 3, '/a/b')]
    expect(topmost('/a', ...lines)).toBe('number3')
    expect(topmost('/a', ...lines.reverse())).toBe('number3')
    expect(topmost('/', ...lines)).toBe('number1')
  })

  test('a mount that another hides is none', () => {
    const lines = [line(1, 0, '/'), line(2, 1, '/a/b'), line(3, 1, '/a')]
    expect(topmost('/a/b', ...lines)).toBeUndefined()
    expect(topmost('/a/b', ...lines, line(4, 3, '/a/b'))).toBe('number4')
  })

  test('only the mount point itself counts, and a root that is no mount is no obstacle', () => {
    expect(topmost('/ab', line(1, 0, '/'), line(2, 1, '/a'))).toBeUndefined()
    expect(topmost('/a/b', line(1, 0, '/'), line(2, 1, '/a'))).toBeUndefined()
    expect(topmost('/a', line(2, 1, '/a'))).toBe('number2')
    expect(topmost('/a')).toBeUndefined()
  })

  test('a table that leads in a circle ends', () => {
    expect(topmost('/a', line(1, 2, '/'), line(2, 1, '/'))).toBeUndefined()
    expect(topmost('/', line(1, 1, '/'))).toBe('number1')
  })
})

test('below', () => {
  expect([isBelow('/a', '/a'), isBelow('/a/b', '/a'), isBelow('/ab', '/a'), isBelow('/a', '/')]).toEqual([
    true,
    true,
    false,
    true,
  ])
})

describe.skipIf(process.platform !== 'linux')('directories', () => {
  test('what the system has', () => {
    expect(findMount('/proc')).toMatchObject({ mountPoint: '/proc', type: 'proc' })
    expect(findMount('/proc/self')).toBeUndefined()
    expect(findMount(folder)).toBeUndefined()
    expect(mountsBelow('/').map(({ mountPoint }) => mountPoint)).toContain('/proc')
  })

  test('links are followed, also links to links', () => {
    mkdirSync(join(folder, 'real'))
    symlinkSync('real', join(folder, 'one'))
    symlinkSync(join(folder, 'one'), join(folder, 'two'))
    symlinkSync(folder, join(folder, 'up'))
    expect(resolveMountPoint(join(folder, 'up', 'two/'))).toBe(join(folder, 'real'))
    symlinkSync('/proc', join(folder, 'proc'))
    expect(findMount(join(folder, 'proc'))).toMatchObject({ type: 'proc' })
    expect(resolveMountPoint('/')).toBe('/')
  })

  test('what is no directory', () => {
    writeFileSync(join(folder, 'file'), '')
    symlinkSync('circle', join(folder, 'circle'))
    const none = join(folder, 'none')
    expect(() => findMount(none)).toThrow(
      expect.objectContaining({ code: 'ENOENT', directory: none, message: `${none}: no such directory` }),
    )
    expect(() => findMount(join(folder, 'none', 'below'))).toThrow('no such directory')
    expect(() => findMount(join(folder, 'file', 'below'))).toThrow(/: not a directory/)
    expect(() => findMount(join(folder, 'circle'))).toThrow('too many symbolic links')
  })

  test.skipIf(!fuseAvailable())('a mount whose server is gone, and one that nobody serves', () => {
    const fd = mountFuse(folder, { source: 'volume', subtype: 'cowherd', options: [] })
    expect(findMount(folder)).toMatchObject({ mountPoint: folder, type: 'fuse.cowherd', source: 'volume' })
    closeSync(fd)
    expect(findMount(folder)).toMatchObject({ mountPoint: folder, type: 'fuse.cowherd', source: 'volume' })
    expect(() => findMount(join(folder, 'below', 'it'))).toThrow('it lies in a FUSE mount whose server is gone')
  })
})
