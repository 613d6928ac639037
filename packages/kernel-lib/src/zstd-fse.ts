import { CodecError } from './codec-error.ts'

/**
 * Finite state entropy tables of zstd: the description as it lies in a block (RFC 8878, section 4.1.1), and the decoding
 * table made of it. A table says for each state which symbol it stands for, how many bits lead to the next state, and the
 * state to which those bits are added.
 */

/** A decoding table. One `Int32Array` entry a state: symbol << 24 | number of bits << 16 | base of the next state. */
export interface FseTable {
  readonly states: Int32Array
  /** log2 of the number of states in use. */
  accuracyLog: number
}

export function fseTable(accuracyLogMax: number): FseTable {
  return { states: new Int32Array(1 << accuracyLogMax), accuracyLog: 0 }
}

const SYMBOLS_MAX = 256
/** Probability of each symbol in states, -1 for "less than one"; filled by the readers below. */
const probabilities = new Int16Array(SYMBOLS_MAX)
/** The next number to give to a state of a symbol. */
const nextOfSymbol = new Uint16Array(SYMBOLS_MAX)

/** Makes a table of given probabilities (the predefined ones). */
export function buildFseTable(table: FseTable, given: readonly number[], accuracyLog: number): void {
  probabilities.set(given)
  build(table, given.length, accuracyLog)
}

/** Makes the table that has one state only, of `symbol`: it takes no bits. */
export function buildFseTableOfOne(table: FseTable, symbol: number): void {
  table.states[0] = symbol << 24
  table.accuracyLog = 0
}

/**
 * Reads the description at `source[at]`, which ends before `end`, and makes its table. Returns the byte behind the
 * description. Throws CodecError if it is cut short, its probabilities don't add up, or it exceeds `accuracyLogMax` or
 * `symbolsMax` symbols.
 */
export function readFseTable(
  table: FseTable,
  source: Uint8Array,
  at: number,
  end: number,
  accuracyLogMax: number,
  symbolsMax: number,
): number {
  if (at >= end) throw damaged('is missing')
  const accuracyLog = (source[at] & 15) + 5
  if (accuracyLog > accuracyLogMax) throw damaged(`has an accuracy of ${accuracyLog}`)
  let bit = 4
  let symbols = 0
  // States not given yet, plus one; a value takes as many bits as that needs, less one bit where the small ones suffice.
  let left = (1 << accuracyLog) + 1
  let threshold = 1 << accuracyLog
  let bits = accuracyLog + 1
  while (left > 1) {
    if (symbols >= symbolsMax) throw damaged('has too many symbols')
    const small = 2 * threshold - 1 - left
    const word = peek(source, at, bit, end)
    let value = word & (threshold - 1)
    if (value < small) {
      bit += bits - 1
    } else {
      value = word & (2 * threshold - 1)
      if (value >= threshold) value -= small
      bit += bits
    }
    const probability = value - 1
    left -= probability < 0 ? 1 : probability
    probabilities[symbols++] = probability
    while (left < threshold) {
      bits--
      threshold >>= 1
    }
    if (probability === 0) {
      // How many more symbols have none: two bits a time, 3 says that another two follow.
      let more = 3
      while (more === 3) {
        more = peek(source, at, bit, end) & 3
        bit += 2
        if (symbols + more > symbolsMax) throw damaged('has too many symbols')
        for (let i = 0; i < more; i++) probabilities[symbols++] = 0
      }
    }
  }
  if (left < 1) throw damaged('gives more states than there are')
  const after = at + ((bit + 7) >> 3)
  if (after > end) throw damaged('is cut short')
  build(table, symbols, accuracyLog)
  return after
}

/** 17 bits or more from bit `bit` behind byte `at` on; zero bits behind the end. */
function peek(source: Uint8Array, at: number, bit: number, end: number): number {
  const from = at + (bit >> 3)
  if (from >= end) throw damaged('is cut short')
  let word = source[from]
  if (from + 1 < end) word |= source[from + 1] << 8
  if (from + 2 < end) word |= source[from + 2] << 16
  return word >>> (bit & 7)
}

function build(table: FseTable, symbols: number, accuracyLog: number): void {
  const { states } = table
  const size = 1 << accuracyLog
  // Symbols of probability "less than one" get one state each, from the end down.
  let high = size - 1
  for (let symbol = 0; symbol < symbols; symbol++) {
    if (probabilities[symbol] === -1) {
      if (high < 0) throw damaged('gives more states than there are')
      states[high--] = symbol
      nextOfSymbol[symbol] = 1
    } else {
      nextOfSymbol[symbol] = probabilities[symbol]
    }
  }
  // The others are spread in steps that visit every place once.
  const step = (size >> 1) + (size >> 3) + 3
  let place = 0
  for (let symbol = 0; symbol < symbols; symbol++) {
    for (let i = 0; i < probabilities[symbol]; i++) {
      states[place] = symbol
      do place = (place + step) & (size - 1)
      while (place > high)
    }
  }
  if (place !== 0) throw damaged('does not fill its states')
  for (let state = 0; state < size; state++) {
    const symbol = states[state]
    const next = nextOfSymbol[symbol]++
    const bits = accuracyLog - (31 - Math.clz32(next))
    states[state] = (symbol << 24) | (bits << 16) | ((next << bits) - size)
  }
  table.accuracyLog = accuracyLog
}

function damaged(what: string): CodecError {
  return new CodecError(`zstd: the description of an entropy table ${what}`)
}
