/** `cowherd mount`: a volume as a directory, served by a process of its own. */

import { writeSync } from 'node:fs'
import { open as openInspector, url as inspectorUrl } from 'node:inspector'
import { resolve } from 'node:path'
import { Option, type Command } from 'commander'
import { joinVolume, parseVolume } from '@cowherd/store'
import type { Context } from '../cli/context.ts'
import { CommandError, ExitCode } from '../cli/exit-code.ts'
import { examples } from '../cli/help.ts'
import { VOLUME_ARGUMENT } from '../cli/volume-options.ts'
import { REPORT_FD, reportTo, startInBackground } from '../mount/background.ts'
import { MountMessages, systemLog } from '../mount/messages.ts'
import { MOUNT_OPTION_HELP, parseMountPlan, type MountPlan } from '../mount/mount-options.ts'
import { serve } from '../mount/serve.ts'

interface Flags {
  readonly foreground?: boolean
  readonly options?: readonly string[]
  readonly passphraseFile?: string
  readonly inspect?: string | true
  readonly log?: string
  readonly reports?: boolean
}

export function registerMount(program: Command, context: Context): void {
  const command = program
    .command('mount')
    .description('mount a volume on a directory')
    .argument('<volume>', VOLUME_ARGUMENT)
    .argument('<directory>', 'where to mount it')
    .option('-f, --foreground', 'serve in this process, until it is unmounted')
    .addOption(
      new Option('-o, --options <list>', MOUNT_OPTION_HELP).argParser(
        (value: string, previous: readonly string[] | undefined) => [...(previous ?? []), value],
      ),
    )
    .option('--passphrase-file <file>', 'file with the passphrase, - for standard input (or set COWHERD_PASSPHRASE)')
    .option(
      '--inspect [[host:]port]',
      "let Node's debugger attach, here or at another address; stays in the foreground",
    )
    .option('--log <file>', "where messages go in the background; the system's log if left out")
    .addOption(new Option('--reports').hideHelp()) // started by ourselves, in the background
    .action((volume: string, directory: string, flags: Flags) => mount(context, volume, resolve(directory), flags))
  const remark =
    'Reads and writes; with -o ro not a byte of the volume is written. One that can only be read is mounted so, and the reason is said,\n' +
    'unless -o rw asks for more. Returns when the mount stands; `cowherd umount DIRECTORY` (or umount) ends it. An ordinary user needs\n' +
    'fusermount3 (package fuse3) and the package koffi. Other users are let in with -o allow_other, with their rights as the files say.'
  examples(
    command,
    [
      'cowherd mount disk.img /mnt',
      'cowherd mount -o ro disk.img /mnt',
      'cowherd mount -o ro,subvol=snapshots/monday,allow_other /dev/sdb1:/dev/sdc1 /mnt',
      'cowherd mount -f -o ro,degraded /dev/sdb1 /mnt',
    ],
    remark,
  )
}

async function mount(context: Context, volume: string, directory: string, flags: Flags): Promise<void> {
  const plan = parseMountPlan(flags.options ?? [])
  if (flags.inspect !== undefined) startInspector(context, flags.inspect)
  const devices = parseVolume(volume).map((path) => resolve(path))
  const source = joinVolume(devices)
  if (flags.reports !== true) explain(context, directory, plan)
  const passphrase = await passphraseOf(context, source, flags)
  if (flags.foreground === true || flags.inspect !== undefined) {
    await inForeground(context, { devices, source, directory, plan, passphrase, flags })
    return
  }
  await startInBackground({
    argv: [
      ...['mount', '--foreground', '--reports'],
      ...(flags.options ?? []).flatMap((list) => ['-o', list]),
      ...(flags.log === undefined ? [] : ['--log', flags.log]),
      ...(passphrase === undefined ? [] : ['--passphrase-file', '-']),
      ...['--', source, directory],
    ],
    passphrase,
    log: flags.log,
    note: (text) => context.note(text),
  })
}

/** Says what else follows from the options than was asked for. */
function explain(context: Context, directory: string, { access, readOnlyBy, threads }: MountPlan): void {
  if (readOnlyBy !== undefined) context.note(`${directory}: mounted read only, as ${readOnlyBy} wants it`)
  if (access !== 'read' && threads > 1) context.note(`${directory}: a volume that is written is served by one thread`)
}

interface Foreground {
  readonly devices: readonly string[]
  readonly source: string
  readonly directory: string
  readonly plan: MountPlan
  readonly passphrase: Uint8Array | undefined
  readonly flags: Flags
}

async function inForeground(
  context: Context,
  { devices, source, directory, plan, passphrase, flags }: Foreground,
): Promise<void> {
  const { missing, norecovery, nolock, subvolume, cacheBytes, journalFlushDelayMs } = plan
  const { access, writesThrough, threads, times, kernel } = plan
  const toStderr = (text: string): void => context.note(text)
  const report = flags.reports === true ? reportTo(REPORT_FD) : undefined
  const messages = new MountMessages(report === undefined ? toStderr : (text) => report({ kind: 'note', text }))
  try {
    await serve({
      mount: {
        volume: {
          devices,
          missing,
          norecovery,
          nolock,
          ...(subvolume === undefined ? {} : { subvolume }),
          ...(cacheBytes === undefined ? {} : { cacheBytes }),
          ...(journalFlushDelayMs === undefined ? {} : { journalFlushDelayMs }),
          ...(passphrase === undefined ? {} : { passphrase }),
        },
        directory,
        source,
        access,
        writesThrough,
        kernelOptions: kernel,
        times,
        threads,
      },
      messages,
      env: context.env,
      ready: (mounted) => {
        if (flags.inspect !== undefined) setInterval(() => mounted.wake(), WAKE_MS).unref()
        if (report === undefined) return
        messages.redirect(
          flags.log === undefined ? systemLog() : (text) => writeSync(2, `${new Date().toISOString()} ${text}\n`),
        )
        report({ kind: 'ready', pid: process.pid })
      },
    })
  } catch (error) {
    if (!(error instanceof CommandError) || report === undefined) throw error
    report({ kind: 'failed', text: error.message, exitCode: error.exitCode })
    messages.note(error.message) // where nobody hears the report any more
    context.exitCode = error.exitCode
  }
}

/** The passphrase, asked for while there is a terminal; undefined for volumes without one. */
async function passphraseOf(context: Context, volume: string, flags: Flags): Promise<Uint8Array | undefined> {
  const { findPassphraseOf } = await import('../cli/opening.ts')
  return findPassphraseOf(context, volume, flags.passphraseFile)
}

/** The engine's threads sleep in the kernel: a debugger reaches them when they are woken. */
const WAKE_MS = 200

function startInspector(context: Context, address: string | true): void {
  const [, host, port] = (address === true ? null : /^(?:(.*):)?(\d+)$/.exec(address)) ?? []
  if (address !== true && port === undefined)
    throw new CommandError(ExitCode.usage, `--inspect ${address}: [HOST:]PORT is wanted`)
  openInspector(port === undefined ? undefined : Number(port), host)
  context.note(`the debugger listens on ${inspectorUrl() ?? 'no address'}`)
}
