/**
 * The guest's root directory, unpacked by the kernel into memory: busybox, drivers, and a few programs with their
 * libraries, each behind a small script that names its loader.
 */

import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { must, RefereeError } from '../run.ts'
import { cpio, directory, file, program, script, type Entry } from './cpio.ts'
import { modulesFor } from './modules.ts'

/** Folders of libraries below the root of unpacked packages. */
export const LIBRARY_FOLDERS = ['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu']
export const LOADER = 'usr/lib64/ld-linux-x86-64.so.2'

const INIT = fileURLToPath(new URL('../../guest/init.sh', import.meta.url))
/** In the order of loading: the ciphers that bcachefs asks the kernel for by name come before it. */
const DRIVERS = [
  ...['virtio_pci', 'virtio_blk', '9p', '9pnet_virtio'],
  ...['crc32c_generic', 'crc32c-intel', 'xxhash_generic', 'chacha_generic', 'poly1305_generic', 'sha256_generic'],
  ...['crc64', 'lz4', 'lz4hc', 'zstd', 'deflate', 'zlib'],
  'bcachefs',
]
/** Programs for jobs, besides busybox: cp as busybox's makes no reflinks, dash as busybox's shell prefers its own cp. */
const PROGRAMS = ['bcachefs', 'dash', 'cp', 'setfattr', 'getfattr', 'setfacl', 'getfacl', 'xfs_io']

/** Builds the image from unpacked packages (`root`) and an unpacked kernel package (`kernel`); gzipped. */
export async function guestImage(root: string, kernel: string): Promise<Buffer> {
  const entries = ['bin', 'modules', 'proc', 'sys', 'dev', 'mnt', 'tmp', 'etc', 'job', 'guest', 'guest/lib'].map(
    directory,
  )
  entries.push(program('init', fs.readFileSync(INIT)))
  entries.push(program('bin/busybox', fs.readFileSync(programFile(root, 'busybox'))))
  entries.push(...(await driverEntries(path.join(kernel, 'usr', 'lib', 'modules'))))
  entries.push(...(await programEntries(root)))
  return gzipSync(cpio(entries), { level: 1 })
}

async function driverEntries(versions: string): Promise<Entry[]> {
  const [version] = fs.readdirSync(versions)
  if (version === undefined) throw new RefereeError(`no kernel modules below ${versions}`)
  const modules = await modulesFor(path.join(versions, version), DRIVERS)
  if (!modules.some(({ name }) => name === 'bcachefs'))
    throw new RefereeError(`kernel ${version} has no bcachefs driver`)
  return modules.map(({ name, content }, index) => file(`modules/${100 + index}-${name}.ko`, content))
}

async function programEntries(root: string): Promise<Entry[]> {
  const entries: Entry[] = [program('guest/loader', fs.readFileSync(path.join(root, LOADER)))]
  const libraries = new Map<string, string>()
  for (const name of PROGRAMS) {
    const found = programFile(root, name)
    for (const library of await librariesOf(root, found)) libraries.set(path.basename(library), library)
    entries.push(program(`guest/${name}`, fs.readFileSync(found)))
    const line = `exec /guest/loader --library-path /guest/lib --argv0 ${name} /guest/${name} "$@"`
    entries.push(script(`bin/${name}`, `#!/bin/busybox sh\n${line}\n`))
  }
  for (const [name, found] of libraries) entries.push(program(`guest/lib/${name}`, fs.readFileSync(found)))
  return entries
}

function programFile(root: string, name: string): string {
  const found = ['usr/bin', 'usr/sbin', 'bin', 'sbin']
    .map((folder) => path.join(root, folder, name))
    .find(fs.existsSync)
  if (found === undefined) throw new RefereeError(`no ${name} among the unpacked packages`)
  return found
}

/** The libraries that a program loads, by its own loader's account. */
async function librariesOf(root: string, programPath: string): Promise<string[]> {
  const folders = LIBRARY_FOLDERS.map((folder) => path.join(root, folder)).join(':')
  const list = await must(path.join(root, LOADER), ['--list', '--library-path', folders, programPath])
  return list
    .toString()
    .split('\n')
    .flatMap((line) => {
      const [, name, found] = /^\s*(\S+) => (\S+)/.exec(line) ?? []
      if (name === undefined || found === undefined) return []
      if (!found.startsWith('/'))
        throw new RefereeError(`${path.basename(programPath)} wants ${name}, which is missing`)
      return found === path.join(root, LOADER) ? [] : [found]
    })
}
