/** The thread of the engine: opens the volume, tells so, and serves when it is given the mounted device. */

import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import { openEngine } from './engine.ts'
import { errorText, type EngineData, type EngineMessage, type ServeMessage } from './messages.ts'

if (isMainThread || parentPort === null) throw new Error('this file is the code of a thread')
const parent = parentPort

const tell = (message: EngineMessage): void => parent.postMessage(message)

try {
  const engine = openEngine(workerData as EngineData, tell)
  parent.once('message', ({ fd }: ServeMessage) => {
    try {
      engine.serve(fd)
      engine.close()
    } catch (error) {
      tell({ kind: 'failed', error: errorText(error) })
    }
    parent.close()
  })
  tell({ kind: 'opened' })
} catch (error) {
  tell({ kind: 'failed', error: errorText(error) })
}
