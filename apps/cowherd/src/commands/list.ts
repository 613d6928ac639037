/**
 * `cowherd list`: the keys of the btrees, in the words of `bcachefs list`, key by key. On an unclean volume the live
 * journal's keys are laid over the btrees first; `-o norecovery` shows them as they lie.
 */

import { Option, type Command } from 'commander'
import {
  BTREE_ID_MAX,
  BTREE_NAMES,
  BtreeError,
  btreeName,
  type Key,
  type NodeInspection,
  type Volume,
} from '@cowherd/db'
import type { Context } from '../cli/context.ts'
import { CommandError, ExitCode } from '../cli/exit-code.ts'
import { examples } from '../cli/help.ts'
import { JsonArray } from '../cli/json.ts'
import { printable } from '../cli/text.ts'
import { takesVolume, type VolumeFlags } from '../cli/volume-options.ts'
import { KeyPrinter } from '../list/key-printer.ts'
import { KeyWalk, type KeyRange } from '../list/keys.ts'
import { formatText, nodeRecord, walkNodes, writeSets } from '../list/nodes.ts'
import { parsePosition } from '../list/position.ts'

const MODES = ['keys', 'formats', 'nodes', 'nodes-ondisk'] as const

interface Flags extends VolumeFlags {
  readonly btree: string
  readonly level: string
  readonly start: string
  readonly end: string
  readonly bkeyType?: string
  readonly mode: (typeof MODES)[number]
  readonly json?: boolean
}

/** Text is handed on in pieces of about this many characters. */
const PIECE = 1 << 15

export function registerList(program: Command, context: Context): void {
  const command = takesVolume(program.command('list').description('list the keys of the btrees'))
    .option('-b, --btree <btree>', 'name or number of the btree, or "all"', 'extents')
    .option('-l, --level <level>', 'level to list: 0 are the leaves', '0')
    .option('-s, --start <pos>', 'first position, inode:offset:snapshot; what is left out is 0', 'POS_MIN')
    .option('-e, --end <pos>', 'last position; what is left out is the greatest', 'SPOS_MAX')
    .option('-k, --bkey-type <type>', 'only keys of this type')
    .addOption(
      new Option('-m, --mode <mode>', 'what to list: keys, or nodes of the level and above')
        .choices(MODES)
        .default('keys'),
    )
    .option('--json', 'print as JSON')
    .action(async (volume: string, flags: Flags) => {
      await new Listing(context, await context.openVolume(volume, flags), flags).run()
    })
  examples(
    command,
    [
      'cowherd list -b inodes -s 0:4096 -e 0:4096 disk.img',
      'cowherd list -b all --json /dev/sdb1:/dev/sdc1',
      'cowherd list -b alloc -m nodes-ondisk -o norecovery disk.img',
    ],
    `Btrees: ${BTREE_NAMES.join(', ')}`,
  )
}

/** One run of the command. */
class Listing {
  readonly #context: Context
  readonly #volume: Volume
  readonly #flags: Flags
  readonly #printer: KeyPrinter
  readonly #json: JsonArray | undefined
  readonly #keyType: number
  #text = ''

  constructor(context: Context, volume: Volume, flags: Flags) {
    this.#context = context
    this.#volume = volume
    this.#flags = flags
    this.#printer = new KeyPrinter(volume)
    this.#json = flags.json === true ? new JsonArray(context.out) : undefined
    this.#keyType = keyTypeNumber(volume, flags.bkeyType)
  }

  async run(): Promise<void> {
    const { btree, mode } = this.#flags
    const range = {
      level: levelNumber(this.#flags.level),
      start: parsePosition(this.#flags.start, 'start'),
      end: parsePosition(this.#flags.end, 'end'),
    }
    const isAll = btree === 'all'
    for (const id of isAll ? this.#volume.btreeIds : [btreeNumber(btree)]) {
      if (isAll && this.#json === undefined) this.#write(`btree ${btreeName(id)}:\n`)
      if (mode === 'keys') await this.#listKeys({ ...range, btree: id })
      else await this.#listNodes({ ...range, btree: id })
    }
    this.#flush()
    this.#json?.end()
  }

  async #listKeys(range: KeyRange): Promise<void> {
    const walk = new KeyWalk(this.#volume, range, (message) => this.#fail(message))
    const { interruption } = this.#context
    const { key } = walk
    const type = this.#keyType
    let count = 0
    while (walk.next()) {
      if (type >= 0 && key.type !== type) continue
      if (this.#json === undefined) this.#text += this.#printer.text(key) + '\n'
      else this.#json.add(this.#printer.record(key, range.btree, range.level))
      if (this.#text.length >= PIECE) this.#flush()
      if ((++count & 0xff) === 0 && interruption.due()) await interruption.rest()
    }
  }

  async #listNodes(range: KeyRange): Promise<void> {
    const { interruption } = this.#context
    for (const { level, pointer } of walkNodes(this.#volume, range, (message) => this.#fail(message))) {
      this.#listNode(range.btree, level, pointer)
      if (interruption.due()) await interruption.rest()
    }
  }

  #listNode(btree: number, level: number, pointer: Key): void {
    const { mode } = this.#flags
    const printer = this.#printer
    const node = mode === 'nodes' ? undefined : this.#inspect(btree, level, pointer)
    if (mode !== 'nodes' && node === undefined) return
    if (this.#json !== undefined) {
      this.#json.add(nodeRecord(printer, btree, level, pointer, node, mode === 'nodes-ondisk'))
    } else if (node === undefined) {
      this.#write(`${printer.text(pointer)}\n`)
    } else if (mode === 'formats') {
      this.#write(`${formatText(printer, level, pointer, node)}\n`)
    } else {
      writeSets(printer, node, (text) => this.#write(text))
      this.#write('\n')
    }
  }

  #inspect(btree: number, level: number, pointer: Key): NodeInspection | undefined {
    try {
      return this.#volume.inspectNode(btree, level, pointer)
    } catch (error) {
      if (!(error instanceof BtreeError)) throw error
      this.#fail(`btree ${btreeName(btree)}: ${error.message}`)
      return undefined
    }
  }

  #write(text: string): void {
    this.#text += text
    if (this.#text.length >= PIECE) this.#flush()
  }

  #flush(): void {
    const text = this.#text
    this.#text = ''
    this.#context.out.write(this.#context.terminal ? text.split('\n').map(printable).join('\n') : text)
  }

  #fail(message: string): void {
    this.#flush()
    this.#context.fail(message)
  }
}

function btreeNumber(text: string): number {
  const id = BTREE_NAMES.indexOf(text)
  if (id >= 0) return id
  const number = /^\d{1,2}$/.test(text) ? Number(text) : BTREE_ID_MAX
  if (number < BTREE_ID_MAX) return number
  throw new CommandError(ExitCode.usage, `there is no btree '${text}'; there are ${BTREE_NAMES.join(', ')}`)
}

function levelNumber(text: string): number {
  if (/^[0-3]$/.test(text)) return Number(text)
  throw new CommandError(ExitCode.usage, `'${text}' is no level: they go from 0 to 3`)
}

/** Number of a key type by name or number, -1 for all. */
function keyTypeNumber(volume: Volume, text: string | undefined): number {
  if (text === undefined) return -1
  for (const type of volume.keyTypes.values()) if (type.name === text) return type.number
  if (/^\d{1,3}$/.test(text) && Number(text) < 256) return Number(text)
  const names = [...volume.keyTypes.values()].map((type) => type.name)
  throw new CommandError(ExitCode.usage, `there is no key type '${text}'; there are ${names.join(', ')}`)
}
