/**
 * A client of Node's debugger, for tests: messages of the DevTools protocol over a WebSocket, of which it knows just what that takes
 * (RFC 6455: text in whole frames, masked on their way to the server).
 */

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { get } from 'node:http'
import type { Socket } from 'node:net'

interface Message {
  readonly id?: number
  readonly method?: string
  readonly params?: Readonly<Record<string, unknown>>
  readonly result?: Readonly<Record<string, unknown>>
}

const WAIT_MS_MAX = 10_000

export class DebuggerClient {
  private readonly socket: Socket
  private readonly received: Message[] = []
  private pending = Buffer.alloc(0)
  private nextId = 1
  private wake: () => void = () => undefined

  /** Attaches to a debugger: `url` is what it says that it listens on, `ws://...`. */
  static async attach(url: string): Promise<DebuggerClient> {
    const headers = {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
    }
    const [, socket, head] = (await once(get(url.replace(/^ws/, 'http'), { headers }), 'upgrade')) as [
      unknown,
      Socket,
      Buffer,
    ]
    return new DebuggerClient(socket, head)
  }

  private constructor(socket: Socket, head: Buffer) {
    this.socket = socket
    socket.on('error', () => undefined)
    socket.on('data', (data) => this.take(Buffer.from(data)))
    this.take(head)
  }

  /** Calls a method. Returns its result. */
  async call(method: string, params: object = {}): Promise<Readonly<Record<string, unknown>>> {
    const id = this.nextId++
    this.send(JSON.stringify({ id, method, params }))
    return (await this.next((message) => message.id === id)).result ?? {}
  }

  /** The next event of that name that nobody has taken yet. */
  async event(name: string): Promise<Readonly<Record<string, unknown>>> {
    return (await this.next(({ method }) => method === name)).params ?? {}
  }

  /** The value of an expression in the main thread. */
  async evaluate(expression: string): Promise<unknown> {
    return valueOf(await this.call('Runtime.evaluate', { expression }))
  }

  /** The value of an expression in a worker: `sessionId` comes with NodeWorker.attachedToWorker. */
  async evaluateInWorker(sessionId: unknown, expression: string): Promise<unknown> {
    const message = JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression } })
    await this.call('NodeWorker.sendMessageToWorker', { sessionId, message })
    const received = await this.event('NodeWorker.receivedMessageFromWorker')
    return valueOf((JSON.parse(String(received['message'])) as Message).result ?? {})
  }

  close(): void {
    this.socket.destroy()
  }

  private async next(isIt: (message: Message) => boolean): Promise<Message> {
    const deadline = Date.now() + WAIT_MS_MAX
    for (;;) {
      const at = this.received.findIndex(isIt)
      const [found] = at < 0 ? [] : this.received.splice(at, 1)
      if (found !== undefined) return found
      const left = deadline - Date.now()
      if (left <= 0) throw new Error(`the debugger did not answer; it said ${JSON.stringify(this.received)}`)
      await new Promise<void>((resolve) => {
        this.wake = resolve
        setTimeout(resolve, left)
      })
    }
  }

  private send(text: string): void {
    const data = Buffer.from(text)
    const head = Buffer.alloc(8)
    head[0] = 0x81 // a whole text
    head[1] = 0x80 | 126 // masked, the length follows
    head.writeUInt16BE(data.length, 2)
    randomBytes(4).copy(head, 4)
    this.socket.write(Buffer.concat([head, data.map((byte, i) => byte ^ (head[4 + (i & 3)] ?? 0))]))
  }

  private take(data: Buffer): void {
    this.pending = Buffer.concat([this.pending, data])
    for (;;) {
      const short = (this.pending[1] ?? 0) & 0x7f
      const headBytes = short < 126 ? 2 : short === 126 ? 4 : 10
      if (this.pending.length < headBytes) return
      const length =
        short < 126 ? short : short === 126 ? this.pending.readUInt16BE(2) : Number(this.pending.readBigUInt64BE(2))
      if (this.pending.length < headBytes + length) return
      const isText = ((this.pending[0] ?? 0) & 0xf) === 1
      const text = this.pending.subarray(headBytes, headBytes + length).toString()
      this.pending = this.pending.subarray(headBytes + length)
      if (isText) this.received.push(JSON.parse(text) as Message)
      this.wake()
    }
  }
}

function valueOf({ result }: Readonly<Record<string, unknown>>): unknown {
  return typeof result === 'object' && result !== null && 'value' in result ? result.value : undefined
}
