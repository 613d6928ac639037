/**
 * What every command that opens a volume takes: VOLUME, `-o` with mount options, `--passphrase-file`.
 */

import { Option, type Command } from 'commander'
import { CommandError, ExitCode } from './exit-code.ts'

/** The flags as commander gives them. */
export interface VolumeFlags {
  readonly options?: readonly string[]
  readonly passphraseFile?: string
}

/** What `-o` may ask for. */
export interface MountOptions {
  /** Open though devices are missing, as long as all data may still have a copy. */
  readonly degraded: boolean
  /** Open though data is missing. */
  readonly veryDegraded: boolean
  /** Leave the journal alone and show the btrees as they lie. */
  readonly norecovery: boolean
  /** Take no locks: what is read may be changing. */
  readonly nolock: boolean
}

const NAMES: ReadonlyMap<string, keyof MountOptions | 'ignored'> = new Map([
  ['degraded', 'degraded'],
  ['very_degraded', 'veryDegraded'],
  ['norecovery', 'norecovery'],
  ['nolock', 'nolock'],
  ['ro', 'ignored'], // nothing else is possible
  ['nochanges', 'ignored'],
])

export const VOLUME_ARGUMENT = 'image or block device; several of one volume joined by ":"'

/** Adds the argument VOLUME and the options that go with it. */
export function takesVolume(command: Command): Command {
  return command
    .argument('<volume>', VOLUME_ARGUMENT)
    .addOption(
      new Option('-o, --options <list>', 'mount options: degraded, very_degraded, norecovery, nolock').argParser(
        (value: string, previous: readonly string[] | undefined) => [...(previous ?? []), value],
      ),
    )
    .option('--passphrase-file <file>', 'file with the passphrase (or set COWHERD_PASSPHRASE)')
}

/** As `takesVolume`, for a command that writes to it. */
export function takesVolumeToWrite(command: Command): Command {
  return command
    .argument('<volume>', `${VOLUME_ARGUMENT}; all of its devices`)
    .addOption(
      new Option('-o, --options <list>', 'mount options: degraded, very_degraded').argParser(
        (value: string, previous: readonly string[] | undefined) => [...(previous ?? []), value],
      ),
    )
    .option('--passphrase-file <file>', 'file with the passphrase (or set COWHERD_PASSPHRASE)')
}

/** Most threads that may be asked for. */
const THREADS_MAX = 32

/** Adds the option of commands that read whole trees. */
export function takesThreads(command: Command): Command {
  return command.addOption(
    new Option('--threads <number>', 'read with so many threads; as many as are of use if left out').argParser(
      (text: string) => {
        const threads = /^\d{1,3}$/.test(text) ? Number(text) : 0
        if (threads >= 1 && threads <= THREADS_MAX) return threads
        throw new CommandError(ExitCode.usage, `--threads ${text}: a number from 1 to ${THREADS_MAX} is wanted`)
      },
    ),
  )
}

/** Reads the lists given with `-o` to a command that writes. Throws CommandError for what is for reading only. */
export function parseWritingOptions(lists: readonly string[] = []): Pick<MountOptions, 'degraded' | 'veryDegraded'> {
  const options = parseMountOptions(lists)
  const isAsked = (name: string): boolean => lists.some((list) => list.split(',').includes(name))
  const forReading = ['norecovery', 'nolock', 'ro', 'nochanges'].find(isAsked)
  if (forReading === undefined) return options
  throw new CommandError(ExitCode.usage, `-o ${forReading}: the command writes to the volume`)
}

/** Reads the lists given with `-o`. Throws CommandError for an option that we don't have. */
export function parseMountOptions(lists: readonly string[] = []): MountOptions {
  const given = new Set<string>()
  for (const name of lists.flatMap((list) => list.split(','))) {
    if (name === '') continue
    const option = NAMES.get(name)
    if (option === undefined) {
      const known = [...NAMES.keys()].join(', ')
      throw new CommandError(ExitCode.usage, `-o ${name}: no such option for reading (there are: ${known})`)
    }
    given.add(option)
  }
  return {
    degraded: given.has('degraded') || given.has('veryDegraded'),
    veryDegraded: given.has('veryDegraded'),
    norecovery: given.has('norecovery'),
    nolock: given.has('nolock'),
  }
}
