/**
 * A slab: objects of one size in an arena, taken and given back by any thread.
 *
 * The memory of an object is an object of the same slab for ever, in use or not: a lockless reader that comes late looks at a wrong
 * object, never at something that is none. Each thread keeps a few free objects to itself, and most calls are over without
 * an atomic; full and empty hands meet at the shared list, under a mutex. What a thread had in its hand when it died is lost.
 *
 * In debug mode each object knows whether it is in use, under which layout its slab was made, and what is free is overwritten:
 * giving back twice, or what was never given, is an error that says so.
 *
 *     slab:  words of an object | debug | words of a page | list of free objects | pages | lock
 *     page:  next page | slab | objects ...        in debug mode each object is preceded by its mark
 */

import { Mutex } from '../sync/mutex.ts'
import type { Arena } from './arena.ts'

/** Words of a slab. */
const OBJECT_WORDS = 0
const DEBUG = 1
const PAGE_WORDS = 2
const FREE = 3 // first free object, linked by their first words
const PAGES = 4 // first page
const COUNT = 5 // of objects in all pages
const MUTEX = 8
const SLAB_WORDS = 16

const PAGE_HEADER_WORDS = 2
const PAGE_BYTES_MIN = 4096
const PAGE_OBJECTS_MIN = 8

/** What a thread keeps to itself at most, and how much it takes from the list or gives back at once. */
const HAND_MAX = 64
const BATCH = HAND_MAX / 2

/** Marks before objects, in debug mode. */
const MARK_IN_USE = 0x0b1ec700
const MARK_FREE = 0x0f4ee000
const POISON = 0xdeadbeef

export interface SlabOptions {
  /** Finds objects that are given back twice, and overwrites what is free. It costs two words an object, and an atomic a call. */
  readonly debug?: boolean
}

/** An object was given back that is not in use. */
export class SlabError extends Error {
  override readonly name = 'SlabError'
}

export class Slab {
  /** Word of the arena at which the slab lies: with the arena's descriptor all that another thread needs. */
  readonly at: number
  private readonly arena: Arena
  private readonly objectWords: number
  private readonly isDebug: boolean
  private readonly mutex: Mutex | undefined
  private readonly hand = new Uint32Array(HAND_MAX)
  private held = 0

  /** This thread's view of the slab at word `at` of the arena. */
  constructor(arena: Arena, at: number) {
    this.arena = arena
    this.at = at
    this.objectWords = arena.words[at + OBJECT_WORDS]
    this.isDebug = arena.words[at + DEBUG] === 1
    this.mutex = arena.isShared ? new Mutex(arena.place(at + MUTEX)) : undefined
  }

  /** Makes a slab for objects of `objectBytes`, which is rounded up to 8. Throws RangeError if the arena is full. */
  static create(arena: Arena, objectBytes: number, { debug = false }: SlabOptions = {}): Slab {
    const objectWords = 2 * Math.max(1, Math.ceil(objectBytes / 8))
    const stride = objectWords + (debug ? 2 : 0)
    const leastWords = Math.max(PAGE_BYTES_MIN / 4, PAGE_HEADER_WORDS + PAGE_OBJECTS_MIN * stride)
    const at = arena.allocate(SLAB_WORDS)
    if (at < 0) throw new RangeError('the arena has no room for a slab')
    const { words } = arena
    words.fill(0, at, at + SLAB_WORDS)
    words[at + OBJECT_WORDS] = objectWords
    words[at + DEBUG] = debug ? 1 : 0
    words[at + PAGE_WORDS] = 2 ** Math.ceil(Math.log2(leastWords))
    if (arena.isShared) Mutex.create(arena.place(at + MUTEX))
    return new Slab(arena, at)
  }

  /** How many objects the slab's memory holds, in use or not. */
  get capacity(): number {
    return Atomics.load(this.arena.words, this.at + COUNT)
  }

