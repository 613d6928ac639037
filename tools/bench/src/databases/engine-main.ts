/**
 * A process with one database, so that memory and compiled code are that one's alone. It says whether it could be loaded, then it does
 * one task after the other. It ends with the process that started it.
 *
 *     engine-main ENGINE
 */

import type { Spent } from '../measure.ts'
import type { Answer } from './engine-process.ts'
import { type Engine, type EngineModule, ENGINES, isEngineName } from './engine.ts'
import { close, get, insert, open, type Question, scan, tell, walk, type Work } from './tasks.ts'

const [name = ''] = process.argv.slice(2)
if (!isEngineName(name)) throw new Error(`no database is called ${name}`)
let engine: Engine | undefined

process.once('disconnect', () => process.exit(1))
const module: EngineModule | undefined = await ENGINES[name]().catch((error: unknown) => {
  answer({ error: firstLine(error) })
  return undefined
})
if (module !== undefined) {
  process.on('message', (task: Work | Question) => {
    perform(module, task).then(
      (result) => answer({ result }),
      (error: unknown) => answer({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    )
  })
  answer({ result: 0 })
}

async function perform({ openEngine }: EngineModule, task: Work | Question): Promise<Spent | number> {
  if (task.task === 'open') {
    const opened = await open(openEngine, task)
    engine = opened.engine
    return opened.spent
  }
  if (engine === undefined) throw new Error('no database is open')
  switch (task.task) {
    case 'insert':
      return insert(engine, task)
    case 'get':
      return get(engine, task)
    case 'scan':
      return scan(engine, task)
    case 'walk':
      return walk(engine, task)
    case 'close':
      return close(engine)
    case 'tell':
      return tell(engine, task)
  }
}

function answer(message: Answer): void {
  process.send?.(message)
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0]
}
