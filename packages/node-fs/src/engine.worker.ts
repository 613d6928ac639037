/** The engine's thread: opens the volume, does one call after the other, and what goes on in the background between them. */

import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import { VolumeError } from '@cowherd/db'
import { DeviceError } from '@cowherd/shim'
import { openEngine, type Engine } from './engine.ts'
import type { CallMessage, EngineData, EngineMessage, ErrorRecord } from './messages.ts'

if (isMainThread || parentPort === null) throw new Error('this file is the code of a thread')
const parent = parentPort

function tell(message: EngineMessage, transfer: ArrayBuffer[] = []): void {
  parent.postMessage(message, transfer)
}

function open(): Engine | undefined {
  try {
    const engine = openEngine(workerData as EngineData, (text) => tell({ kind: 'note', text })) // what EngineLink has given
    tell({ kind: 'opened' })
    return engine
  } catch (error) {
    tell({ kind: 'refused', error: recordOf(error) })
    parent.close()
    return undefined
  }
}

function serve(engine: Engine): void {
  const timer = setInterval(() => work(engine), engine.workMs).unref()
  parent.on('message', ({ name, words }: CallMessage) => {
    const isLast = name === 'close'
    if (isLast) clearInterval(timer)
    try {
      const answer = orAbandon(engine, () => engine.perform(name, words))
      const isGiven = answer instanceof Uint8Array && answer.buffer instanceof ArrayBuffer
      tell({ kind: 'answer', answer }, isGiven ? [answer.buffer] : [])
    } catch (error) {
      if (!isOperational(error)) throw error
      tell({ kind: 'error', error: recordOf(error) })
    }
    if (isLast) parent.close()
  })
}

/** What fails in the background, nobody waits for. */
function work(engine: Engine): void {
  try {
    orAbandon(engine, () => engine.work())
  } catch (error) {
    if (!isOperational(error)) throw error
    tell({ kind: 'note', text: recordOf(error).message })
  }
}

/** After an error of ours nothing is written any more; the thread ends, and with it every call that waits. */
function orAbandon<T>(engine: Engine, action: () => T): T {
  try {
    return action()
  } catch (error) {
    if (!isOperational(error)) engine.abandon()
    throw error
  }
}

function isOperational(error: unknown): boolean {
  return error instanceof VolumeError || error instanceof DeviceError || (error instanceof Error && 'syscall' in error)
}

function recordOf(error: unknown): ErrorRecord {
  if (!(error instanceof Error)) return { code: '', message: String(error), stack: '' }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  return { code, message: error.message, stack: error.stack ?? '' }
}

const engine = open()
if (engine !== undefined) serve(engine)