  /** Takes an object, whose content is anything. Returns its first word, a multiple of 2, or -1 if the arena is full. */
  allocate(): number {
    if (this.held === 0 && !this.fetch()) return -1
    const object = this.hand[--this.held]
    if (this.isDebug) this.exchangeMark(object, MARK_FREE, MARK_IN_USE)
    return object
  }

  /** Gives an object back. Throws SlabError in debug mode if it is not one that is in use. */
  free(object: number): void {
    if (this.isDebug) {
      this.requireOwn(object)
      this.exchangeMark(object, MARK_IN_USE, MARK_FREE)
      this.arena.words.fill(POISON, object, object + this.objectWords)
    }
    if (this.held === HAND_MAX) this.putBack(BATCH)
    this.hand[this.held++] = object
  }

  /** Gives this thread's free objects to the others: for a thread that is about to end. */
  release(): void {
    this.putBack(this.held)
  }

  /** Gives all memory back to the arena. Nobody may use the slab or an object of it any more. */
  destroy(): void {
    const { arena, at } = this
    for (let page = arena.words[at + PAGES]; page !== 0;) {
      const next = arena.words[page]
      arena.deallocate(page)
      page = next
    }
    arena.deallocate(at)
  }

  /** Takes a batch from the list into the hand; if that is empty, from a new page. False: the arena is full. */
  private fetch(): boolean {
    const { words } = this.arena
    this.mutex?.lock()
    try {
      if (words[this.at + FREE] === 0 && !this.addPage()) return false
      while (this.held < BATCH && words[this.at + FREE] !== 0) {
        const object = words[this.at + FREE]
        words[this.at + FREE] = words[object]
        this.hand[this.held++] = object
      }
      return true
    } finally {
      this.mutex?.unlock()
    }
  }

  private putBack(count: number): void {
    const { words } = this.arena
    this.mutex?.lock()
    for (let i = 0; i < count; i++) {
      const object = this.hand[--this.held]
      words[object] = words[this.at + FREE]
      words[this.at + FREE] = object
    }
    this.mutex?.unlock()
  }

  private addPage(): boolean {
    const { words } = this.arena
    const pageWords = words[this.at + PAGE_WORDS]
    const page = this.arena.allocate(pageWords)
    if (page < 0) return false
    words[page] = words[this.at + PAGES]
    words[page + 1] = this.at
    words[this.at + PAGES] = page
    const { objectWords, markWords, stride } = this
    const first = page + PAGE_HEADER_WORDS + markWords
    let object = first + (Math.floor((pageWords - PAGE_HEADER_WORDS) / stride) - 1) * stride
    for (; object >= first; object -= stride) {
      if (markWords > 0) {
        words[object - markWords] = MARK_FREE
        words.fill(POISON, object, object + objectWords)
      }
      words[object] = words[this.at + FREE]
      words[this.at + FREE] = object
      words[this.at + COUNT]++
    }
    return true
  }

  private get markWords(): number {
    return this.isDebug ? 2 : 0
  }
  private get stride(): number {
    return this.objectWords + this.markWords
  }

  private exchangeMark(object: number, from: number, to: number): void {
    const mark = Atomics.compareExchange(this.arena.words, object - this.markWords, from, to)
    if (mark === from) return
    if (mark === to)
      throw new SlabError(`the object at word ${object} is ${to === MARK_FREE ? 'free' : 'in use'} already`)
    throw new SlabError(`no mark before the object at word ${object}: something wrote over it`)
  }

  /** Whether `object` is where an object of this slab can begin: looked up in its pages. */
  private requireOwn(object: number): void {
    const { words } = this.arena
    const pageWords = words[this.at + PAGE_WORDS]
    this.mutex?.lock()
    let page = words[this.at + PAGES]
    while (page !== 0 && !(object > page && object < page + pageWords)) page = words[page]
    this.mutex?.unlock()
    const isOwn = page !== 0 && (object - page - PAGE_HEADER_WORDS - this.markWords) % this.stride === 0
    if (!isOwn) throw new SlabError(`word ${object} is no object of the slab at word ${this.at}`)
  }
}
