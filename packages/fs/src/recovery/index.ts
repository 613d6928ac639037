/** What is done to files when a volume is opened for writing: what this package registers with the database. */

import type { WritableVolume } from '../writable-volume.ts'
import { deleteDeadInodes } from './delete-dead-inodes.ts'
import { resumeLoggedOps } from './resume-logged-ops.ts'

/** By the names of recovery passes. */
export const fsPasses: Readonly<Record<string, (volume: WritableVolume) => void>> = {
  resume_logged_ops: resumeLoggedOps,
  delete_dead_inodes: deleteDeadInodes,
}
