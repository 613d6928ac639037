/** The bytes of an archive, as they come: taken in pieces of the reader's choice, and counted. */

/** The archive is damaged, incomplete, or none. */
export class TarError extends Error {
  override readonly name = 'TarError'
}

/** It is damaged, as shows at byte `at`. */
export function damaged(at: number, what: string): TarError {
  return new TarError(`the archive is damaged at byte ${at}: ${what}`)
}

/** Gives the next bytes, none at the end. */
export type ReadMore = () => Promise<Uint8Array>

export class TarSource {
  private readonly readMore: ReadMore
  private chunk: Uint8Array = new Uint8Array(0)
  private taken = 0
  private before = 0

  constructor(readMore: ReadMore) {
    this.readMore = readMore
  }

  /** How many bytes were taken. */
  get at(): number {
    return this.before + this.taken
  }

  /** What comes next, as far as it is at hand: at least a byte, if there is one. It is not taken. */
  async peek(): Promise<Uint8Array> {
    await this.fill()
    return this.chunk.subarray(this.taken)
  }

  /** Exactly so many bytes, valid until more are taken; undefined at the end. Throws TarError if there are fewer. */
  async take(length: number): Promise<Uint8Array | undefined> {
    if (this.chunk.length - this.taken >= length) return this.advance(length)
    if (!(await this.fill())) return undefined
    if (this.chunk.length - this.taken >= length) return this.advance(length)
    const whole = new Uint8Array(length)
    for (let filled = 0; filled < length;) {
      const part = await this.some(length - filled)
      whole.set(part, filled)
      filled += part.length
    }
    return whole
  }

  /** Some bytes, `max` at most, valid until more are taken. Throws TarError at the end. */
  async some(max: number): Promise<Uint8Array> {
    if (!(await this.fill())) throw damaged(this.at, 'it ends too early')
    return this.advance(Math.min(max, this.chunk.length - this.taken))
  }

  /** Passes over so many bytes. Throws TarError if there are fewer. */
  async skip(length: number): Promise<void> {
    for (let left = length; left > 0;) left -= (await this.some(left)).length
  }

  private advance(length: number): Uint8Array {
    const start = this.taken
    this.taken += length
    return this.chunk.subarray(start, this.taken)
  }

  /** Has a byte at hand, if there is one. */
  private async fill(): Promise<boolean> {
    if (this.taken < this.chunk.length) return true
    this.before += this.chunk.length
    this.taken = 0
    this.chunk = await this.readMore()
    return this.chunk.length > 0
  }
}
