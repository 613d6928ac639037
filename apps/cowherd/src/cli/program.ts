/**
 * The command line: finds the command, loads its module and nothing else, runs it, and turns what it throws into one line
 * on standard error and an exit code.
 */

import { Command, CommanderError } from 'commander'
import { Context, type Surroundings } from './context.ts'
import { ClosedPipe, CommandError, EXIT_CODE_HELP, ExitCode, Interrupted } from './exit-code.ts'
import type { Output } from './output.ts'
import { packageVersion } from './package-version.ts'
import { printable } from './text.ts'

/** A command's module adds its command to the program; what the command does, it does with the context. */
export type Register = (program: Command, context: Context) => void

/** Each command's module is loaded only when its command is asked for, or help on all. */
const COMMANDS: ReadonlyMap<string, () => Promise<Register>> = new Map([
  ['ls', async () => (await import('../commands/ls.ts')).registerLs],
  ['stat', async () => (await import('../commands/stat.ts')).registerStat],
  ['cat', async () => (await import('../commands/cat.ts')).registerCat],
  ['find', async () => (await import('../commands/find.ts')).registerFind],
  ['get', async () => (await import('../commands/get.ts')).registerGet],
  ['tar', async () => (await import('../commands/tar.ts')).registerTar],
  ['put', async () => (await import('../commands/put.ts')).registerPut],
  ['untar', async () => (await import('../commands/untar.ts')).registerUntar],
  ['rm', async () => (await import('../commands/rm.ts')).registerRm],
  ['mkdir', async () => (await import('../commands/mkdir.ts')).registerMkdir],
  ['mv', async () => (await import('../commands/mv.ts')).registerMv],
  ['ln', async () => (await import('../commands/ln.ts')).registerLn],
  ['manifest', async () => (await import('../commands/manifest.ts')).registerManifest],
  ['show-super', async () => (await import('../commands/show-super.ts')).registerShowSuper],
  ['list', async () => (await import('../commands/list.ts')).registerList],
  ['list-journal', async () => (await import('../commands/list-journal.ts')).registerListJournal],
  ['format', async () => (await import('../commands/format.ts')).registerFormat],
  ['set-fs-option', async () => (await import('../commands/set-fs-option.ts')).registerSetFsOption],
  ['set-passphrase', async () => (await import('../commands/set-passphrase.ts')).registerSetPassphrase],
  ['remove-passphrase', async () => (await import('../commands/set-passphrase.ts')).registerRemovePassphrase],
  ['device', async () => (await import('../commands/device.ts')).registerDevice],
  ['mount', async () => (await import('../commands/mount.ts')).registerMount],
  ['umount', async () => (await import('../commands/umount.ts')).registerUmount],
  ['debug', async () => (await import('../commands/debug.ts')).registerDebug],
  ['version', async () => (await import('../commands/version.ts')).registerVersion],
])

/** Runs one command line (without node and script). Returns the exit code; an Interrupted goes to the caller. */
export async function run(argv: readonly string[], surroundings: Surroundings): Promise<ExitCode> {
  const context = new Context(surroundings)
  try {
    await parse(argv, context, surroundings)
    context.close()
    context.out.flush()
    return context.exitCode
  } catch (error) {
    return await ending(error, context, surroundings.err)
  } finally {
    closeAnyway(context)
    context.interruption.unwatch()
  }
}

/** Closes what is open still when something else has failed: that is what counts, but nothing is kept quiet. */
function closeAnyway(context: Context): void {
  try {
    context.close()
  } catch (error) {
    context.note(error instanceof Error ? error.message : 'something that is no error was thrown')
  }
}

async function parse(argv: readonly string[], context: Context, { out, err }: Surroundings): Promise<void> {
  const program = new Command('cowherd')
    .description('Makes, reads, writes and mounts bcachefs volumes: image files or block devices, without a driver.')
    .usage('COMMAND [OPTIONS] VOLUME ...')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help on a command')
    .addHelpText('after', `\nExample:\n  $ cowherd ls -l disk.img /home\n\n${EXIT_CODE_HELP}`)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => out.write(text),
      writeErr: (text) => err.write(text),
      outputError: (text, write) =>
        write(
          `cowherd: ${printable(
            text
              .replace(/^error: /, '')
              .trimEnd()
              .replaceAll('\n', ' '),
          )}\n`,
        ),
    })
  for (const register of await modulesFor(argv)) register(program, context)
  if (argv.length === 0) program.help({ error: true })
  await program.parseAsync(await preparedWords(argv), { from: 'user' })
}

/** The words in the form that the parser of options understands. */
async function preparedWords(argv: readonly string[]): Promise<string[]> {
  if (argv[0] === 'find') return argv.map(withTwoDashes)
  if (argv[0] === 'format' || argv[0] === 'set-fs-option')
    return (await import('../format/format-words.ts')).withSwitches(argv)
  return [...argv]
}

/** find(1) writes its long options with one dash, which would be read as several short ones. */
function withTwoDashes(word: string): string {
  return /^-(name|iname|type|maxdepth|print0)$/.test(word) ? `-${word}` : word
}

async function modulesFor(argv: readonly string[]): Promise<Register[]> {
  const words = argv.filter((word) => !word.startsWith('-'))
  const name = words[0] === 'help' ? words[1] : words[0]
  const load = name === undefined || argv[0]?.startsWith('-') ? undefined : COMMANDS.get(name)
  const loads = load === undefined ? [...COMMANDS.values()] : [load]
  return Promise.all(loads.map(async (each) => each()))
}

/** Says what ended the command, and with which code the process is to end. */
async function ending(error: unknown, context: Context, err: Output): Promise<ExitCode> {
  if (error instanceof Interrupted) throw error
  if (error instanceof ClosedPipe) return ExitCode.closedPipe
  try {
    context.out.flush()
    err.flush()
  } catch {
    // the first error counts
  }
  if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.ok : ExitCode.usage // it has been printed
  const debug = (context.env['COWHERD_DEBUG'] ?? '') !== ''
  if (debug && error instanceof Error) context.note(stackOf(error))
  if (error instanceof CommandError) {
    context.note(error.message)
    return error.exitCode
  }
  const { DeviceError } = await import('@cowherd/shim')
  const { VolumeError } = await import('@cowherd/db')
  if (error instanceof DeviceError || error instanceof VolumeError || isSystemError(error)) {
    context.note(error.message)
    return ExitCode.incomplete
  }
  const message = error instanceof Error ? `${error.name}: ${error.message}` : 'something that is no error was thrown'
  context.note(`a bug in cowherd: ${message}${debug ? '' : ' (COWHERD_DEBUG=1 shows where)'}`)
  return ExitCode.bug
}

function stackOf(error: Error): string {
  const { cause } = error
  return `${error.stack ?? error.message}${cause instanceof Error ? `\ncaused by ${stackOf(cause)}` : ''}`
}

/** An error of a system call: no space, no permission. */
function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error && 'code' in error
}
