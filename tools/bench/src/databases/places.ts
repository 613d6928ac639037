/** Directories for databases on a filesystem with a disk below it: where files are memory, flushing costs nothing. All of them are removed. */

import { lstatSync, mkdtempSync, readdirSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const TMPFS = 0x01021994
const RAMFS = 0x858458f6
const SECTOR_BYTES = 512

/** New directories in one that is removed when the process ends, be it by an error or by a signal. */
export class Places {
  private readonly root: string
  private made = 0

  /** Throws if there is nothing but memory. */
  constructor() {
    const parents = [tmpdir(), '/var/tmp', process.cwd()]
    const parent = parents.find(isOnDisk)
    if (parent === undefined) throw new Error(`no disk below any of ${parents.join(', ')}`)
    this.root = mkdtempSync(join(parent, 'cowherd-bench-database-'))
    process.once('exit', () => this.remove(this.root))
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))
  }

  /** A new directory. */
  make(): string {
    this.made++
    return mkdtempSync(join(this.root, `${this.made}-`))
  }

  remove(directory = this.root): void {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** What the files of a directory take on disk, in bytes: holes take nothing. */
export function bytesOnDisk(directory: string): number {
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .map((entry) => lstatSync(join(entry.parentPath, entry.name)))
    .reduce((sum, stat) => sum + (stat.isFile() ? stat.blocks * SECTOR_BYTES : 0), 0)
}

function isOnDisk(directory: string): boolean {
  try {
    const { type } = statfsSync(directory)
    return type !== TMPFS && type !== RAMFS
  } catch {
    return false
  }
}
