/**
 * The referees as a command: `npm run referee -- COMMAND`.
 *
 *     setup                              installs them (once; root, Debian)
 *     bcachefs ARGUMENT...               runs the real tool
 *     fsck IMAGE...                      the real tool's check, without repair
 *     vm [-d NAME=IMAGE]... SCRIPT...    boots Linux with these disks and runs shell scripts there, one job each
 *     manifest DIRECTORY                 what a tree on this machine looks like
 *
 * Exits as the referee does; 125 if it can't judge.
 */

import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { referee, RefereeError } from './index.ts'
import { needPlace, placeFolder } from './place.ts'
import { setup } from './setup/setup.ts'

const USAGE =
  'usage: referee setup | bcachefs ARGUMENT... | fsck IMAGE... | vm [-d NAME=IMAGE]... SCRIPT... | manifest DIR'
const CANNOT_JUDGE = 125

async function main([command, ...args]: string[]): Promise<number> {
  switch (command) {
    case 'setup':
      return runSetup()
    case 'bcachefs':
      return spawnSync(needPlace().bcachefs, args, { stdio: 'inherit' }).status ?? CANNOT_JUDGE
    case 'fsck': {
      const verdict = await referee.fsck(args)
      process.stdout.write(`${verdict.stdout}${verdict.stderr}${verdict.clean ? 'clean' : 'not clean'}\n`)
      return verdict.clean ? 0 : 1
    }
    case 'vm':
      return runMachine(args)
    case 'manifest':
      process.stdout.write(await referee.manifest(args[0] ?? '.'))
      return 0
    default:
      throw new RefereeError(USAGE)
  }
}

/** Two who come at once do the work once: the second waits behind the lock, and then finds it done. */
async function runSetup(): Promise<number> {
  const inside = 'COWHERD_REFEREE_SETUP'
  if (process.env[inside] === undefined) {
    fs.mkdirSync(placeFolder(), { recursive: true })
    const lock = path.join(placeFolder(), '.lock')
    const again = [lock, process.execPath, fileURLToPath(import.meta.url), 'setup']
    const { status } = spawnSync('flock', again, { stdio: 'inherit', env: { ...process.env, [inside]: '1' } })
    return status ?? CANNOT_JUDGE
  }
  const place = await setup((words) => process.stderr.write(`referee: ${words} ...\n`))
  process.stderr.write(`referee: installed in ${place.folder}\n`)
  return 0
}

async function runMachine(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    options: { disk: { type: 'string', short: 'd', multiple: true, default: [] } },
    allowPositionals: true,
  })
  const disks = values.disk.map((pair) => /^([^=]+)=(.+)$/.exec(pair)?.slice(1) ?? [path.parse(pair).name, pair])
  const { linux, jobs } = await referee.vm({
    disks: Object.fromEntries(disks.map(([name = '', image = '']) => [name, image])),
    jobs: positionals.map((script, index) => ({ name: String(index + 1), script })),
  })
  process.stderr.write(`referee: Linux ${linux}\n`)
  for (const job of Object.values(jobs)) process.stdout.write(job.output)
  const failed = Object.values(jobs).find((job) => job.code !== 0)
  return failed === undefined ? 0 : (failed.code ?? CANNOT_JUDGE)
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof RefereeError)) throw error
  process.stderr.write(`referee: ${error.message}\n`)
  process.exitCode = CANNOT_JUDGE
}
