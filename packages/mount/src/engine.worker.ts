/**
 * A thread of the engine: opens the volume, or a view of it, tells so, and serves when it is given the mounted device. The first one
 * begins by itself; the others are told what it has opened.
 */

import { isMainThread, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { openEngine, type Engine } from './engine.ts'
import { errorText, type EngineCommand, type EngineData, type EngineMessage, type EngineShare } from './messages.ts'
import { openWritingEngine } from './writing-engine.ts'

if (isMainThread || parentPort === null) throw new Error('this file is the code of a thread')
const parent = parentPort
const data = workerData as EngineData
let engine: Engine | undefined

const tell = (message: EngineMessage): void => parent.postMessage(message)

/** What the main thread has said meanwhile: while a thread serves, it hears only what it asks for. */
const hear = (): EngineCommand | undefined => receiveMessageOnPort(parent)?.message as EngineCommand | undefined

/** Does a piece of work. If it fails, so does the engine: nothing is written any more, and the thread ends. */
function attempt(work: () => void): void {
  try {
    work()
  } catch (error) {
    tell({ kind: 'failed', error: errorText(error) })
    engine?.abandon()
    parent.close()
  }
}

function open(share?: EngineShare): void {
  engine = data.manner.isWritable ? openWritingEngine(data, tell, hear) : openEngine(data, share, tell)
  tell({ kind: 'opened', share: engine.share })
}

parent.on('message', (command: EngineCommand) =>
  attempt(() => {
    if (command.kind === 'open') open(command.share)
    else if (command.kind === 'yield') {
      engine?.yieldClaim()
      tell({ kind: 'yielded' })
    } else {
      if (command.kind === 'serve') engine?.serve(command.fd, command.agreed)
      engine?.close()
      tell({ kind: 'ended' })
      parent.close()
    }
  }),
)
if (data.seat === 0) attempt(() => open())
