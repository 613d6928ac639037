/**
 * Where the referees are installed: $COWHERD_REFEREE, or ~/.cache/cowherd-referee. The folder holds
 *
 *     .ready            written last: the installation is whole
 *     bcachefs          the real tool, with the libraries it wants, behind a wrapper
 *     kernel/boot/      the Linux kernel
 *     initrd.gz         the guest: drivers, busybox, programs, an init that runs /job/job.sh
 */

import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { RefereeError } from './run.ts'

export interface Place {
  readonly folder: string
  /** The real tool, to be executed. */
  readonly bcachefs: string
  readonly kernel: string
  readonly initrd: string
}

/** The folder that the referees are in, or will be. */
export function placeFolder(): string {
  return path.resolve(process.env['COWHERD_REFEREE'] ?? path.join(os.homedir(), '.cache', 'cowherd-referee'))
}

/** The installation, or undefined if there is none, or only a part of one. */
export function findPlace(folder = placeFolder()): Place | undefined {
  if (!fs.existsSync(path.join(folder, '.ready'))) return undefined
  const boot = path.join(folder, 'kernel', 'boot')
  const image = fs.existsSync(boot) ? fs.readdirSync(boot).find((name) => name.startsWith('vmlinuz-')) : undefined
  if (image === undefined) return undefined
  const place = {
    folder,
    bcachefs: path.join(folder, 'bcachefs'),
    kernel: path.join(boot, image),
    initrd: path.join(folder, 'initrd.gz'),
  }
  return [place.bcachefs, place.initrd].every((file) => fs.existsSync(file)) ? place : undefined
}

/** The installation. Throws RefereeError if there is none. */
export function needPlace(): Place {
  const place = findPlace()
  if (place === undefined) throw new RefereeError(NOT_INSTALLED)
  return place
}

const NOT_INSTALLED =
  "the referees (bcachefs-tools, Linux in QEMU) aren't installed: `npm run referee -- setup` does it (as root, Debian)"
let said = false

/**
 * Whether the referees are installed, for `describe.skipIf(!available())`. If not, says so once on standard error; with
 * COWHERD_REQUIRE_REFEREE=1 it throws instead, so that nothing is skipped where the referees must be.
 */
export function available(): boolean {
  if (findPlace() !== undefined) return true
  if (process.env['COWHERD_REQUIRE_REFEREE'] === '1') throw new RefereeError(NOT_INSTALLED)
  if (!said) process.stderr.write(`skipping tests: ${NOT_INSTALLED}\n`)
  said = true
  return false
}
