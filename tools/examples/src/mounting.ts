/**
 * Examples that mount: the `sh` block behind one serves it in the background (`node NAME.js /mnt/NAME &`), looks at it, and unmounts.
 * Here it does so on a directory of the test's own.
 */

import { spawnSync } from 'node:child_process'
import type { Block } from './blocks.ts'

export function isMounting({ text }: Block): boolean {
  return /\bmountFuse\(/.test(text)
}

interface Outcome {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs `commands`, with the example as `script`, on `directory`. They end with the mount; the status is the server's. */
export function runMounting(script: string, { text }: Block, directory: string): Outcome {
  const serve = /^node \S+\.js (\S+) &$/m
  const shown = serve.exec(text)?.[1]
  if (shown === undefined) throw new Error(`nothing is served by: ${text}`)
  const commands = text
    .replace(serve, '"$NODE" "$SCRIPT" "$MOUNT" & until mountpoint -q "$MOUNT"; do sleep 0.05; done')
    .replaceAll(shown, '"$MOUNT"')
  const env = { ...process.env, NODE: process.execPath, SCRIPT: script, MOUNT: directory }
  const inTime = ['-k', '5', '60', 'sh', '-e', '-c', `${commands}\nwait $!`]
  try {
    const { status, stdout, stderr } = spawnSync('timeout', inTime, { cwd: '/', env, encoding: 'utf8' })
    return { status, stdout, stderr }
  } finally {
    spawnSync('umount', ['-l', directory], { timeout: 10_000 }) // where the commands didn't get so far
  }
}
