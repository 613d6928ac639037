/** Several command lines in one process of its own: starting it takes longer than most of them, and who hangs in a mount is to be no test. */

import { dirname } from 'node:path'
import { pathToFileURL } from 'node:url'
import { modularProgram } from './built.ts'
import type { Ended, MountPlace } from './mount-place.ts'

export interface BatchLine {
  readonly words: readonly string[]
  /** Standard input. */
  readonly input?: string
}

/** Runs command lines one after the other. Throws if the process ends without having done all. Outputs are read as UTF-8. */
export async function runBatch(place: MountPlace, lines: readonly BatchLine[]): Promise<Ended[]> {
  const folder = pathToFileURL(`${dirname(modularProgram())}/`).href
  const script = `
    import { run } from '${folder}cli/program.js'
    import { Output } from '${folder}cli/output.js'
    const collect = () => {
      const pieces = []
      const output = new Output((bytes) => { pieces.push(bytes.slice()); return bytes.length })
      return { output, text: () => { output.flush(); return Buffer.concat(pieces).toString() } }
    }
    const results = []
    for (const { words, input } of ${JSON.stringify(lines)}) {
      const [out, err] = [collect(), collect()]
      const surroundings = { out: out.output, err: err.output, outIsTerminal: false, terminal: { write: () => true }, env: process.env }
      if (input !== undefined) surroundings.input = (async function* () { yield Buffer.from(input) })()
      const code = await run(words, { ...surroundings, tuning: { threads: 1 } })
      results.push({ code, out: out.text(), err: err.text() })
    }
    // in ASCII: what comes through the pipe is cut anywhere
    const escaped = (unit) => '\\\\u' + unit.charCodeAt(0).toString(16).padStart(4, '0')
    process.stdout.write(JSON.stringify(results).replace(/[^ -~]/g, escaped))
  `
  const ended = await place.run(process.execPath, ['--input-type=module', '-e', script], { secondsMax: SECONDS_MAX })
  if (ended.code !== 0) throw new Error(`a batch ended with ${ended.code}: ${ended.err}`)
  return JSON.parse(ended.out) as Ended[]
}

/** A busy machine is no failure. */
const SECONDS_MAX = 170
