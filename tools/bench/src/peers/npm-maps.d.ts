/** What the benchmarks use of maps in shared memory that npm has: their own declarations can't be read by the compiler. */

declare module 'sharedmap' {
  /** Entries of fixed size, behind locks. Values come back as strings. */
  export default class SharedMap {
    /** Lengths of keys and values in UTF-16 units. */
    constructor(entriesMax: number, keyLength: number, valueLength: number)
    get(key: string): string | undefined
    set(key: string, value: string): void
    delete(key: string): void
  }
}

declare module 'shared-memory-datastructures' {
  /** Whoever has it posts its buffers; nothing is ever taken out, and there are no locks. */
  interface ShareableMap<K, V> {
    get(key: K): V | undefined
    set(key: K, value: V): this
  }
  const structures: {
    readonly ShareableMap: new <K, V>(entries: number, bytesPerValue: number) => ShareableMap<K, V>
  }
  export default structures
}
