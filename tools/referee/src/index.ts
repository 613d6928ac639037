/**
 * The judges: Debian's bcachefs-tools 1.13 and Linux 6.12 with its bcachefs driver, in a virtual machine. Tests ask
 * `referee.available()` first and skip without them.
 *
 *     describe.skipIf(!referee.available())('as the real tool sees it', () => {
 *       test('...', async () => expect(await referee.fsck([image])).toMatchObject({ clean: true }))
 *     })
 */

import { bcachefs, fsck } from './bcachefs.ts'
import { manifest } from './manifest.ts'
import { available } from './place.ts'
import { vm } from './vm.ts'

export const referee = { available, bcachefs, fsck, vm, manifest }

export type { FsckVerdict, Verdict } from './bcachefs.ts'
export type { Job, JobResult, MachineOptions, MachineResult } from './vm.ts'
export { needPlace, type Place } from './place.ts'
export { RefereeError, type RunOptions } from './run.ts'
