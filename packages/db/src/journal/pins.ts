/**
 * Pins: who still needs the journal from which entry on. What a transaction changed stays in the journal as long as somebody holds a pin
 * on its entry or on an older one; a node that waits for being written holds one. Format chapter 3, 3.7.6.
 *
 * A pin is a small number. They are kept in the order of their sequence numbers, oldest first; nothing is allocated per pin.
 */

const NONE = -1
/** Sequence number of a pin that nobody holds. */
const FREE = -1
const INITIAL_PINS = 64

export class Pins {
  /** Pins held. */
  count = 0
  private seqs = new Float64Array(INITIAL_PINS)
  private newer = new Int32Array(INITIAL_PINS)
  private older = new Int32Array(INITIAL_PINS)
  private oldestPin = NONE
  private newestPin = NONE
  /** Pins that were released, in a row through `newer`. */
  private released = NONE
  /** Pins that were ever held. */
  private made = 0
  /** Entries below this are promised not to be needed any more. */
  private floor = 0

  /**
   * Holds on to the journal from entry `seq` on; returns the pin. That takes no time if `seq` is not below that of the newest pin, else as
   * many steps as there are newer ones. Throws RangeError if a closed entry says already that `seq` is not needed.
   */
  pin(seq: number): number {
    if (!(seq >= this.floor))
      throw new RangeError(`a pin on journal entry ${seq}, needed are those from ${this.floor} on`)
    const pin = this.take()
    let before = this.newestPin
    while (before !== NONE && this.seqs[before] > seq) before = this.older[before]
    const after = before === NONE ? this.oldestPin : this.newer[before]
    this.seqs[pin] = seq
    this.link(before, pin)
    this.link(pin, after)
    this.count++
    return pin
  }

  /** Throws RangeError if nobody holds the pin. */
  release(pin: number): void {
    if (!(this.seqs[pin] >= 0) || pin >= this.made) throw new RangeError(`pin ${pin} is not held`)
    this.link(this.older[pin], this.newer[pin])
    this.seqs[pin] = FREE
    this.newer[pin] = this.released
    this.released = pin
    this.count--
  }

  /** The oldest entry that is needed; Infinity if none is. */
  oldest(): number {
    return this.oldestPin === NONE ? Infinity : this.seqs[this.oldestPin]
  }

  /**
   * `last_seq` of entry `seq`, which is being closed: the oldest one needed, itself at most. From now on nothing older may be pinned.
   */
  settle(seq: number): number {
    this.floor = Math.min(this.oldest(), seq)
    return this.floor
  }

  /** The oldest pin, -1 if there is none. */
  get first(): number {
    return this.oldestPin
  }

  /** The next newer pin, -1 behind the newest. */
  after(pin: number): number {
    return this.newer[pin]
  }

  seqOf(pin: number): number {
    return this.seqs[pin]
  }

  private take(): number {
    const pin = this.released
    if (pin !== NONE) {
      this.released = this.newer[pin]
      return pin
    }
    if (this.made === this.seqs.length) this.grow()
    return this.made++
  }

  /** Makes `right` the one behind `left`; one of them may be none. */
  private link(left: number, right: number): void {
    if (left === NONE) this.oldestPin = right
    else this.newer[left] = right
    if (right === NONE) this.newestPin = left
    else this.older[right] = left
  }

  private grow(): void {
    const { seqs, newer, older } = this
    this.seqs = new Float64Array(2 * seqs.length)
    this.newer = new Int32Array(2 * seqs.length)
    this.older = new Int32Array(2 * seqs.length)
    this.seqs.set(seqs)
    this.newer.set(newer)
    this.older.set(older)
  }
}
