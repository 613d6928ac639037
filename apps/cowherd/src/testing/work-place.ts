/**
 * A place where programs work on a new volume: it is made, mounted for writing, worked on, unmounted, and judged by the real fsck where
 * that is installed. COWHERD_SOAK=1: what works there gets far more time.
 */

import { join } from 'node:path'
import { referee } from '@cowherd/referee'
import { expect } from 'vitest'
import { MountPlace, until, type Running, type StartOptions } from './mount-place.ts'

export const isSoak = process.env['COWHERD_SOAK'] === '1'
export const RW = ['-o', 'rw']
/** How long a test may take, and each of its programs. */
export const SECONDS_MAX = isSoak ? 3600 : 600
export const LIMIT = { timeout: SECONDS_MAX * 1000 }

/** git knows its user by these, and nothing of the machine's. */
const ENVIRONMENT = {
  GIT_AUTHOR_NAME: 'A',
  GIT_AUTHOR_EMAIL: 'a@example.org',
  GIT_COMMITTER_NAME: 'A',
  GIT_COMMITTER_EMAIL: 'a@example.org',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_SYSTEM: '/dev/null',
}

export class WorkPlace extends MountPlace {
  /** The volume's only image. */
  readonly image = join(this.folder, 'volume.img')

  override start(program: string, words: readonly string[], options: StartOptions = {}): Running {
    return super.start(program, words, { secondsMax: SECONDS_MAX, ...options })
  }

  /** Makes a volume of so many MiB. `words`: for the command `format`. */
  async format(mebibytes: number, words: readonly string[] = []): Promise<void> {
    const made = await this.cowherd(['format', '-q', `--fs_size=${mebibytes}M`, ...words, this.image])
    expect(made).toMatchObject({ code: 0 })
  }

  /** The same, mounted for writing. Returns the process that serves it. */
  async mountNew(mebibytes: number, words: readonly string[] = []): Promise<number> {
    await this.format(mebibytes, words)
    return this.mount(this.image, RW)
  }

  /** Runs a script in the directory of the mount, `$m`; it has to succeed. `$o` is a folder outside. Returns what it prints. */
  async inside(script: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
    const { code, out, err } = await this.shell(`set -e; cd "$m"\n${script}`, {
      env: { ...ENVIRONMENT, ...env, o: this.folder },
    })
    expect(code === 0 ? '' : `${code}: ${out}${err}`).toBe('')
    return out
  }

  async unmount(): Promise<void> {
    expect(await this.cowherd(['umount', this.directory])).toEqual({ code: 0, out: '', err: '' })
  }

  /** The process that serves the mount ends at once. Whoever works there is let know by errors. */
  async kill(server: number, workers: readonly Running[] = []): Promise<void> {
    process.kill(server, 'SIGKILL')
    await Promise.all(workers.map(({ ended }) => ended))
    expect(await until(() => !this.processes().includes(server))).toBe(true)
    await this.cowherd(['umount', this.directory]) // the dead mount
  }

  /** The real fsck has nothing against the volume; `images`: those of another one. */
  async judge(images: readonly string[] = [this.image], passphrase?: string): Promise<void> {
    if (!referee.available()) return
    const options = passphrase === undefined ? {} : { input: `${passphrase}\n` }
    const { code, complaints, stdout, stderr } = await referee.fsck(images, options)
    expect(code === 0 && complaints.length === 0 ? '' : stdout + stderr).toBe('')
  }

  /** What is below the directory of the mount, a line each (`referee.manifest`). */
  rows(): Promise<string[]> {
    return rowsOf(this.directory)
  }
}

/** What a directory holds, a line each. */
export async function rowsOf(directory: string): Promise<string[]> {
  return linesOf(await referee.manifest(directory))
}

/** Such lines without their last column, the blocks: data may not have got any so far. */
export function withoutBlocks(rows: readonly string[]): string[] {
  return rows.map((row) => row.slice(0, row.lastIndexOf('\t')))
}

export function linesOf(text: string | Buffer): string[] {
  return text.toString().trimEnd().split('\n')
}
