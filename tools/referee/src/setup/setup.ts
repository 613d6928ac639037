/**
 * Installs the referees below the folder that `placeFolder()` names: bcachefs-tools 1.13 from Debian experimental with
 * the libraries of Debian trixie, and Linux 6.12 of trixie with a small guest, for QEMU. Some 600 MB pass through, half
 * of it stays. Needs Debian's apt on amd64, and root if QEMU or a compiler is to be installed.
 */

import fs from 'node:fs'
import path from 'node:path'
import { manifestProgram } from '../manifest.ts'
import { findPlace, placeFolder, type Place } from '../place.ts'
import { must, RefereeError } from '../run.ts'
import { dependsOf, installMissing, openSuite, unpack, versionOf } from './debian.ts'
import { guestImage, LIBRARY_FOLDERS, LOADER } from './guest-image.ts'

/** What must be on this machine itself, and the package that brings it; the last is the C library to link statically. */
const MACHINE_PACKAGES = {
  'qemu-system-x86_64': 'qemu-system-x86',
  gcc: 'gcc',
  '/usr/include/stdio.h': 'libc6-dev',
  xz: 'xz-utils',
  fusermount3: 'fuse3', // for mounts of the volumes that are judged
}
/** Programs that mounts are tried with. What can't be had isn't tried. */
const TRIED_PROGRAMS = { rsync: 'rsync', fio: 'fio' }
/** What the real tool and the guest's programs load, and the programs themselves. */
const TRIXIE_PACKAGES = [
  ...['libaio1t64', 'libblkid1', 'libc6', 'libgcc-s1', 'libkeyutils1', 'liblz4-1', 'libsodium23', 'libudev1'],
  ...['liburcu8t64', 'libuuid1', 'libzstd1', 'zlib1g', 'libcap2', 'libxxhash0'],
  ...['busybox-static', 'dash', 'coreutils', 'libselinux1', 'libpcre2-8-0', 'libgmp10', 'libssl3t64'],
  ...['attr', 'libattr1', 'acl', 'libacl1'],
  ...['xfsprogs', 'libinih1', 'libedit2', 'libtinfo6', 'libbsd0', 'libmd0', 'libdevmapper1.02.1', 'libicu76'],
]

/**
 * Installs what is missing, and tells of each step. Does nothing if all is there. Not for two at once: the command runs
 * it behind a lock. Throws RefereeError that names the step that failed.
 */
export async function setup(say: (words: string) => void): Promise<Place> {
  const installed = findPlace()
  if (installed !== undefined) {
    await installMissing(MACHINE_PACKAGES)
    await installTried(say)
    await manifestProgram()
    return installed
  }
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new RefereeError('the referees are programs of Debian on amd64; this machine is another')
  }
  const folder = placeFolder()
  fs.mkdirSync(folder, { recursive: true })
  const inside = (...names: string[]) => path.join(folder, ...names)
  for (const name of ['root', 'kernel', 'debs']) fs.rmSync(inside(name), { recursive: true, force: true })

  say('programs of this machine: qemu, gcc, xz')
  await installMissing(MACHINE_PACKAGES)
  await installTried(say)
  await manifestProgram()

  say('indexes of Debian experimental and trixie')
  const experimental = await openSuite('experimental', inside('lists'))
  const trixie = await openSuite('trixie', inside('lists'))

  say('bcachefs-tools and its libraries')
  const tools = await versionOf(experimental, 'bcachefs-tools', '1:1.13.')
  await unpack(experimental, [`bcachefs-tools=${tools}`], inside('debs'), inside('root'))
  await unpack(trixie, TRIXIE_PACKAGES, inside('debs'), inside('root'))
  writeWrapper(folder)
  await must(inside('bcachefs'), ['version'])

  say('Linux')
  const image = (await dependsOf(trixie, 'linux-image-amd64')).find((name) => name.startsWith('linux-image-6.12.'))
  if (image === undefined) throw new RefereeError('Debian trixie has no kernel 6.12 any more')
  await unpack(trixie, [image], inside('debs'), inside('kernel'))

  say('the guest')
  fs.writeFileSync(inside('initrd.gz'), await guestImage(inside('root'), inside('kernel')))
  for (const name of ['debs', 'lists']) fs.rmSync(inside(name), { recursive: true, force: true })
  fs.writeFileSync(inside('.ready'), `bcachefs-tools ${tools}\n${image}\n`)
  const place = findPlace()
  if (place === undefined) throw new RefereeError(`the installation in ${folder} is not whole`)
  return place
}

async function installTried(say: (words: string) => void): Promise<void> {
  try {
    await installMissing(TRIED_PROGRAMS)
  } catch (error) {
    if (!(error instanceof RefereeError)) throw error
    say(`goes without ${Object.keys(TRIED_PROGRAMS).join(' and ')}: ${error.message}`)
  }
}

/** The tool starts with the loader and the libraries beside it, wherever the folder lies. */
function writeWrapper(folder: string): void {
  const libraries = LIBRARY_FOLDERS.map((name) => `$here/root/${name}`).join(':')
  const lines = [
    '#!/bin/sh',
    'here=$(dirname "$(readlink -f "$0")")',
    `exec "$here/root/${LOADER}" --library-path "${libraries}" "$here/root/usr/sbin/bcachefs" "$@"`,
  ]
  fs.writeFileSync(path.join(folder, 'bcachefs'), `${lines.join('\n')}\n`, { mode: 0o755 })
}
