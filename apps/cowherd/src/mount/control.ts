/**
 * The control channel of a running mount: a stream socket. Who connects is told at once who serves, in a line of JSON; each line sent is a
 * question, and each answer a line of JSON. The connection lasts as long as the process: its end tells that the process is gone.
 */

import { connect, createServer, type Server, type Socket } from 'node:net'
import { createInterface } from 'node:readline'

/** Answers to a question; undefined if it isn't known. */
export type Answer = (question: string) => unknown

const QUESTION_BYTES_MAX = 4096

/** Listens on `path`, where nothing is yet. */
export async function listen(path: string, answer: Answer): Promise<Server> {
  const server = createServer((socket) => {
    socket.unref() // whoever waits for our end is not to keep us from it
    socket.on('error', () => socket.destroy())
    socket.write(`${JSON.stringify({ pid: process.pid })}\n`)
    let pending = ''
    socket.on('data', (chunk) => {
      pending += chunk.toString()
      if (pending.length > QUESTION_BYTES_MAX) socket.destroy()
      const lines = pending.split('\n')
      pending = lines.pop() ?? ''
      for (const line of lines) {
        try {
          socket.write(`${JSON.stringify(answer(line) ?? { error: 'unknown question' })}\n`)
        } catch {
          socket.destroy() // whoever asks is told by the end, and the mount serves on
        }
      }
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
  server.unref()
  return server
}

/** A connection to a running mount. */
export interface Peer {
  readonly pid: number
  /** Asks a question. Throws if the process goes before it has answered. */
  ask(question: string): Promise<unknown>
  /** Resolves when the process is gone. */
  readonly gone: Promise<void>
  close(): void
}

/** Connects to the first of the sockets behind which somebody answers in time; undefined if nobody does. */
export async function reach(paths: readonly string[], timeoutMs = 2000): Promise<Peer | undefined> {
  for (const path of paths) {
    const peer = await tryToReach(path, timeoutMs)
    if (peer !== undefined) return peer
  }
  return undefined
}

async function tryToReach(path: string, timeoutMs: number): Promise<Peer | undefined> {
  const socket = connect(path)
  const gone = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  socket.on('error', () => socket.destroy())
  const timer = setTimeout(() => socket.destroy(), timeoutMs)
  const lines = linesOf(socket)
  try {
    const greeting: unknown = await lines()
    if (typeof greeting !== 'object' || greeting === null || !('pid' in greeting)) return undefined
    return {
      pid: Number(greeting.pid),
      gone,
      close: () => socket.destroy(),
      ask: (question) => {
        socket.write(`${question}\n`)
        return lines()
      },
    }
  } catch {
    socket.destroy()
    return undefined
  } finally {
    clearTimeout(timer)
  }
}

/** Each call waits for the next line. */
function linesOf(socket: Socket): () => Promise<unknown> {
  const iterator = createInterface({ input: socket })[Symbol.asyncIterator]()
  return async () => {
    const next = await iterator.next()
    if (next.done === true) throw new Error('the process of the mount has gone')
    return JSON.parse(next.value) as unknown
  }
}
