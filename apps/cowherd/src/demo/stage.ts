/** What the demo shows: command lines and what comes of them, on the terminal. */

import { spawnSync } from 'node:child_process'
import { isatty } from 'node:tty'
import { fileURLToPath } from 'node:url'
import { Output, outputTo } from '../cli/output.ts'
import { run } from '../cli/program.ts'

const PROGRAM = fileURLToPath(new URL('../bundle/main.js', import.meta.url))
const WIDTH = 110

export class Stage {
  /** Where everything lies; not shown in paths. */
  readonly folder: string
  private readonly out = outputTo(1)

  constructor(folder: string) {
    this.folder = folder
  }

  line(text: string): void {
    this.out.line(text)
    this.out.flush()
  }

  /** Runs one of our commands and shows it, with all of its output or the first lines. Throws if it fails. */
  async show(argv: readonly string[], lines = Infinity): Promise<void> {
    this.line(`\n$ cowherd ${this.short(argv.join(' '))}`)
    const chunks: Uint8Array[] = []
    const keep = new Output((bytes) => {
      chunks.push(bytes.slice())
      return bytes.length
    })
    const code = await run(argv, {
      out: keep,
      err: keep,
      outIsTerminal: isatty(1),
      terminal: { write: () => false },
      env: process.env,
    })
    keep.flush()
    this.text(Buffer.concat(chunks).toString(), lines)
    if (code !== 0) throw new Error(`cowherd ${argv.join(' ')} ended with exit code ${code}`)
  }

  /** Runs one of our commands as a process of its own, as `mount` has to be, and shows it. Returns whether it ended well. */
  showCowherd(...words: readonly string[]): boolean {
    return this.showProgram([process.execPath, PROGRAM, ...words], `cowherd ${words.join(' ')}`)
  }

  /** Runs a program in the folder and shows it and what it prints. Returns whether it ended well. */
  showProgram(words: readonly string[], shown = words.join(' ')): boolean {
    this.line(`\n$ ${this.short(shown)}`)
    const [program = '', ...args] = words
    const { status, stdout, stderr } = spawnSync(program, args, { cwd: this.folder, encoding: 'utf8' })
    this.text(`${stdout}${stderr}`)
    return status === 0
  }

  private text(text: string, lines = Infinity): void {
    const trimmed = text.trimEnd()
    const all = trimmed === '' ? [] : trimmed.split('\n')
    for (const line of all.slice(0, lines)) this.out.line(line.length > WIDTH ? `${line.slice(0, WIDTH - 3)}...` : line)
    if (all.length > lines) this.out.line(`... (${all.length - lines} more lines)`)
    this.out.flush()
  }

  private short(text: string): string {
    return text.replaceAll(`${this.folder}/`, '')
  }
}
