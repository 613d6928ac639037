/**
 * The control channel of a running mount: a stream socket, in a folder that only its owner can enter. Who connects is told at once who serves, in a line
 * of JSON; each line sent is a question, and each answer a line of JSON. The connection lasts as long as the process: its end tells that the process
 * is gone.
 *
 * Neither side trusts the other to keep to that. Lines are bounded; a question that is none is answered by an error; who doesn't read his answers is
 * asked no further, and who sends more than a line may hold is told so and left. Nothing of this reaches the engine: answers come from the main thread.
 */

import { chmodSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'

/** Answers to a question; undefined if it isn't known. */
export type Answer = (question: string) => unknown

const QUESTION_BYTES_MAX = 4096
const ANSWER_BYTES_MAX = 16 << 20
const CONNECTIONS_MAX = 64
const LINE_END = 0x0a

/** Listens on `path`, where nothing is yet. */
export async function listen(path: string, answer: Answer): Promise<Server> {
  const server = createServer((socket) => serve(socket, answer))
  server.maxConnections = CONNECTIONS_MAX
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
  chmodSync(path, 0o600)
  server.unref()
  return server
}

function serve(socket: Socket, answer: Answer): void {
  const lines = new Lines(QUESTION_BYTES_MAX)
  const questions: string[] = []
  const say = (what: unknown): boolean => socket.write(`${JSON.stringify(what)}\n`)
  const answerAll = (): void => {
    try {
      for (let next = questions.shift(); next !== undefined; next = questions.shift()) {
        if (!say(answer(next) ?? { error: 'unknown question' })) return void socket.pause() // until he has read
      }
      socket.resume()
    } catch {
      socket.destroy() // whoever asks is told by the end, and the mount serves on
    }
  }
  socket.unref() // whoever waits for our end is not to keep us from it
  socket.on('error', () => socket.destroy())
  socket.on('drain', answerAll)
  say({ pid: process.pid })
  socket.on('data', (chunk) => {
    const more = lines.add(chunk)
    if (more === undefined) {
      questions.length = 0
      socket.end(`${JSON.stringify({ error: `a question of more than ${QUESTION_BYTES_MAX} bytes` })}\n`)
      socket.removeAllListeners('data')
      socket.resume() // what comes after it goes nowhere
      return
    }
    questions.push(...more)
    answerAll()
  })
}

/** Lines that come in pieces. */
class Lines {
  private readonly bytesMax: number
  private readonly pieces: Buffer[] = []
  private bytes = 0

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax
  }

  /** The lines that end in `chunk`; undefined if one is too long, and nothing more is to be added then. */
  add(chunk: Buffer): string[] | undefined {
    const lines: string[] = []
    let start = 0
    for (let end = chunk.indexOf(LINE_END); end >= 0; end = chunk.indexOf(LINE_END, start)) {
      if (this.bytes + end - start > this.bytesMax) return undefined
      lines.push(Buffer.concat([...this.pieces.splice(0), chunk.subarray(start, end)]).toString())
      this.bytes = 0
      start = end + 1
    }
    this.bytes += chunk.length - start
    if (this.bytes > this.bytesMax) return undefined
    if (start < chunk.length) this.pieces.push(chunk.subarray(start))
    return lines
  }
}

/** A connection to a running mount. */
export interface Peer {
  readonly pid: number
  /** Asks a question, one at a time. Throws if the process goes before it has answered, or says what is no answer. */
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
  const answers = new Answers(socket)
  const timer = setTimeout(() => socket.destroy(), timeoutMs)
  try {
    const greeting = await answers.next()
    const pid = typeof greeting === 'object' && greeting !== null && 'pid' in greeting ? Number(greeting.pid) : NaN
    if (!Number.isSafeInteger(pid) || pid <= 0) throw new Error('no greeting')
    return {
      pid,
      gone,
      close: () => socket.destroy(),
      ask: (question) => {
        socket.write(`${question}\n`)
        return answers.next()
      },
    }
  } catch {
    socket.destroy()
    return undefined
  } finally {
    clearTimeout(timer)
  }
}

/** The lines of JSON that a process says. */
class Answers {
  private readonly said: string[] = []
  private error: Error | undefined
  private awaken: () => void = () => undefined

  constructor(socket: Socket) {
    const lines = new Lines(ANSWER_BYTES_MAX)
    const fail = (text: string): void => {
      this.error ??= new Error(text)
      socket.destroy()
      this.awaken()
    }
    socket.on('error', () => fail('the process of the mount can not be reached'))
    socket.on('close', () => fail('the process of the mount has gone'))
    socket.on('data', (chunk) => {
      const more = lines.add(chunk)
      if (more === undefined) return fail('the process of the mount says more than it should')
      this.said.push(...more)
      this.awaken()
    })
  }

  async next(): Promise<unknown> {
    for (let line = this.said.shift(); ; line = this.said.shift()) {
      if (line !== undefined) return JSON.parse(line) as unknown
      if (this.error !== undefined) throw this.error
      await new Promise<void>((resolve) => (this.awaken = resolve))
    }
  }
}
