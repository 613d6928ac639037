/**
 * The filesystems that are written to in courses: ours and its peers. All of them lie in an image in memory (where there is /dev/shm), made anew
 * each time: no disk's mood is measured, only what the software takes. One that this machine doesn't have is undefined, and that is said.
 */

import { closeSync, existsSync, openSync, rmSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import type { Stand } from './course.ts'
import { mountLoop, mountPoint, type Server } from './mounts.ts'
import { must, succeeds } from './run.ts'
import { cowherdFormat, cowherdMount, fuse2fs, memoryFilesystem, passthrough, without } from './servers.ts'
import { BENCH_DIRECTORY } from './trees.ts'

const MEMORY = existsSync('/dev/shm') ? '/dev/shm' : BENCH_DIRECTORY
/** One at a time, so that one name will do. */
const IMAGE = join(MEMORY, 'cowherd-bench-stand.img')

/** Where the images lie, in words. */
export const PLACE = MEMORY === '/dev/shm' ? 'images in memory' : `images in ${MEMORY}`

type Maker = (image: string) => void

/** `cowherd mount` of a new volume, with what is usual. */
export function cowherdStand(bytes: number): Stand | undefined {
  const server = cowherdMount('cowherd', IMAGE, { access: 'rw' })
  return server && onServer(server, makerOf(bytes, cowherdFormat))
}

/** A filesystem that keeps names in memory, and no data, on our own loop. */
export function memoryStand(): Stand {
  const point = mountPoint(memoryFilesystem())
  return {
    name: point.server.name,
    server: point.pid,
    async begin() {
      await point.renew()
      return point.directory
    },
    renew: () => point.dropCaches(),
    end: () => point.unmount(),
  }
}

/** fuse2fs of a new ext4. */
export function fuse2fsStand(bytes: number): Stand | undefined {
  const server = fuse2fs(IMAGE, 'rw')
  return server && onServer(server, makerOf(bytes, mkfsExt4))
}

/** passthrough_ll over a new ext4 on a loop device. */
export function passthroughStand(bytes: number): Stand | undefined {
  const below = loopStand('ext4 below', bytes, mkfsExt4)
  let directory = ''
  const server = passthrough(() => directory, 'rw')
  if (server === undefined) return undefined
  const point = mountPoint(server)
  return {
    name: server.name,
    server: point.pid,
    async begin() {
      directory = await below.begin()
      await point.renew()
      return point.directory
    },
    async renew() {
      await point.unmount()
      await below.renew()
      await point.renew()
    },
    async end() {
      await point.unmount()
      await below.end()
    },
  }
}

/** The kernel's ext4 on a loop device. */
export function ext4Stand(bytes: number): Stand {
  return loopStand('ext4', bytes, mkfsExt4)
}

/** The kernel's btrfs on a loop device. */
export function btrfsStand(bytes: number): Stand | undefined {
  if (!succeeds('sh', ['-c', 'command -v mkfs.btrfs'])) return without('btrfs', 'no package btrfs-progs')
  if (!succeeds('sh', ['-c', 'grep -qw btrfs /proc/filesystems || modprobe btrfs'])) {
    return without('btrfs', 'this kernel has none')
  }
  return loopStand('btrfs', bytes, (image) => must('mkfs.btrfs', ['-q', image]))
}

function onServer(server: Server, make: Maker): Stand {
  const point = mountPoint(server)
  return {
    name: server.name,
    server: point.pid,
    async begin() {
      make(IMAGE)
      await point.renew()
      return point.directory
    },
    renew: () => point.renew(),
    async end() {
      await point.unmount()
      rmSync(IMAGE, { force: true })
    },
  }
}

function loopStand(name: string, bytes: number, mkfs: Maker): Stand {
  const make = makerOf(bytes, mkfs)
  let mounted: ReturnType<typeof mountLoop> | undefined
  const unmount = (): void => {
    mounted?.unmount()
    mounted = undefined
  }
  const mount = (): string => {
    mounted = mountLoop(IMAGE, name, 'rw')
    return mounted.directory
  }
  return {
    name,
    begin() {
      make(IMAGE)
      return Promise.resolve(mount())
    },
    renew() {
      unmount()
      mount()
      return Promise.resolve()
    },
    end() {
      unmount()
      rmSync(IMAGE, { force: true })
      return Promise.resolve()
    },
  }
}

/** What makes an image of so many bytes, and a filesystem in it. */
function makerOf(bytes: number, mkfs: Maker): Maker {
  return (image) => {
    rmSync(image, { force: true })
    closeSync(openSync(image, 'w'))
    truncateSync(image, bytes)
    mkfs(image)
  }
}

function mkfsExt4(image: string): void {
  must('mkfs.ext4', ['-q', '-F', image])
}
